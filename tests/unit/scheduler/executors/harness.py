"""Starting tasks in tests, and waiting for what becomes of them."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from ematix_core.scheduler.protocols import Ending, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ematix_core.scheduler.protocols import Executor, Running
    from ematix_core.store import LogLine, Run, RunStore

SECONDS = 60.0
_numbers = itertools.count(1)


@dataclass
class Started:
    """A task that was started."""

    task: Task
    running: Running
    ends: list[Ending]
    over: threading.Event

    def ending(self, seconds: float = SECONDS) -> Ending:
        """Wait for the end."""
        assert self.over.wait(seconds), "the task does not end"
        return self.ends[0]


@dataclass
class Place:
    """A folder with a project, a store, and an executor."""

    folder: Path
    store: RunStore
    url: str
    executor: Executor
    started: list[Started] = field(default_factory=list)

    def task(self, job: str, **options: Any) -> Task:  # noqa: ANN401 - fields of Task
        """Return a task of a workflow run of its own."""
        defaults: dict[str, Any] = {
            "workflow_run_id": f"w{next(_numbers)}", "trigger": "test", "modules": ("pipelines.py",),
            "directory": str(self.folder), "store": self.url,
        }  # fmt: skip
        return Task(job=job, **{**defaults, **options})

    def start(self, job: str, **options: Any) -> Started:  # noqa: ANN401 - fields of Task
        """Start a job."""
        task = self.task(job, **options)
        ends: list[Ending] = []
        over = threading.Event()

        def ended(ending: Ending) -> None:
            ends.append(ending)
            over.set()

        started = Started(task, self.executor.start(task, ended), ends, over)
        self.started.append(started)
        return started

    def run(self, job: str, **options: Any) -> Ending:  # noqa: ANN401 - fields of Task
        """Run a job to its end."""
        return self.start(job, **options).ending()

    def record(self, started: Started) -> Run:
        """Return the record of a task's run."""
        (run,) = self.store.runs(workflow_run_id=started.task.workflow_run_id)
        return run

    def log(self, started: Started) -> list[LogLine]:
        """Return the log of a task's run."""
        return self.store.logs(self.record(started).run_id)

    def pids(self, name: str) -> list[int]:
        """Wait until a job has written its processes into a file of this name, and return them."""
        file = self.folder / name
        until(lambda: file.exists() and file.read_text(encoding="utf-8") != "")
        return [int(pid) for pid in file.read_text(encoding="utf-8").split()]


def until(happened: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Say whether a process has ended, waited for or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
