"""Partial aggregates in columns: made of rows, kept as runs that grow geometrically, combined when they are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.duck.connection import quote
from ematix_core.model.function import Udaf
from ematix_core.query.tables import TableSql
from ematix_core.streaming.windows.aggregates import aggregations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from ematix_core.model.function import Function
    from ematix_core.model.window import Window


class Groups(TableSql):
    """The SQL of one window's aggregates. For one thread at a time."""

    def __init__(self, window: Window, functions: Sequence[Function] = ()) -> None:
        self.by = [quote(name) for name in window.by]
        self._all = aggregations(window.aggregate, [one.name for one in functions if isinstance(one, Udaf)])
        parts = [part for one in self._all for part in one.parts]
        self.updates = [f"{part.update} AS {quote(part.name)}" for part in parts]
        self.combines = [f"{part.combine} AS {quote(part.name)}" for part in parts]
        self.finishes = [f"{one.finish} AS {quote(one.name)}" for one in self._all]
        super().__init__([*functions, *(one.sketch for one in self._all if one.sketch is not None)])


class Runs:
    """Tables of partial aggregates, of which each is more than twice as long as the next: few, and seldom copied."""

    def __init__(self, combine: Callable[[pa.Table], pa.Table]) -> None:
        self._combine = combine
        self._runs: list[pa.Table] = []

    @property
    def rows(self) -> int:
        """How many rows there are; a group may have one in each run."""
        return sum(run.num_rows for run in self._runs)

    def add(self, run: pa.Table) -> None:
        """Keep one more run."""
        if not run.num_rows:
            return
        merged = [run]
        while self._runs and self._runs[-1].num_rows <= 2 * sum(one.num_rows for one in merged):
            merged.insert(0, self._runs.pop())
        self._runs.append(self._combine(together(merged)) if len(merged) > 1 else run)

    def all(self) -> pa.Table | None:
        """Return all rows, uncombined; None without any."""
        return together(self._runs) if self._runs else None

    def compacted(self) -> pa.Table | None:
        """Combine everything into one run, and return it; None without any."""
        if len(self._runs) > 1:
            self._runs = [self._combine(together(self._runs))]
        return self._runs[0] if self._runs else None

    def keep(self, kept: Callable[[pa.Table], pa.Table]) -> None:
        """Keep of each run what the function returns of it."""
        self._runs = [left for run in self._runs if (left := kept(run)).num_rows]

    def replace(self, run: pa.Table) -> None:
        """Put one run in place of all."""
        self._runs = [run] if run.num_rows else []


def together(tables: list[pa.Table]) -> pa.Table:
    """Return the tables as one; their types widen, as those of columns of which some runs had only NULL."""
    import pyarrow as pa

    same = all(table.schema.equals(tables[0].schema) for table in tables)
    return pa.concat_tables(tables, promote_options="none" if same else "permissive")
