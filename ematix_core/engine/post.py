"""Steps after the load, in its transaction."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ematix_core.errors import EmatixError, RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from ematix_core.backends.protocols import Session
    from ematix_core.engine.body import RunContext
    from ematix_core.model.job import Target


class PostStepError(RunError):
    """A function given as `after=` raised; `__cause__` is its exception."""


class TargetHandle:
    """What a function given as `after=` can do with the target, as the parameter `conn`: in the load's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def execute(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """Run one statement and return the number of rows that it changed."""
        return self._session.execute(statement, parameters or {})

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Return all rows of a query with a small result."""
        return self._session.query(statement, parameters or {})


def run_post_steps(session: Session, target: Target, context: RunContext) -> None:
    """Run the target's steps in order. Raises PostStepError for a function that raises; SqlError for SQL."""
    for step in target.after:
        if step.function is None:
            session.execute(step.sql, {})
            continue
        offered = {"conn": TargetHandle(session), "target": target.table, "run": context}
        try:
            wanted = inspect.signature(step.function).parameters
            step.function(**{name: offered[name] for name in wanted if name in offered})
        except (EmatixError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise PostStepError(
                f"the step {step.name!r} raised {type(error).__name__}: {error}", where=f"table {target.name}",
                hint="Nothing was committed.",
            ) from error  # fmt: skip
