"""How `flow backfill` tells of its progress as lines on stderr: one for each slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ematix_core.cli.lines import Lines

if TYPE_CHECKING:
    from ematix_core.engine.progress import Progress
    from ematix_core.engine.result import RunResult
    from ematix_core.errors import EmatixError
    from ematix_core.model.slices import Slice
    from ematix_core.scheduler.backfill import SliceOutcome


class OfSlice:
    """Hands on what the jobs of one slice tell, under names that say the slice too."""

    def __init__(self, part: Slice, to: Progress) -> None:
        self._slice = part.name
        self._to = to
        self.names: dict[str, None] = {}
        """The names under which something was told."""

    def started(self, job: str, attempt: int) -> None:
        self._to.started(self._name(job), attempt)

    def advanced(self, job: str, rows: int) -> None:
        self._to.advanced(self._name(job), rows)

    def stage(self, job: str, text: str) -> None:
        self._to.stage(self._name(job), text)

    def waiting(self, job: str, text: str) -> None:
        self._to.waiting(self._name(job), text)

    def finished(self, job: str, result: RunResult) -> None:
        self._to.finished(self._name(job), result)

    def failed(self, job: str, error: EmatixError, *, retry_in: float | None) -> None:
        self._to.failed(self._name(job), error, retry_in=retry_in)

    def skipped(self, job: str, reason: str) -> None:
        self._to.skipped(self._name(job), reason)

    def _name(self, job: str) -> str:
        name = named(self._slice, job)
        self.names[name] = None
        return name


class SliceLines(Lines):
    """A line for each slice that has ended; with `verbose` also for every step of its jobs."""

    def __init__(self, total: int, *, verbose: bool) -> None:
        super().__init__(verbose=verbose)
        self._total = total
        self._ended = 0

    def began(self, part: Slice) -> Progress:
        return OfSlice(part, self)

    def ended(self, outcome: SliceOutcome) -> None:
        with self._lock:
            self._ended += 1
            place = f"{self._ended} of {self._total}"
        click.echo(f"{told(outcome)} ({place})", err=True)


def named(part: str, job: str) -> str:
    """Return the name under which a job of a slice is told of."""
    return f"{part} {job}"


def told(outcome: SliceOutcome) -> str:
    """Return one line: `2026-01-31: succeeded, 10 rows read, 10 inserted in 0.21 s`."""
    head = f"{outcome.slice.name}: {outcome.status}"
    if outcome.status != "succeeded":
        return f"{head}: {outcome.error.partition(chr(10))[0]}" if outcome.error else head
    rows = "".join(
        f", {n:,} {name.replace('_', ' ')}" for name, n in outcome.counts.items() if n or name == "rows_read"
    )
    return f"{head}{rows} in {outcome.seconds:.2f} s"
