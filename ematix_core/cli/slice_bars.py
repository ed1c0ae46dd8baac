"""Bars of `flow backfill`: one for the whole, and one for each job of the slices that run. Loaded only to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ematix_core.cli.bars import Bars
from ematix_core.cli.slices import OfSlice, SliceLines, told

if TYPE_CHECKING:
    from types import TracebackType

    from ematix_core.engine.progress import Progress
    from ematix_core.model.slices import Slice
    from ematix_core.scheduler.backfill import SliceOutcome


class SliceBars(SliceLines):
    """Draws on stderr while it is open; what did not succeed leaves a line there."""

    def __init__(self, title: str, total: int) -> None:
        super().__init__(total, verbose=False)
        self._bars = Bars()
        self.errors = self._bars.errors
        self._title = title
        self._rows_read = 0
        self._slices: dict[str, OfSlice] = {}

    def __enter__(self) -> Self:
        self._bars.__enter__()
        self._bars.add(self._title, self._total)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._bars.__exit__(kind, value, trace)

    def began(self, part: Slice) -> Progress:
        progress = self._slices[part.name] = OfSlice(part, self._bars)
        return progress

    def ended(self, outcome: SliceOutcome) -> None:
        progress = self._slices.pop(outcome.slice.name, None)
        for name in progress.names if progress else ():
            self._bars.remove(name)
        with self._lock:
            self._ended += 1
            self._rows_read += outcome.counts["rows_read"]
            self._bars.advance(self._title, self._ended, self._rows_read, f"{self._ended} of {self._total} slices")
        if outcome.status != "succeeded":
            self._bars.say(told(outcome))

    def cancelling(self) -> None:
        self._bars.cancelling()
