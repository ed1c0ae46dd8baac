"""A scheduler at work in this process, on a store of its own."""

from __future__ import annotations

import queue
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benchmarks import servers
from ematix_core.engine.environment import now
from ematix_core.model.project import Project
from ematix_core.model.unit import units
from ematix_core.scheduler.executors.choice import executor_of
from ematix_core.scheduler.observer import Observer
from ematix_core.scheduler.protocols import Ending
from ematix_core.scheduler.service import Options, Scheduler
from ematix_core.store import EventKind, Status, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from ematix_core.scheduler.protocols import Executor, Running, Task
    from ematix_core.store import Event, Run, SchedulerStore

FLOWS = Path(__file__).with_name("flows.py")
NO_ENGINE = "no engine"
"""The executor that only writes to the store."""
_PARALLEL = 8
"""Jobs at one time, the default of `flow scheduler`."""
_PATIENCE = 300.0
_ENDS = frozenset({EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED})


class Site:
    """A scheduler in a thread of this process, with the executor of that name; for `with`."""

    def __init__(self, url: str, executor: str) -> None:
        self.store = open_store(url, now=now)
        project, modules, folder = Project.load(FLOWS), (str(FLOWS),), str(FLOWS.parent)
        self._executor = _executor(executor, self.store, project)
        self._ends = Ends()
        options = Options(
            holder="benchmark", parallel=_PARALLEL,
            task_options={"modules": modules, "directory": folder, "store": url},
        )  # fmt: skip
        self._scheduler = Scheduler(
            self.store, self._executor, units(project), options, clock=now, observers=[self._ends]
        )
        self._thread = threading.Thread(target=self._scheduler.run, name="scheduler")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scheduler.stop()
        self._thread.join()
        self._executor.close()
        self.store.close()

    def run(self, workflow: str, set_off: Callable[[str], object] | None = None) -> list[Run]:
        """Set the workflow off, wait for its success, and return the runs of its jobs, the first one first."""
        (set_off or self.succeed)(f"go_{workflow}")
        return self.jobs_of(self._ends.next())

    def succeed(self, job: str) -> None:
        """Record a success of the job."""
        succeed(self.store, job)

    def jobs_of(self, end: Event) -> list[Run]:
        """Return the runs of the workflow run that succeeded so, the first one first."""
        if end.kind is not EventKind.SUCCEEDED:
            message = f"{end.name} ended as {end.kind}"
            raise RuntimeError(message)
        found = self.store.runs(workflow_run_id=end.run_id, limit=None)
        return sorted(found, key=lambda run: run.started_at)


class Ends(Observer):
    """Hears of the ends of workflow runs."""

    def __init__(self) -> None:
        self._heard: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def event(self, event: Event) -> None:
        """Keep an end."""
        if event.kind in _ENDS:
            self._heard.put(event)

    def next(self) -> Event:
        """Return the next end. Raises queue.Empty when none comes."""
        return self._heard.get(timeout=_PATIENCE)


class NoEngine:
    """An executor whose runs are begun and finished in the store, and nothing between; implements `Executor`."""

    def __init__(self, store: SchedulerStore) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(_PARALLEL)

    def start(self, task: Task, ended: Callable[[Ending], None]) -> Running:
        """Have the run recorded."""
        self._pool.submit(self._carry_out, task, ended)
        return _Nothing()

    def reload(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Wait for what is being written."""
        self._pool.shutdown()

    def _carry_out(self, task: Task, ended: Callable[[Ending], None]) -> None:
        run = self._store.begin(task.job, workflow_run_id=task.workflow_run_id, trigger=task.trigger, token=task.token)
        self._store.finish(run.run_id, Status.SUCCEEDED, seconds=0.0)
        ended(Ending(Status.SUCCEEDED))


class _Nothing:
    """Implements `Running`."""

    def cancel(self) -> None:
        """Do nothing."""

    def kill(self) -> None:
        """Do nothing."""


def succeed(store: SchedulerStore, job: str) -> Run:
    """Record a success of the job, as a run of it would."""
    return store.finish(store.begin(job).run_id, Status.SUCCEEDED, seconds=0.0)


def kinds_of_store() -> list[str]:
    """Return `SQLite`, and `PostgreSQL` when a server is known."""
    try:
        servers.url("postgres")
    except servers.NoServerError:
        return ["SQLite"]
    return ["SQLite", "PostgreSQL"]


@contextmanager
def new_store(kind: str) -> Iterator[str]:
    """Yield the URL of a store that is empty, and remove it afterwards."""
    if kind == "SQLite":
        with tempfile.TemporaryDirectory(prefix="bench-scheduler-") as folder:
            yield f"sqlite:///{folder}/runs.db"
        return
    address = servers.new_address("postgres")
    servers.create(address)
    try:
        yield address
    finally:
        servers.drop(address)


def _executor(name: str, store: SchedulerStore, project: Project) -> Executor:
    if name == NO_ENGINE:
        return NoEngine(store)
    return executor_of(name, store=store, project=project, modules=(str(FLOWS),), directory=str(FLOWS.parent))
