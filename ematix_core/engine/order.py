"""The order of a workflow run: which jobs may start now, which no longer can, and what came of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.store.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Order:
    """What is left of a graph of jobs. Does nothing by itself: who runs the jobs asks, and tells what became of them.

    A job may start once all that it depends on has succeeded; one whose upstream ended otherwise is lost.
    """

    def __init__(self, graph: Mapping[str, Iterable[str]], done: Iterable[str] = ()) -> None:
        """Take each job with those that it depends on; others than these jobs are not waited for.

        `done` have succeeded already, in an earlier run of the same jobs.
        """
        self._upstream = {job: frozenset(names) & frozenset(graph) for job, names in graph.items()}
        done = frozenset(done)
        self._waiting = {job: None for job in graph if job not in done}  # in the graph's order
        self.ended: dict[str, Status] = {job: Status.SUCCEEDED for job in graph if job in done}
        self._running: set[str] = set()

    @property
    def waiting(self) -> tuple[str, ...]:
        """The jobs that were not started yet."""
        return tuple(self._waiting)

    @property
    def running(self) -> frozenset[str]:
        """The jobs that were started and have not ended."""
        return frozenset(self._running)

    @property
    def finished(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not self._running

    @property
    def status(self) -> Status:
        """What the whole came to, once it is finished."""
        states = set(self.ended.values())
        if Status.CANCELLED in states:
            return Status.CANCELLED
        return Status.SUCCEEDED if states <= {Status.SUCCEEDED} else Status.FAILED

    def ready(self) -> list[str]:
        """Return the jobs that may start now, in the graph's order."""
        return [job for job in self._waiting if all(self._succeeded(name) for name in self._upstream[job])]

    def start(self, job: str) -> None:
        """Note that a waiting job was started."""
        del self._waiting[job]
        self._running.add(job)

    def end(self, job: str, status: Status) -> list[tuple[str, str]]:
        """Note how a job ended, and return the jobs that are lost by that, each with the reason; they are skipped."""
        self._running.discard(job)
        self._waiting.pop(job, None)
        self.ended[job] = status
        return self._lost()

    def again(self, job: str) -> None:
        """Note that a started job has to be started once more."""
        self._running.discard(job)
        self._waiting = {name: None for name in self._upstream if name in self._waiting or name == job}

    def _succeeded(self, job: str) -> bool:
        return self.ended.get(job) is Status.SUCCEEDED

    def _lost(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        while True:
            lost = next(
                (
                    (job, name)
                    for job in self._waiting
                    for name in sorted(self._upstream[job])
                    if name in self.ended and not self._succeeded(name)
                ),
                None,
            )
            if lost is None:
                return found
            job, upstream = lost
            found.append((job, f"upstream {upstream} {self.ended[upstream]}"))
            del self._waiting[job]
            self.ended[job] = Status.SKIPPED
