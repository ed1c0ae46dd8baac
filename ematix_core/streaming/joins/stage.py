"""The join of two streams at work: rows of both sides go in, pairs come out, and those that found nothing.

The state is a function of its entries: the rows that a micro-batch added, which rows found another, and where the
watermark was after it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.errors import RunError
from ematix_core.model.changes import ADDED
from ematix_core.streaming.event_times import TIME, EventTimes
from ematix_core.streaming.joins.matching import NUMBERS, Matching
from ematix_core.streaming.joins.waiting import ROW, Waiting, distinct
from ematix_core.streaming.state.entries import Entry
from ematix_core.streaming.windows.groups import together
from ematix_core.streaming.windows.watermark import Watermark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from ematix_core.model.join import Join

    Pair = tuple["pa.Table | None", "pa.Table | None"]


@dataclass(frozen=True)
class Joined:
    """What a micro-batch led to: results to be loaded, if any, and the rows of each side that came too late."""

    results: pa.Table | None
    late: Pair = (None, None)


class JoinStage:
    """One join. For one thread at a time."""

    def __init__(self, join: Join, clock: Callable[[], datetime], now: Callable[[], float] = time.monotonic) -> None:
        self._join = join
        self._matching = Matching(join)
        self._waiting = (Waiting(join.reach[0]), Waiting(join.reach[1]))
        self._watermark = Watermark(join.lateness, join.idle, now)
        self._told: list[int | None] = [None, None]  # up to which watermark rows of each side that found nothing are
        self._arrived = 0
        self._log: list[Entry] = []
        self.times = tuple(
            EventTimes(side.on_time, join.ahead, clock, whose=f"side {side.name}", option="on_time")
            for side in join.sides
        )
        """The times of each side's rows, which are to be good before they are taken."""

    @property
    def watermark(self) -> int | None:
        """Microseconds; None before both sides have had rows."""
        return self._watermark.value

    @property
    def settled(self) -> int | None:
        """Microseconds: no result comes any more whose times, of left and right, are before; None before there are any.

        Of the rows of a pair one is not behind the watermark; the other one, and one that is told alone, is behind it
        by its reach at most.
        """
        at = self._watermark.value
        begun = all(one.empty is not None for one in self._waiting)
        return at - max(self._join.reach) if begun and at is not None else None

    def take(self, rows: Pair, newest: Mapping[str, int], partitions: Iterable[str]) -> Joined:
        """Take a micro-batch with rows of one side or both, of which none has a bad time.

        `newest`: the newest time of each partition of it. `partitions`: all there are, of both sides. Raises
        ConversionError for columns that do not go together, RunError for more rows than may wait.
        """
        late = self._late(rows)
        new = tuple(self._new(side, some) for side, some in enumerate(rows))
        kept = tuple(one.all() if one.empty is not None else None for one in self._waiting)
        self._matching.require(self._waiting[0].empty, self._waiting[1].empty)
        told = []
        if self._waiting[0].empty is not None and self._waiting[1].empty is not None:
            told.append(self._matched(new, kept))
        for waiting, some in zip(self._waiting, new, strict=True):
            if some is not None:
                waiting.add(some)
        self._advance(newest, partitions)
        self._log.append(Entry(None, self._facts()))
        told += self._closed()
        self._require_room()
        told = [one for one in told if one.num_rows]
        return Joined(together(told) if told else None, late)

    def sample(self, rows: Pair) -> pa.Table | None:
        """Return the pairs that these rows alone make; None as long as the columns of one side are not known."""
        new = tuple(self._new(side, some) for side, some in enumerate(rows))
        left, right = self._waiting[0].empty, self._waiting[1].empty
        self._matching.require(left, right)
        return None if left is None or right is None else self._matched(new, (left, right))

    @property
    def behind(self) -> int | None:
        """The side that the watermark waits for, 0 for left and 1 for right; None when neither is further behind."""
        newest = self._watermark.facts()["newest"]
        least = [min((at for name, at in newest.items() if _of(side.name, [name])), default=None)
                 for side in self._join.sides]  # fmt: skip
        if least[0] == least[1]:
            return None
        return 0 if least[1] is not None and (least[0] is None or least[0] < least[1]) else 1

    def tick(self, partitions: Iterable[str], *, drained: bool = False) -> pa.Table | None:
        """Return what found nothing, since no rows come: partitions may be idle by now."""
        before = self._watermark.value
        if self._advance({}, partitions, drained=drained) == before:
            return None
        self._log.append(Entry(None, self._facts()))
        told = self._closed()
        return together(told) if told else None

    def entries(self) -> Sequence[Entry]:
        """Return what was added since the last call."""
        log, self._log = self._log, []
        return log

    def snapshot(self) -> Sequence[Entry]:
        """Return all that is kept, in place of every entry before."""
        self._log = []
        self._let_go(exactly=True)
        entries = []
        for side, waiting in enumerate(self._waiting):
            rows, found = waiting.compacted()
            entries += [Entry(rows, {"side": side})] if rows is not None else []
            entries += [Entry(found, {"found": side})] if found is not None else []
        return [*entries, Entry(None, self._facts())]

    def restore(self, entries: Iterable[Entry]) -> None:
        """Add what was added before, and forget what was told."""
        for entry in entries:
            if entry.rows is None:
                self._watermark.restore(entry.facts)
                self._arrived = entry.facts["arrived"]
                self._closed()
            elif "side" in entry.facts:
                waiting = self._waiting[entry.facts["side"]]
                waiting.add(waiting.fitted(entry.rows))
            else:
                self._waiting[entry.facts["found"]].note(entry.rows)

    def state(self) -> dict[str, Any]:
        """Return what is kept, as plain data for people."""
        self._let_go(exactly=True)
        rows = [one for one, _ in (waiting.compacted() for waiting in self._waiting) if one is not None]
        return {**self._facts(), "rows": sum(one.num_rows for one in rows), "bytes": sum(one.nbytes for one in rows)}

    def interrupt(self) -> None:
        """Stop what runs, from another thread."""
        self._matching.interrupt()

    def close(self) -> None:
        """Release everything."""
        self._matching.close()

    def _advance(self, newest: Mapping[str, int], partitions: Iterable[str], *, drained: bool = False) -> int | None:
        """Let the watermark move; a side that has had no row, and shows no partition, is waited for like one."""
        known = [*partitions, *newest]
        silent = [f"{side.name}/" for side in self._join.sides if not _of(side.name, known)]
        both = all(one.empty is not None for one in self._waiting)
        return self._watermark.advance(newest, [*known, *silent], drained=drained and both)

    def _late(self, rows: Pair) -> Pair:
        """Return the rows of each side that are behind the watermark: what they belong to may be gone."""
        import pyarrow as pa
        import pyarrow.compute as pc

        at = self._watermark.value

        def late(side: int) -> pa.Table | None:
            some = rows[side]
            if at is None or some is None:
                return None
            return some.filter(pc.less(self.times[side].of(some), pa.scalar(at)))

        return late(0), late(1)

    def _new(self, side: int, rows: pa.Table | None) -> pa.Table | None:
        """Return the rows that came in time, as they are kept."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if rows is None:
            return None
        numbers = pa.array(range(self._arrived, self._arrived + rows.num_rows), pa.int64())
        self._arrived += rows.num_rows
        times = self.times[side].of(rows)
        own = [name for name in rows.schema.names if name not in ADDED]
        timed = rows.select(own).append_column(TIME, times).append_column(ROW, numbers)
        if self._watermark.value is not None:
            timed = timed.filter(pc.greater_equal(times, pa.scalar(self._watermark.value)))
        timed = self._waiting[side].fitted(timed)
        self._log.append(Entry(timed, {"side": side}))
        return timed

    def _matched(self, new: Sequence[pa.Table | None], kept: Sequence[pa.Table | None]) -> pa.Table:
        """Return the pairs that new rows make, and note which rows have found another."""

        def of(side: int, tables: Sequence[pa.Table | None]) -> pa.Table:
            empty, some = self._waiting[side].empty, tables[side]
            assert empty is not None  # noqa: S101 - for mypy: it is asked when both sides have columns
            return empty if some is None else some

        found = self._matching.matches((of(0, new), of(1, new)), (of(0, kept), of(1, kept)))
        for side, outer in enumerate(self._join.outer):
            if outer and found.num_rows:
                numbers = distinct(found.select([NUMBERS[side]]))
                self._waiting[side].note(numbers)
                self._log.append(Entry(numbers, {"found": side}))
        return found.drop_columns(list(NUMBERS))

    def _closed(self) -> list[pa.Table]:
        """Return what is told of rows that found nothing until the watermark, and let those go that are done with.

        As long as the other side has had no row, its columns are not known, and they wait.
        """
        after = self._watermark.value
        told: list[pa.Table] = []
        if after is None:
            return told
        for side, waiting in enumerate(self._waiting):
            other = self._waiting[1 - side].empty
            if self._join.outer[side] and waiting.empty is not None and other is not None:
                rows = waiting.over(self._told[side], after)
                told += [] if rows is None else [self._matching.alone(rows, other, side)]
                self._told[side] = after
        self._let_go()
        return told

    def _let_go(self, *, exactly: bool = False) -> None:
        for side, waiting in enumerate(self._waiting):
            until = self._told[side] if self._join.outer[side] else self._watermark.value
            if until is not None:
                waiting.let_go(until, exactly=exactly)

    def _facts(self) -> dict[str, Any]:
        return {**self._watermark.facts(), "arrived": self._arrived}

    def _require_room(self) -> None:
        most = self._join.max_rows
        if sum(one.rows for one in self._waiting) <= most:
            return
        self._let_go(exactly=True)
        counts = [one.rows for one in self._waiting]
        if sum(counts) > most:
            left, right = (side.name for side in self._join.sides)
            raise RunError(
                f"{counts[0]:,} rows of {left} and {counts[1]:,} of {right} wait for others, and max_rows={most:,}",
                hint="Take a shorter time for within=, less lateness, or raise max_rows=.",
            )


def _of(side: str, partitions: Iterable[str]) -> bool:
    """Say whether one of the partitions is of the side."""
    return any(name.startswith(f"{side}/") for name in partitions)
