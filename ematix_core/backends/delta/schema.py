"""Columns and the schema of a table's log, without Arrow where types are the usual ones: it takes 0.1 s to import.

https://github.com/delta-io/delta/blob/master/PROTOCOL.md#schema-serialization-format
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ematix_core import types
from ematix_core.model.table import Column, columns_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake import Field, Schema

    from ematix_core.types import ColumnType

_KINDS: dict[str, type[ColumnType]] = {
    "boolean": types.Boolean, "byte": types.TinyInt, "short": types.SmallInt, "integer": types.Integer,
    "long": types.BigInt, "float": types.Float, "double": types.Double, "string": types.Text, "binary": types.Bytes,
    "date": types.Date, "timestamp": types.TimestampTZ["us"], "timestamp_ntz": types.Timestamp["us"],
}  # fmt: skip
_NAMES = {kind: name for name, kind in _KINDS.items()}
_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")
_MOST_DIGITS = 38
_EXTENSION = "ARROW:extension:name"
"""In the metadata of a column that is more than its type to those who know Arrow, such as JSON."""


def columns_of(schema: Schema) -> tuple[Column, ...]:
    """Return the columns of a table. Raises UnsupportedError naming one that no column type fits."""
    fields = json.loads(schema.to_json())["fields"]
    kinds = [None if _EXTENSION in field["metadata"] else _kind(field["type"]) for field in fields]
    columns = tuple(
        Column(field["name"], kind, field["nullable"])
        for field, kind in zip(fields, kinds, strict=True)
        if kind is not None
    )
    return columns if len(columns) == len(fields) else _by_arrow(schema)


def schema_of(columns: Sequence[Column]) -> Schema:
    """Return the schema that a table with these columns has in its log."""
    from deltalake import Schema

    return Schema([_field(column) for column in columns])


def _kind(described: Any) -> type[ColumnType] | None:  # noqa: ANN401 - a name, or an object for a nested type
    if not isinstance(described, str):
        return None
    if decimal := _DECIMAL.fullmatch(described):
        return types.Numeric[int(decimal[1]), int(decimal[2])]
    return _KINDS.get(described)


def _by_arrow(schema: Schema) -> tuple[Column, ...]:
    import pyarrow as pa

    arrow: Any = schema.to_arrow()
    return columns_from(pa.schema(arrow))


def _field(column: Column) -> Field:
    from deltalake import Field
    from deltalake.schema import PrimitiveType

    name, digits = _NAMES.get(column.type), column.type.parameters
    if column.type.kind == "numeric" and digits["precision"] <= _MOST_DIGITS:
        name = f"decimal({digits['precision']},{digits['scale']})"
    if name is None:
        import pyarrow as pa

        arrow: Any = pa.field(column.name, column.type.to_arrow(), column.nullable)
        return Field.from_arrow(arrow)
    return Field(column.name, PrimitiveType(name), nullable=column.nullable)
