"""The window of a stream at work: rows go in, results of complete windows come out; what is kept is told as entries.

The state is a function of its entries: each is what one micro-batch added, and where the watermark was after it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.errors import RunError
from ematix_core.streaming.event_times import TIME, EventTimes
from ematix_core.streaming.state.entries import Entry
from ematix_core.streaming.windows.aggregates import ARRIVAL
from ematix_core.streaming.windows.groups import Groups, together
from ematix_core.streaming.windows.panes import Panes
from ematix_core.streaming.windows.sessions import Sessions
from ematix_core.streaming.windows.watermark import Watermark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from ematix_core.model.function import Function
    from ematix_core.model.window import Window
    from ematix_core.streaming.windows.kept import Kept


_END = 1 << 61
"""Microseconds: a time after all others."""


@dataclass(frozen=True)
class Taken:
    """What a micro-batch led to: results to be loaded, if any, and the rows that came too late."""

    results: pa.Table | None
    late: pa.Table | None = None


class WindowStage:
    """One window. For one thread at a time."""

    def __init__(
        self, window: Window, clock: Callable[[], datetime], functions: Sequence[Function] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._window, self._now = window, now
        self.times = EventTimes(window.on, window.ahead, clock, whose="the window", option="on", by=window.by)
        """The times of rows, which are to be good before they are taken."""
        self._groups = Groups(window, functions)
        self._kept = kept_of(window, self._groups)
        self._watermark = Watermark(window.lateness, window.idle, now)
        self._arrived = 0
        self._told = now()
        self._log: list[Entry] = []

    @property
    def watermark(self) -> int | None:
        """Microseconds; None before the first row."""
        return self._watermark.value

    def take(self, rows: pa.Table, newest: Mapping[str, int], partitions: Iterable[str]) -> Taken:
        """Take the rows of a micro-batch, of which none has a bad time.

        `newest`: the newest time of each partition of it. Raises RunError for more groups than may be.
        """
        import pyarrow as pa

        before = self._watermark.value
        timed = rows.append_column(TIME, self.times.of(rows))
        numbers = pa.array(range(self._arrived, self._arrived + rows.num_rows), pa.int64())
        self._arrived += rows.num_rows
        timed = timed.append_column(ARRIVAL, numbers)
        late = None
        if before is not None and rows.num_rows:
            timed, late = self._kept.split(timed, before)
        parts = self._kept.parts(timed) if rows.num_rows else None
        after = self._watermark.advance(newest, partitions)
        return Taken(self._applied(parts, before, after), None if late is None else late.select(rows.schema.names))

    def sample(self, rows: pa.Table) -> pa.Table:
        """Return the results of these rows alone, as if every window were complete; keeps nothing."""
        import pyarrow as pa

        numbers = pa.array(range(rows.num_rows), pa.int64())
        timed = rows.append_column(TIME, self.times.of(rows)).append_column(ARRIVAL, numbers)
        kept = kept_of(self._window, self._groups)
        kept.add(kept.parts(timed))
        return kept.close(None, _END) or rows.slice(0, 0).select([])

    def tick(
        self, partitions: Iterable[str], newest: Mapping[str, int] | None = None, *, drained: bool = False
    ) -> pa.Table | None:
        """Return the results of windows that are complete since no rows come: partitions may be idle by now.

        `newest`: times that partitions have come to all the same.
        """
        before = self._watermark.value
        after = self._watermark.advance(newest or {}, partitions, drained=drained)
        return self._applied(None, before, after) if after != before else self._early()

    def entries(self) -> Sequence[Entry]:
        """Return what was added since the last call."""
        log, self._log = self._log, []
        return log

    def snapshot(self) -> Sequence[Entry]:
        """Return all that is kept, in place of every entry before."""
        self._log = []
        return [Entry(self._kept.compacted(), self._facts())]

    def restore(self, entries: Iterable[Entry]) -> None:
        """Add what was added before, and forget what was told."""
        for entry in entries:
            if entry.rows is not None:
                self._kept.add(entry.rows)
            before, after = self._watermark.value, entry.facts["watermark"]
            if after is not None and (after != before or entry.rows is not None):
                self._kept.close(before, after)
            self._watermark.restore(entry.facts)
            self._arrived = entry.facts["arrived"]
        self._kept.early(self._watermark.value)

    def state(self) -> dict[str, Any]:
        """Return what is kept, as plain data for people."""
        kept = self._kept.compacted()
        return {**self._facts(), "groups": kept.num_rows if kept is not None else 0,
                "bytes": kept.nbytes if kept is not None else 0}  # fmt: skip

    def interrupt(self) -> None:
        """Stop what runs, from another thread."""
        self._groups.interrupt()

    def close(self) -> None:
        """Release everything."""
        self._groups.close()

    def _applied(self, parts: pa.Table | None, before: int | None, after: int | None) -> pa.Table | None:
        """Add parts, let the watermark move, and return what is to be told."""
        self._log.append(Entry(parts, self._facts()))
        told = []
        if parts is not None:
            self._kept.add(parts)
            self._require_room()
            if before is not None and self._window.keep:
                told.append(self._kept.again(parts, before))
        # Rows may complete a session although the watermark stands: an older one cuts what is longer than may be.
        if after is not None and (after != before or parts is not None):
            told.append(self._kept.close(before, after))
        told.append(self._early())
        some = [one for one in told if one is not None]
        return together(some) if some else None

    def _early(self) -> pa.Table | None:
        if self._window.early is None or self._now() - self._told < self._window.early:
            return None
        self._told = self._now()
        return self._kept.early(self._watermark.value)

    def _facts(self) -> dict[str, Any]:
        return {**self._watermark.facts(), "arrived": self._arrived}

    def _require_room(self) -> None:
        most = self._window.max_groups
        if self._kept.rows <= most:
            return
        kept = self._kept.compacted()
        if kept is not None and kept.num_rows > most:
            raise RunError(
                f"{kept.num_rows:,} results are open, and max_groups={most:,}",
                hint="Take columns with fewer values for by=, shorter windows or less lateness, or raise max_groups=.",
            )


def kept_of(window: Window, groups: Groups) -> Kept:
    """Return what keeps the partial aggregates of such a window."""
    return Sessions(window, groups) if window.kind == "session" else Panes(window, groups)
