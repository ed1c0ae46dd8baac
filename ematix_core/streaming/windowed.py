"""The consumer of a stream with a window: rows are kept as partial aggregates, until their window is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.streaming.consumer import together
from ematix_core.streaming.stateful import StatefulConsumer
from ematix_core.streaming.timed import CARRIED, TimedRows
from ematix_core.streaming.windows.stage import WindowStage

if TYPE_CHECKING:
    from ematix_core.streaming.records import Records


class WindowConsumer(StatefulConsumer[WindowStage]):
    """Consumes a stream with a window for one target until it is stopped. Used as `Consumer` is."""

    carried = CARRIED

    def _ready(self) -> None:
        self._timed = TimedRows(self._stream, self._shaping, self._stage.times, self._reading.payload, self._looking)

    def _land(self, gathered: list[Records]) -> None:
        rows, raw = together([one.rows for one in gathered]), together([one.raw for one in gathered])
        letters = [one.letters for one in gathered if one.letters is not None]
        if not rows.num_rows:  # every record is bad, so that no columns need be known
            self._count(gathered, letters)
            self._idle()
            return
        shaped, bad = self._timed.shaped(rows, raw)
        letters += [bad] if bad is not None else []
        partitions = list(self._source.positions())
        taken = self._stage.take(shaped, self._timed.newest(shaped, partitions), partitions)
        kept = self._stream.window is not None and self._stream.window.late == "dead_letter"
        self._too_late(taken.late, letters, "it came after its window was told", kept=kept)
        self._count(gathered, letters)
        self._land_results(taken.results)
