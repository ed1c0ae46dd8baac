"""A store, a clock that stands until it is moved, and schedulers over a project, with jobs in threads."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import ematix_core as ematix
from ematix_core.model.project import Project
from ematix_core.model.unit import units
from ematix_core.scheduler.executors.thread import ThreadExecutor
from ematix_core.scheduler.service import Options, Scheduler
from ematix_core.store import EventKind, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ematix_core.scheduler.observer import Observer
    from ematix_core.store import SchedulerStore

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
target = ematix.MemoryConnection("target")


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, **length: float) -> None:
        self.now += timedelta(**length)


class World:
    """A store, a clock, and schedulers over a project."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.url = f"sqlite:///{folder}/runs.db"
        self.store: SchedulerStore = open_store(self.url, now=self.clock)
        self.schedulers: list[Scheduler] = []
        self.executors: list[ThreadExecutor] = []

    def scheduler(
        self,
        *declarations: ematix.Job | ematix.Workflow,
        holder: str = "first",
        observers: Sequence[Observer] = (),
        **options: Any,  # noqa: ANN401 - of Options
    ) -> Scheduler:
        project = Project.of(*declarations)
        executor = ThreadExecutor(store=self.store, project=project)
        made = Scheduler(
            self.store,
            executor,
            units(project),
            Options(holder=holder, **options),
            clock=self.clock,
            observers=observers,
        )
        self.schedulers.append(made)
        self.executors.append(executor)
        return made

    def settle(self, scheduler: Scheduler, *, seconds: float = 10) -> None:
        """Let the scheduler work until nothing runs and nothing is due."""
        deadline = time.monotonic() + seconds
        scheduler.step(0)
        while not scheduler.idle():
            assert time.monotonic() < deadline, "it never comes to rest"
            scheduler.step(0.01)

    def history(self) -> list[tuple[str, str]]:
        """Return kind and name of each event but the first meetings."""
        return [(event.kind.value, event.name) for event in self.store.events() if event.kind is not EventKind.SEEN]

    def statuses(self, name: str) -> list[str]:
        """Return how the runs of a workflow ended, the first one first."""
        return [run.status.value for run in reversed(self.store.workflow_runs(workflow=name, limit=None))]

    def close(self) -> None:
        for scheduler in self.schedulers:
            scheduler.leave()
        for executor in self.executors:
            executor.close()
        self.store.close()


def job(name: str, work: Callable[[], object] = lambda: None, **options: Any) -> ematix.Job:  # noqa: ANN401 - of @job
    """Return a job that loads one row after `work`."""

    def body() -> pa.Table:
        work()
        return pa.table({"n": [1]})

    return ematix.job(name=name, target=name, target_connection=target, **options)(body)


def fail() -> None:
    message = "broken on purpose"
    raise ValueError(message)
