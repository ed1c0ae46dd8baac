"""The consumer of a join: both sources are polled, and the rows of each wait for those of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ematix_core.streaming.consumer import together
from ematix_core.streaming.joins.stage import JoinStage
from ematix_core.streaming.shaping import Shaping
from ematix_core.streaming.stateful import StatefulConsumer
from ematix_core.streaming.timed import CARRIED, TimedRows

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.streaming.joins.windowed import WindowedJoinStage
    from ematix_core.streaming.pairing import PairedReading, PairedSource
    from ematix_core.streaming.records import Records


class JoinConsumer(StatefulConsumer[JoinStage]):
    """Consumes a join of two streams for one target until it is stopped. Used as `Consumer` is."""

    def interrupt(self) -> None:
        for one in self._shapings:
            one.interrupt()
        super().interrupt()

    def _ready(self) -> None:
        readings = cast("PairedReading", self._reading).sides
        self._shapings = []
        self._timed = []
        for stream, times, reading in zip(self._stream.sides, self._stage.times, readings, strict=True):
            shaping = Shaping(self._env, stream, CARRIED)
            self._open.callback(shaping.close)
            self._shapings.append(shaping)
            self._timed.append(TimedRows(stream, shaping, times, reading.payload, self._looking))
        self._results = TimedRows(self._stream, self._shaping, None, "", self._looking)

    def _land(self, gathered: list[Records]) -> None:
        letters = [one.letters for one in gathered if one.letters is not None]
        source = cast("PairedSource", self._source)
        sides: list[pa.Table | None] = []
        newest: dict[str, int] = {}
        for side, timed in enumerate(self._timed):
            mine = [one for one in gathered if one.side == side and one.rows.num_rows]
            if not mine:
                sides.append(None)
                continue
            shaped, bad = timed.shaped(together([one.rows for one in mine]), together([one.raw for one in mine]))
            letters += [bad] if bad is not None else []
            newest |= timed.newest(shaped, source.partitions(side))
            sides.append(shaped)
        taken = self._stage.take((sides[0], sides[1]), newest, source.positions())
        source.first = self._stage.behind  # so that few rows wait, where one side has many more than the other
        kept = self._stream.join is not None and self._stream.join.late == "dead_letter"
        for late in taken.late:
            self._too_late(late, letters, "it came after those that it could belong to were let go", kept=kept)
        self._count(gathered, letters)
        self._land_results(self._told(taken.results))

    def _told(self, results: pa.Table | None) -> pa.Table | None:
        if results is None:
            return None
        shaped, bad = self._results.shaped(results, results)
        self._count([], [] if bad is None else [bad])
        return shaped


class WindowedJoinConsumer(JoinConsumer):
    """Consumes a join with a window behind it for one target until it is stopped. Used as `Consumer` is."""

    def _ready(self) -> None:
        super()._ready()
        stage = cast("WindowedJoinStage", self._stage)
        self._aggregated = stage.aggregated
        self._results = TimedRows(self._stream, self._shaping, stage.window.times, "", self._looking)

    def _told(self, results: pa.Table | None) -> pa.Table | None:
        letters: list[pa.Table] = []
        shaped = None
        if results is not None:
            shaped, bad = self._results.shaped(results, results)
            letters += [bad] if bad is not None else []
        taken = self._aggregated(shaped)
        kept = self._stream.window is not None and self._stream.window.late == "dead_letter"
        self._too_late(taken.late, letters, "it came after its window was told", kept=kept)
        self._count([], letters)
        return taken.results
