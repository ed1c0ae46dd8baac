"""Sessions: what is kept are pieces of them, from a first to a last time, which are joined where the gap is bridged.

A session is complete when the watermark has come to its end. With a longest length, pieces are single times: then it
can be cut wherever it has to be.
"""

# ruff: noqa: S608 - statements are built from quoted names and numbers

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from ematix_core.streaming.event_times import TIME
from ematix_core.streaming.windows.groups import Runs, together
from ematix_core.streaming.windows.panes import bounds

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.model.window import Window
    from ematix_core.streaming.windows.groups import Groups

FIRST, LAST = "_ematix_first", "_ematix_last"
"""The columns with the times of a piece's first and last row, in microseconds."""
_NEW, _SESSION, _STARTS, _ENDS = "_ematix_new", "_ematix_session", "_ematix_starts", "_ematix_ends"
_CAME = "_ematix_came"


class Sessions:
    """Implements `Kept` for sessions."""

    def __init__(self, window: Window, groups: Groups) -> None:
        self._window, self._groups = window, groups
        self._runs = Runs(self._combined)

    @property
    def rows(self) -> int:
        return self._runs.rows

    def split(self, rows: pa.Table, watermark: int) -> tuple[pa.Table, pa.Table]:
        import pyarrow.compute as pc

        if pc.min(rows.column(TIME)).as_py() + self._shortest > watermark:
            return rows, rows.slice(0, 0)
        late = self._late(self.parts(rows), watermark)
        if not late.num_rows:
            return rows, rows.slice(0, 0)
        there = f"EXISTS (FROM late WHERE {TIME} BETWEEN {FIRST} AND {LAST}{self._same('late', 'rows')})"
        found = self._groups.run(f"SELECT *, {there} AS {_NEW} FROM rows", rows=rows, late=late)
        is_late, found = found.column(_NEW), found.drop_columns([_NEW])
        return found.filter(pc.invert(is_late)), found.filter(is_late)

    def parts(self, rows: pa.Table) -> pa.Table:
        columns = ", ".join([*self._groups.by, f"min({TIME}) AS {FIRST}", f"max({TIME}) AS {LAST}",
                             *self._groups.updates])  # fmt: skip
        if self._window.longest:
            keys = ", ".join([*self._groups.by, TIME])
            return self._groups.run(f"SELECT {columns} FROM rows GROUP BY {keys}", rows=rows)
        chained = self._chained("rows", TIME, TIME)
        return self._groups.run(f"SELECT {columns} FROM ({chained}) GROUP BY {self._keys(_SESSION)}", rows=rows)

    def add(self, parts: pa.Table) -> None:
        self._runs.add(parts)

    def close(self, before: int | None, after: int) -> pa.Table | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        del before  # what is complete is not kept
        kept = self._runs.all()
        if kept is None or pc.min(kept.column(FIRST)).as_py() + self._shortest > after:
            return None
        known = self._sessions(kept)
        done = pc.less_equal(known.column(_ENDS), pa.scalar(after))
        if not pc.any(done).as_py():
            return None
        self._runs.replace(known.filter(pc.invert(done)).select(kept.schema.names))
        return self._told(known.filter(done))

    def again(self, parts: pa.Table, watermark: int) -> pa.Table | None:
        """Return nothing: what was told is not kept."""
        del parts, watermark
        return None

    def early(self, watermark: int | None) -> pa.Table | None:
        """Return nothing: an open session may still get another start, which is its key."""
        del watermark
        return None

    def compacted(self) -> pa.Table | None:
        return self._runs.compacted()

    @property
    def _shortest(self) -> int:
        """How long after its first row a session is complete at the earliest."""
        return min(self._window.size, self._window.longest or self._window.size)

    def _keys(self, *more: str) -> str:
        return ", ".join([*self._groups.by, *more])

    def _same(self, one: str, other: str) -> str:
        return "".join(f" AND {one}.{name} IS NOT DISTINCT FROM {other}.{name}" for name in self._groups.by)

    def _chained(self, table: str, first: str, last: str) -> str:
        """Return a query of the rows, with the number of the session of its group that each is of."""
        part = f"PARTITION BY {', '.join(self._groups.by)} " if self._groups.by else ""
        seen = f"max({last}) OVER ({part}ORDER BY {first}, {last} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        marked = f"SELECT *, CASE WHEN {first} - {seen} < {self._window.size} THEN 0 ELSE 1 END AS {_NEW} FROM {table}"
        # RANGE: pieces with the same times get the same number, in whichever order they are sorted this time.
        number = f"sum({_NEW}) OVER ({part}ORDER BY {first}, {last} RANGE UNBOUNDED PRECEDING)"
        return f"SELECT * EXCLUDE {_NEW}, CAST({number} AS BIGINT) AS {_SESSION} FROM ({marked})"

    def _sessions(self, pieces: pa.Table) -> pa.Table:
        """Join pieces to sessions; with a longest length, return them as they are, with the session's bounds."""
        if self._window.longest:
            return self._cut(pieces)
        ends = f"max({LAST}) + {self._window.size} AS {_ENDS}"
        columns = [f"min({FIRST}) AS {FIRST}", f"max({LAST}) AS {LAST}", *self._groups.combines,
                   f"min({FIRST}) AS {_STARTS}", ends]  # fmt: skip
        return self._groups.run(
            f"SELECT {self._keys(*columns)} FROM ({self._chained('pieces', FIRST, LAST)}) "
            f"GROUP BY {self._keys(_SESSION)}",
            pieces=pieces,
        )

    def _cut(self, pieces: pa.Table) -> pa.Table:
        """Return the pieces, sorted, with the bounds of the session that each is of: none is longer than may be."""
        import pyarrow as pa

        found = self._groups.run(
            f"SELECT * EXCLUDE {_SESSION}, dense_rank() OVER (ORDER BY {self._keys(_SESSION)}) AS {_NEW} "
            f"FROM ({self._chained('pieces', FIRST, LAST)}) ORDER BY {_NEW}, {FIRST}",
            pieces=pieces,
        )
        times = cast("list[int]", found.column(FIRST).to_pylist())
        numbers = cast("list[int]", found.column(_NEW).to_pylist())
        heads = [at for at, number in enumerate(numbers) if not at or number != numbers[at - 1]] + [len(times)]
        starts: list[int] = []
        ends: list[int] = []
        for head, stop in pairwise(heads):
            at = head
            while at < stop:
                after = bisect_left(times, times[at] + self._window.longest, at, stop)
                starts += [times[at]] * (after - at)
                ends += [min(times[after - 1] + self._window.size, times[at] + self._window.longest)] * (after - at)
                at = after
        kept = found.drop_columns([_NEW])
        return kept.append_column(_STARTS, pa.array(starts, pa.int64())).append_column(
            _ENDS, pa.array(ends, pa.int64())
        )

    def _late(self, parts: pa.Table, watermark: int) -> pa.Table:
        """Return the parts whose session would have been complete before they came, and has none that is kept."""
        import pyarrow as pa

        kept = self._runs.all()
        old = kept if kept is not None else parts.slice(0, 0)
        marked = together([
            one.append_column(_CAME, pa.repeat(pa.scalar(came, pa.int64()), one.num_rows))
            for one, came in ((old, 0), (parts, 1))
        ])  # fmt: skip
        if self._window.longest:
            known, session, ends = self._cut(marked), _STARTS, f"max({_ENDS})"
        else:
            known = self._groups.run(self._chained("marked", FIRST, LAST), marked=marked)
            session, ends = _SESSION, f"max({LAST})"
        over = f"OVER (PARTITION BY {self._keys(session)})"
        end = f"{ends} {over}" if self._window.longest else f"{ends} {over} + {self._window.size}"
        late = f"SELECT *, min({_CAME}) {over} = 1 AND {end} <= {watermark} AS {_NEW} FROM known"
        return self._groups.run(f"SELECT {self._keys(FIRST, LAST)} FROM ({late}) WHERE {_NEW}", known=known)

    def _combined(self, pieces: pa.Table) -> pa.Table:
        if not self._window.longest:
            return self._sessions(pieces).drop_columns([_STARTS, _ENDS])
        columns = self._keys(FIRST, f"max({LAST}) AS {LAST}", *self._groups.combines)
        return self._groups.run(f"SELECT {columns} FROM pieces GROUP BY {self._keys(FIRST)}", pieces=pieces)

    def _told(self, known: pa.Table) -> pa.Table | None:
        """Return the results of sessions; those of which there are several pieces are combined."""
        inner = self._keys(_STARTS, f"max({_ENDS}) AS {_ENDS}", *self._groups.combines)
        columns = [*self._groups.by, *bounds(_STARTS, _ENDS), *self._groups.finishes]
        found = self._groups.run(
            f"SELECT {', '.join(columns)} FROM (SELECT {inner} FROM known GROUP BY {self._keys(_STARTS)})",
            known=known,
        )
        return found if found.num_rows else None
