"""What a scheduler asks of the place where jobs run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, kw_only=True)
class Task:
    """One job's run, as plain data: what any process needs in order to carry it out with `engine.run_job`."""

    job: str
    workflow_run_id: str
    trigger: str
    modules: tuple[str, ...] = ()
    """What `Project.load` takes, as given on the command line; unused where the project is loaded already."""
    directory: str = ""
    """The folder in which the modules and `ematix.toml` are looked up."""
    store: str = ""
    """The store's URL with its `${...}` references unresolved; empty for the one of the settings."""
    slice: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values of `:name` in SQL and of `run.parameters`: text, numbers, booleans, None, lists and objects of them."""
    token: int | None = None
    """The fencing token under which the run may begin."""
    timeout: float | None = None
    """Seconds that the whole run may take, retries included, before the executor ends it by force. None: no limit.
    An attempt's own timeout is the engine's affair."""
    lock_wait: float = 60.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return asdict(self) | {"modules": list(self.modules), "parameters": dict(self.parameters)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the task that `to_dict` gave."""
        return cls(**{**data, "modules": tuple(data["modules"])})


@dataclass(frozen=True)
class Ending:
    """How a task ended. What the run did (counts, error) stands in the store, written by whoever ran it."""

    status: Status | None
    """SUCCEEDED, FAILED or CANCELLED as the run's own record says; None when the process was lost without a result."""
    reason: str = ""
    """Why there is no result, for people, such as `killed by signal 9 (SIGKILL)`; or the run's error."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {"status": self.status, "reason": self.reason}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the ending that `to_dict` gave. Raises KeyError or ValueError for what is none."""
        status = data["status"]
        return cls(None if status is None else Status(status), str(data.get("reason", "")))


class Running(Protocol):
    """A task that was started."""

    def cancel(self) -> None:
        """Ask it to stop: the load rolls back and the run is recorded as cancelled. Returns at once; may repeat."""
        ...

    def kill(self) -> None:
        """End it by force, without waiting for a roll-back (the database does that). May repeat."""
        ...


class Executor(Protocol):
    """Starts tasks and tells how they ended."""

    def start(self, task: Task, ended: Callable[[Ending], None]) -> Running:
        """Start the task and return at once; `ended` is called exactly once, from any thread, when it is over.

        Never more than the scheduler's own limit are started. Raises EmatixError when it cannot be started at all.
        """
        ...

    def reload(self) -> None:
        """Forget what was loaded of the project: tasks that start from now on see its files as they are."""
        ...

    def close(self) -> None:
        """End what is still running by force, and release everything. Blocks until that is done."""
        ...
