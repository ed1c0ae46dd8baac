"""The SQL of a join: which rows of two tables belong together, and what is told of those that found nothing."""

# ruff: noqa: S608 - statements are built from quoted names and numbers

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.duck.connection import quote
from ematix_core.errors import ConversionError, near
from ematix_core.query.tables import TableSql
from ematix_core.streaming.event_times import TIME
from ematix_core.streaming.joins.waiting import ROW

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.model.join import Join

NUMBERS = ("_ematix_left", "_ematix_right")
"""The columns with the numbers of the rows that were joined."""


class Matching(TableSql):
    """Joins tables in DuckDB. For one thread at a time."""

    def __init__(self, join: Join) -> None:
        super().__init__()
        self._join = join

    def require(self, left: pa.Table | None, right: pa.Table | None) -> None:
        """Raise ConversionError when a key is missing, or both sides have a column of one name."""
        for side, rows, keys in zip(self._join.sides, (left, right), zip(*self._join.on, strict=True), strict=True):
            known = keys if rows is None else rows.schema.names
            for key in keys:
                if key not in known:
                    raise ConversionError(
                        f"side {side.name} has no column {key!r}, which the join goes by",
                        hint=near(key, known) or "Name the columns that both sides have: on=.",
                    )
        if left is None or right is None:
            return
        if both := set(self._told(left, 0)) & set(self._told(right, 1)):
            name, other = min(both), self._join.right.name
            raise ConversionError(
                f"both sides of the join have a column {name!r}",
                hint=f"Rename one in the side's SQL: ematix.side({other!r}, transform_sql="
                f"'SELECT * RENAME ({name} AS {other}_{name}) FROM source').",
            )

    def matches(self, new: tuple[pa.Table, pa.Table], kept: tuple[pa.Table, pa.Table]) -> pa.Table:
        """Return what new rows of each side find in the other, new or kept, with their `NUMBERS`."""
        parts = [(new[0], kept[1]), (new[0], new[1]), (kept[0], new[1])]
        pairs = [(left, right) for left, right in parts if left.num_rows and right.num_rows]
        if not pairs or self._no_keys(*pairs[0]):
            return self.run(f"{self._select(*new)} LIMIT 0", l0=new[0], r0=new[1])
        tables = {f"{side}{at}": one for at, pair in enumerate(pairs) for side, one in zip("lr", pair, strict=True)}
        sql = " UNION ALL ".join(self._select(*pair, at) for at, pair in enumerate(pairs))
        return self.run(f"{sql} ORDER BY {', '.join(NUMBERS)}", **tables)

    def alone(self, rows: pa.Table, other: pa.Table, side: int) -> pa.Table:
        """Return what is told of rows of a side that found nothing; `other`: the other side's columns, no rows."""
        left, right = (rows, other) if side == 0 else (other, rows)
        sql = f"SELECT {self._columns(left, right)} FROM l0 l FULL JOIN r0 r ON false"
        return self.run(f"{sql} ORDER BY {NUMBERS[side]}", l0=left, r0=right).drop_columns(list(NUMBERS))

    def _select(self, left: pa.Table, right: pa.Table, at: int = 0) -> str:
        keys = [f"l.{quote(one)} = r.{quote(other)}" for one, other in self._join.on]
        times = [f"r.{TIME} >= l.{TIME} - {self._join.before}", f"r.{TIME} <= l.{TIME} + {self._join.after}"]
        return f"SELECT {self._columns(left, right)} FROM l{at} l JOIN r{at} r ON {' AND '.join(keys + times)}"

    def _columns(self, left: pa.Table, right: pa.Table) -> str:
        keys = dict(self._join.on) if self._join.outer[1] else {}
        columns = [
            f"coalesce(l.{quote(name)}, r.{quote(keys[name])}) AS {quote(name)}" if name in keys else f"l.{quote(name)}"
            for name in self._told(left, 0)
        ]
        columns += [f"r.{quote(name)}" for name in self._told(right, 1)]
        columns += [f"{side}.{ROW} AS {name}" for side, name in zip("lr", NUMBERS, strict=True)]
        return ", ".join(columns)

    def _told(self, rows: pa.Table, side: int) -> list[str]:
        """Return the columns of a side that results have."""
        inner = {TIME, ROW, *([right for _, right in self._join.on] if side else [])}
        return [name for name in rows.schema.names if name not in inner]

    def _no_keys(self, left: pa.Table, right: pa.Table) -> bool:
        """Say whether a column of the key has never had a value, and so no type that could be compared."""
        import pyarrow as pa

        kinds = [rows.schema.field(pair[side]).type for pair in self._join.on for side, rows in ((0, left), (1, right))]
        return any(pa.types.is_null(kind) for kind in kinds)
