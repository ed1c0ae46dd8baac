"""How fast one thing follows another: job upon job within a workflow, a workflow upon an event."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.places import HERE
from benchmarks.scheduler.site import Site, new_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ematix_core.store import Run

EVENTS = 20


def task_to_task(store: str, executor: str, rounds: int) -> list[float]:
    """Return for each round the median of the ms from a job's end to the start of the one that waits for it."""
    with new_store(store) as url, Site(url, executor) as site:
        site.run("chain")  # the first run imports, and opens connections
        return [median(_gaps(site.run("chain"))) for _ in range(rounds)]


def trigger_to_start(store: str, executor: str, rounds: int) -> list[float]:
    """Return for each round the median of the ms from another process's event to the start of what waits for it."""
    with new_store(store) as url, Site(url, executor) as site, Writer.started(url) as writer:
        site.run("one", writer.succeed)
        return [median(_delays(site, writer)) for _ in range(rounds)]


def _gaps(runs: list[Run]) -> list[float]:
    return [_ms(one.finished_at, next_one.started_at) for one, next_one in pairwise(runs)]


def _delays(site: Site, writer: Writer) -> list[float]:
    chance = random.Random(7)  # noqa: S311 - when an event comes
    found = []
    for _ in range(EVENTS):
        time.sleep(chance.uniform(0.1, 0.2))  # it comes at any moment of the scheduler's pause
        started = site.run("one", writer.succeed)[0].started_at
        upstream = site.store.latest("go_one")
        found.append(_ms(upstream.finished_at if upstream else None, started))
    return found


def _ms(earlier: datetime | None, later: datetime) -> float:
    if earlier is None:
        message = "a run has not ended"
        raise RuntimeError(message)
    return (later - earlier).total_seconds() * 1000


class Writer:
    """Another process that records successes when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(cls, url: str) -> Iterator[Writer]:
        """Yield one that is ready."""
        command = [sys.executable, "-m", "benchmarks.scheduler.writer", url]
        with subprocess.Popen(
            command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            writer = cls(process)
            writer._wait()
            yield writer
            if process.stdin:
                process.stdin.close()

    def succeed(self, job: str) -> None:
        """Have it record a success of the job."""
        if self._process.stdin:
            self._process.stdin.write(f"{job}\n")
            self._process.stdin.flush()
        self._wait()

    def _wait(self) -> None:
        if not (self._process.stdout and self._process.stdout.readline()):
            message = "the process that writes events has ended"
            raise RuntimeError(message)
