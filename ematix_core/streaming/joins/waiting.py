"""The rows of one side that wait for those of the other, as runs of columns that grow geometrically."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ematix_core.streaming.consumer import together as matching
from ematix_core.streaming.event_times import TIME
from ematix_core.streaming.windows.groups import Runs

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "_ematix_row"
"""The column with the number of a row in the order of arrival."""


class Waiting:
    """Rows with their times and numbers. `reach`: how long after its time a row may still find one that comes.

    Rows that can find nothing any more are let go when they are half of a run: until then they do no harm, as the times
    of what comes are too far from theirs.
    """

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._runs = Runs(lambda rows: rows.combine_chunks())
        self._found = Runs(distinct)
        self.empty: pa.Table | None = None
        """The columns that rows have had; None before the first ones."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._runs.rows

    def fitted(self, rows: pa.Table) -> pa.Table:
        """Return new rows with all columns that there have been. Raises ConversionError for types that do not fit."""
        whole = rows if self.empty is None else matching([self.empty, rows])
        self.empty = whole.slice(0, 0)
        return whole

    def add(self, rows: pa.Table) -> None:
        """Keep rows, which are `fitted`."""
        self._runs.add(rows)

    def all(self) -> pa.Table:
        """Return all rows."""
        assert self.empty is not None  # noqa: S101 - for mypy: it is asked when there have been some
        kept = self._runs.all()
        return self.empty if kept is None else matching([self.empty, kept])

    def note(self, found: pa.Table) -> None:
        """Remember the numbers of rows that have found another, each once."""
        self._found.add(found)

    def over(self, since: int | None, until: int) -> pa.Table | None:
        """Return the rows whose time of finding ended between two watermarks without any found; None without any."""
        import pyarrow as pa
        import pyarrow.compute as pc

        over: list[pa.Table] = []

        def look(run: pa.Table) -> pa.Table:
            ends = run.column(TIME)
            chosen = pc.less(ends, pa.scalar(until - self._reach))
            if since is not None:
                chosen = pc.and_(chosen, pc.greater_equal(ends, pa.scalar(since - self._reach)))
            if (some := run.filter(chosen)).num_rows:
                over.append(some)
            return run

        self._runs.keep(look)
        if not over:
            return None
        rows, found = matching(over), self._found.all()
        if found is not None:
            rows = rows.filter(pc.invert(pc.is_in(rows.column(ROW), value_set=found.column(ROW).combine_chunks())))
        return rows if rows.num_rows else None

    def let_go(self, watermark: int, *, exactly: bool = False) -> None:
        """Forget rows that can find nothing any more; `exactly`: all of them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        before = self._runs.rows

        def left(run: pa.Table) -> pa.Table:
            open_ = pc.greater_equal(run.column(TIME), pa.scalar(watermark - self._reach))
            many = cast("Any", pc).sum(open_).as_py()  # of booleans, too: the type stubs do not know
            if many == run.num_rows or (not exactly and 2 * many > run.num_rows):
                return run
            return run.filter(open_)

        self._runs.keep(left)
        if self._runs.rows < before and self._found.rows:
            kept = self.all().column(ROW).combine_chunks()
            self._found.keep(lambda run: run.filter(pc.is_in(run.column(ROW), value_set=kept)))

    def compacted(self) -> tuple[pa.Table | None, pa.Table | None]:
        """Return the rows, and the numbers of those that have found another."""
        return None if self.empty is None else self.all(), self._found.compacted()


def distinct(numbers: pa.Table) -> pa.Table:
    """Return each number of the one column once, under the name that rows have it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pa.Table.from_arrays([pc.unique(numbers.column(0).combine_chunks())], names=[ROW])
