"""Columns of a target that the messages of a micro-batch lack, as those with an older schema do: they are NULL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.model.changes import ADDED
from ematix_core.model.mode import Merge, Scd2
from ematix_core.model.table import TableDef
from ematix_core.sql.reads import selects_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.model.table import Column


def follows_messages(stream: Stream) -> bool:
    """Say whether the rows have just the columns of the messages: none are declared, and no SQL picks some by name."""
    if stream.keeps_state or stream.schema is not None or stream.format == "raw":
        return False
    return not stream.transform_sql or selects_all(stream.transform_sql)


def lacking(target: Target, given: Sequence[Column], existing: Sequence[Column] | None) -> tuple[Column, ...]:
    """Return the columns of the table that take NULL and that the rows lack.

    Those that the mode goes by or keeps itself are none of them, nor are those that sources add or that are derived.
    """
    table, mode = target.table, target.mode
    own = {column.name for column in given} | ADDED
    if isinstance(table, TableDef):
        own |= set(table.key()[0])
    if isinstance(mode, Merge | Scd2):
        own |= {*mode.keys, *mode.compare, *mode.beside()}
    if isinstance(mode, Scd2):
        own |= {*mode.history_columns(), mode.last_seen}
    known = table.columns if isinstance(table, TableDef) else existing or ()
    return tuple(one for one in known if one.nullable and not one.derived and one.name not in own)


def with_nulls(rows: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """Return the rows with these columns beside, NULL in each row."""
    import pyarrow as pa

    for column in columns:
        none: pa.Array[Any] = pa.array([None] * rows.num_rows, column.type.to_arrow())
        rows = rows.append_column(column.name, none)
    return rows
