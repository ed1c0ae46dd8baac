"""Tumbling and hopping windows: partial aggregates are kept for each pane, a piece that every window has whole or not.

A pane is kept as long as a window that it is in is open, or may be opened again.
"""

# ruff: noqa: S608 - statements are built from quoted names and numbers

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.duck.connection import quote
from ematix_core.model.window import END, START
from ematix_core.streaming.event_times import TIME
from ematix_core.streaming.windows.groups import Runs, together

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.model.window import Window
    from ematix_core.streaming.windows.groups import Groups

PANE = "_ematix_pane"
"""The column with the time that a pane begins, in microseconds."""


class Panes:
    """Implements `Kept` for windows of one length."""

    def __init__(self, window: Window, groups: Groups) -> None:
        self._window, self._groups = window, groups
        self._keys = ", ".join([*groups.by, PANE])
        self._runs = Runs(self._combined)
        self._fresh: list[pa.Table] = []  # what came since open windows were told

    @property
    def rows(self) -> int:
        return self._runs.rows

    def split(self, rows: pa.Table, watermark: int) -> tuple[pa.Table, pa.Table]:
        import pyarrow as pa
        import pyarrow.compute as pc

        late = pc.less(rows.column(TIME), pa.scalar(self._done(watermark)))
        if not pc.any(late).as_py():
            return rows, rows.slice(0, 0)
        return rows.filter(pc.invert(late)), rows.filter(late)

    def parts(self, rows: pa.Table) -> pa.Table:
        pane = f"{_floor(TIME, self._window.pane())} AS {PANE}"
        columns = ", ".join([*self._groups.by, pane, *self._groups.updates])
        return self._groups.run(f"SELECT {columns} FROM rows GROUP BY {self._keys}", rows=rows)

    def add(self, parts: pa.Table) -> None:
        self._runs.add(parts)
        if self._window.early is not None and parts.num_rows:
            self._fresh.append(parts)

    def close(self, before: int | None, after: int) -> pa.Table | None:
        size, kept = self._window.size, self._runs.all()
        if kept is None:
            return None
        condition = f"{START} + {size} <= {after}"
        if before is not None:
            condition += f" AND {START} + {size} > {before}"
        told = self._told(_pick(kept, None, after - size + self._window.size), condition)
        bound = self._done(after)
        self._runs.keep(lambda run: _pick(run, bound, None))
        return told

    def again(self, parts: pa.Table, watermark: int) -> pa.Table | None:
        size, keep = self._window.size, self._window.keep
        condition = f"{START} + {size} <= {watermark} AND {START} + {size + keep} > {watermark}"
        return self._touched(parts, condition)

    def early(self, watermark: int | None) -> pa.Table | None:
        if not self._fresh:
            return None
        fresh, self._fresh = together(self._fresh), []
        return self._touched(fresh, f"{START} + {self._window.size} > {watermark}" if watermark is not None else "true")

    def compacted(self) -> pa.Table | None:
        return self._runs.compacted()

    def _done(self, watermark: int) -> int:
        """Return the time before which rows have only windows that are complete, and not to be opened again."""
        every = self._window.every
        return (watermark - self._window.size - self._window.keep) // every * every + every

    def _combined(self, rows: pa.Table) -> pa.Table:
        columns = ", ".join([self._keys, *self._groups.combines])
        return self._groups.run(f"SELECT {columns} FROM rows GROUP BY {self._keys}", rows=rows)

    def _touched(self, parts: pa.Table, condition: str) -> pa.Table | None:
        """Return the results of those windows that the parts are in, of all that is kept."""
        kept = self._runs.all()
        if kept is None or not parts.num_rows:
            return None
        names = [*self._groups.by, START]
        same = " AND ".join(f"w.{name} IS NOT DISTINCT FROM t.{name}" for name in names)
        touched = f"SELECT DISTINCT {', '.join(names)} FROM ({self._windows('parts')})"
        return self._told(kept, condition, f"WHERE EXISTS (FROM ({touched}) t WHERE {same})", parts=parts)

    def _windows(self, table: str) -> str:
        """Return a query of the rows, once for each window that they are in."""
        size, every = self._window.size, self._window.every
        start = _floor(PANE, every)
        if size == every:
            return f"SELECT *, {PANE} AS {START} FROM {table}"
        several = f"SELECT *, unnest(range(0, {-(-size // every)})) AS _ematix_back FROM {table}"
        return (
            f"SELECT * FROM (SELECT *, {start} - _ematix_back * {every} AS {START} FROM ({several})) "
            f"WHERE {START} + {size} > {PANE}"
        )

    def _told(self, kept: pa.Table, condition: str, extra: str = "", **tables: pa.Table) -> pa.Table | None:
        if not kept.num_rows:
            return None
        keys = ", ".join([*self._groups.by, START])
        inner = (
            f"SELECT {', '.join([keys, *self._groups.combines])} "
            f"FROM (FROM ({self._windows('kept')}) WHERE {condition}) w {extra} GROUP BY {keys}"
        )
        found = self._groups.run(
            f"SELECT {', '.join([*self._groups.by, *bounds(START, f'{START} + {self._window.size}')])}, "
            f"{', '.join(self._groups.finishes)} FROM ({inner})",
            kept=kept, **tables,
        )  # fmt: skip
        return found if found.num_rows else None


def bounds(start: str, end: str) -> list[str]:
    """Return the columns with the times of a window, of expressions in microseconds."""
    return [f"make_timestamptz({start}) AS {quote(START)}", f"make_timestamptz({end}) AS {quote(END)}"]


def _floor(time: str, width: int) -> str:
    """Return the multiple of `width` that is not after the time, before 1970 too."""
    return f"{time} - (({time} % {width}) + {width}) % {width}"


def _pick(run: pa.Table, least: int | None, below: int | None) -> pa.Table:
    """Return the rows whose pane begins at `least` or later, and before `below`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if least is not None:
        run = run.filter(pc.greater_equal(run.column(PANE), pa.scalar(least)))
    return run if below is None else run.filter(pc.less(run.column(PANE), pa.scalar(below)))
