"""How a conformance suite reaches a system, and what all suites do with it: run a job, read a table, fill a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.config.settings import Settings
from ematix_core.engine import plan_job, run_job
from ematix_core.engine.environment import now
from ematix_core.model.job import job
from ematix_core.sql import build
from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from ematix_core.backends.protocols import Source, Target
    from ematix_core.engine.result import JobPlan, RunResult
    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job
    from ematix_core.sql.dialect import Dialect
    from ematix_core.store import RunStore

_numbers = count()


@dataclass
class Reached:
    """One system under test. `folder` is where it keeps its files, if it keeps any."""

    connection: Connection
    folder: Path
    store: RunStore
    settings: Settings = field(default_factory=Settings.load)

    @property
    def dialect(self) -> Dialect:
        """The system's capabilities."""
        return registry.dialect(self.connection.kind)

    def sql(self, text: str) -> str:
        """Return the SQL text, whose names stand in double quotes, with the quotes that the system has for names."""
        return text.replace('"', build.text(build.name("_"), self.dialect)[0])

    def source(self) -> Source:
        """Return a new source."""
        return registry.source(self.connection)

    def target(self) -> Target:
        """Return a new target."""
        return registry.target(self.connection)

    def read(self, table: str) -> pa.Table:
        """Return all rows of a table."""
        source = self.source()
        try:
            return source.read(Query(table=table)).read_all()
        finally:
            source.close()

    def load(self, table: Any, rows: Any, *, clock: datetime | None = None, **options: Any) -> RunResult:  # noqa: ANN401 - what a job's body and options may be
        """Run a job that loads `rows` (an Arrow table or reader) into `table`, by the options of `@job`."""
        return self.run(self.declare(table, rows, **options), clock=clock)

    def plan(self, table: Any, rows: Any, **options: Any) -> JobPlan:  # noqa: ANN401 - see load
        """Plan that job, and do nothing."""
        return plan_job(self.declare(table, rows, **options), settings=self.settings)

    def declare(self, table: Any, rows: Any, *, name: str = "conformance", **options: Any) -> Job:  # noqa: ANN401 - see load
        """Return that job."""

        @job(name=name, target=table, target_connection=self.connection, **options)
        def body() -> Any:  # noqa: ANN401 - see load
            return rows

        declared: Job = body
        return declared

    def run(self, declared: Job, *, clock: datetime | None = None) -> RunResult:
        """Run a job, at a given time if it matters."""
        return run_job(
            declared, store=self.store, settings=self.settings, clock=now if clock is None else lambda: clock
        )


class Conformance:
    """Base of the suites. A subclass says how to reach the system, by `connection`.

    `connection` is a Connection, or a static method that makes one for a folder that the test may use. `gaps` names
    tests (with their parameters, `test_x[y]`) that the system is known to fail, each with the reason; one that passes
    all the same is a failure.
    """

    connection: Any
    gaps: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture(autouse=True)
    def known_gap(self, request: pytest.FixtureRequest) -> None:
        """Mark a test that is named in `gaps` as one that must fail."""
        if (reason := self.gaps.get(request.node.name)) is not None:
            request.applymarker(pytest.mark.xfail(strict=True, reason=reason))

    @pytest.fixture
    def system(self, tmp_path: Path) -> Iterator[Reached]:
        """Yield the system under test."""
        made = type(self).connection
        folder = tmp_path / "system"
        folder.mkdir()
        with open_store("memory:") as store:
            yield Reached(made(folder) if callable(made) else made, folder, store)

    @pytest.fixture
    def table(self) -> str:
        """Return a name that no other test uses, for systems that keep their tables."""
        return f"conformance_{next(_numbers)}"
