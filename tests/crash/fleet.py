"""Schedulers as real processes over many workflows, for tests that kill them: the processes and the verdict."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ematix_core.errors import EmatixError
from ematix_core.store import EventKind, Status, open_store
from tests.servers.reach import execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ematix_core.store import Event, SchedulerStore

START = "start"
"""The job of the project whose success sets all workflows off."""

PROJECT = Path(__file__).with_name("fleet_project.py")


@dataclass
class Fleet:
    """A project of `size` workflows in `folder`, with its store and warehouse in one PostgreSQL database."""

    folder: Path
    url: str
    size: int
    lease_seconds: float = 2.0
    parallel: int = 8
    schedulers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - which process is killed

    @contextlib.contextmanager
    def store(self) -> Iterator[SchedulerStore]:
        """Open the schedulers' store."""
        with open_store(self.url) as store:
            yield store

    def add_scheduler(self) -> None:
        """Start one more `flow scheduler`."""
        log = (self.folder / f"scheduler{len(self.schedulers)}.log").open("wb")
        environment = os.environ | {
            "EMATIX_STORE": self.url, "FLEET_WAREHOUSE": self.url, "FLEET_SIZE": str(self.size),
        }  # fmt: skip
        command = [
            sys.executable, "-m", "ematix_core", "scheduler", "--module", str(PROJECT), "--no-reload",
            "--lease-seconds", str(self.lease_seconds), "--parallel", str(self.parallel),
        ]  # fmt: skip
        with log:
            self.schedulers.append(subprocess.Popen(command, cwd=self.folder, env=environment, stderr=log, stdout=log))

    def living(self) -> list[subprocess.Popen[bytes]]:
        """Return the schedulers that were not killed."""
        return [one for one in self.schedulers if one.poll() is None]

    def kill_scheduler(self) -> None:
        """`kill -9` one of the living schedulers."""
        victim = self.chance.choice(self.living())
        victim.kill()
        victim.wait()

    def kill_job(self) -> bool:
        """`kill -9` the process of a running job; return whether there was one."""
        with self.store() as store:
            pids = [run.pid for run in store.runs(status=Status.RUNNING, limit=None)]
        for pid in self.chance.sample(pids, len(pids)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def stop(self) -> None:
        """End all schedulers."""
        for one in self.living():
            one.terminate()
        for one in self.schedulers:
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                one.kill()

    def set_off(self) -> None:
        """Let the job that everything waits for succeed."""
        with self.store() as store:
            run = store.begin(START)
            store.finish(run.run_id, Status.SUCCEEDED, seconds=0.0)

    def wait_for(self, done: Callable[[SchedulerStore], bool], *, seconds: float, what: str) -> None:
        """Wait until something is so; a store that is away for a while is waited for too."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(EmatixError), self.store() as store:
                while time.monotonic() < deadline:
                    if done(store):
                        return
                    time.sleep(0.1)
            time.sleep(0.2)
        logs = "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))
        raise AssertionError(f"not within {seconds:g} s: {what}\n{logs}")

    def wait_for_successes(self, number: int, *, seconds: float, what: str) -> None:
        """Wait until all workflows together have succeeded so often."""
        self.wait_for(lambda store: self.total(store) >= number, seconds=seconds, what=what)

    def total(self, store: SchedulerStore) -> int:
        """Return how often all workflows together have succeeded."""
        return sum(self.successes(store).values())

    def successes(self, store: SchedulerStore) -> dict[str, int]:
        """Return how often each workflow has succeeded."""
        found = dict.fromkeys((f"flow{n}" for n in range(self.size)), 0)
        for event in store.events():
            if event.kind is EventKind.SUCCEEDED:
                found[event.name] += 1
        return found

    def judge(self, rounds: int) -> None:
        """Fail unless every workflow ran successfully once a round, loaded once a run, and nothing is left open."""
        with self.store() as store:
            assert self.successes(store) == {f"flow{n}": rounds for n in range(self.size)}
            assert [run for run in store.workflow_runs(limit=None) if run.status is Status.RUNNING] == []
            assert store.runs(status=Status.RUNNING, limit=None) == []
            assert store.runs(status=Status.INTERRUPTED, limit=None) == []
            events = store.events()
        for number in range(self.size):
            loads = [row[0] for row in execute(self.url, f"SELECT load FROM rows{number}")]
            assert len(loads) == len(set(loads)) == rounds, f"rows{number}: {loads}"
        assert overlaps(events) == []


def overlaps(events: list[Event]) -> list[str]:
    """Return the units of which two runs were under way at one time."""
    open_units: set[str] = set()
    found = []
    for event in events:
        if event.kind is EventKind.STARTED:
            if event.name in open_units:
                found.append(event.name)
            open_units.add(event.name)
        elif event.kind in {EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED}:
            open_units.discard(event.name)
    return found
