"""DuckDB's types, and columns of a relation without Arrow: importing that takes longer than many a load."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ematix_core import types
from ematix_core.model.table import Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

    from ematix_core.types import ColumnType

# https://duckdb.org/docs/current/sql/data_types/overview: kinds that are missing here cannot be stored (duration).
TYPES = {
    "boolean": "BOOLEAN",
    "tiny_int": "TINYINT", "small_int": "SMALLINT", "integer": "INTEGER", "big_int": "BIGINT",
    "u_tiny_int": "UTINYINT", "u_small_int": "USMALLINT", "u_integer": "UINTEGER", "u_big_int": "UBIGINT",
    "float": "FLOAT", "double": "DOUBLE", "numeric": "DECIMAL({precision},{scale})",
    "text": "VARCHAR", "string": "VARCHAR", "bytes": "BLOB", "uuid": "UUID", "json": "JSON",
    "date": "DATE", "time": "TIME", "time[ns]": "TIME_NS",
    "timestamp": "TIMESTAMP", "timestamp[s]": "TIMESTAMP_S", "timestamp[ms]": "TIMESTAMP_MS",
    "timestamp[ns]": "TIMESTAMP_NS",
    "timestamp_tz": "TIMESTAMPTZ", "timestamp_tz[ns]": "TIMESTAMPTZ_NS",
    "interval": "INTERVAL", "array": "{item}[]", "struct": "STRUCT({fields})", "map": "MAP({key}, {value})",
}  # fmt: skip
LIMITS = {"numeric_precision": 38}

# As DuckDB prints them, and as `columns_from` finds them in the Arrow schema of the same relation.
_KINDS: dict[str, type[ColumnType]] = {
    "BOOLEAN": types.Boolean, "TINYINT": types.TinyInt, "SMALLINT": types.SmallInt, "INTEGER": types.Integer,
    "BIGINT": types.BigInt, "UTINYINT": types.UTinyInt, "USMALLINT": types.USmallInt, "UINTEGER": types.UInteger,
    "UBIGINT": types.UBigInt, "FLOAT": types.Float, "DOUBLE": types.Double, "VARCHAR": types.Text, "BLOB": types.Bytes,
    "DATE": types.Date, "TIMESTAMP": types.Timestamp["us"], "TIMESTAMP WITH TIME ZONE": types.TimestampTZ["us"],
}  # fmt: skip
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


def plain_columns(found: DuckDBPyRelation) -> tuple[Column, ...] | None:
    """Return the columns; None when one has a type that is not among the usual ones."""
    kinds = [_kind(str(kind)) for kind in found.types]
    columns = tuple(Column(name, kind) for name, kind in zip(found.columns, kinds, strict=True) if kind is not None)
    return columns if len(columns) == len(kinds) else None


def _kind(name: str) -> type[ColumnType] | None:
    if decimal := _DECIMAL.fullmatch(name):
        return types.Numeric[int(decimal[1]), int(decimal[2])]
    return _KINDS.get(name)
