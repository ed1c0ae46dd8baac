"""Values as Kafka Connect and Debezium write them, and the columns that hold them.

A field has a wire type, and a name that says what its values mean: days, microseconds, the bytes of a decimal.
https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-data-types,
https://docs.confluent.io/platform/current/schema-registry/connect.html#json-schema
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core import types
from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.codecs.json_columns import MisfitError, finished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.model.table import Column
    from ematix_core.types import ColumnType

DECIMAL = "org.apache.kafka.connect.data.Decimal"
_VARIABLE = "io.debezium.data.VariableScaleDecimal"
_DIGITS = "digits"
"""Name of our own: a decimal as text."""
_TYPES: Mapping[str, type[ColumnType]] = {
    "org.apache.kafka.connect.data.Date": types.Date,
    "org.apache.kafka.connect.data.Time": types.Time["ms"],
    "org.apache.kafka.connect.data.Timestamp": types.Timestamp["ms"],
    "io.debezium.time.Date": types.Date,
    "io.debezium.time.Time": types.Time["ms"],
    "io.debezium.time.MicroTime": types.Time,
    "io.debezium.time.NanoTime": types.Time["ns"],
    "io.debezium.time.Timestamp": types.Timestamp["ms"],
    "io.debezium.time.MicroTimestamp": types.Timestamp,
    "io.debezium.time.NanoTimestamp": types.Timestamp["ns"],
    "io.debezium.time.ZonedTimestamp": types.TimestampTZ,
    "io.debezium.time.IsoDate": types.Date,
    "io.debezium.time.IsoTime": types.Time,
    "io.debezium.time.IsoTimestamp": types.Timestamp,
    "io.debezium.data.Uuid": types.UUID,
    "io.debezium.data.Json": types.JSON,
    _VARIABLE: types.Text,
}
_NAMES = {
    kind: name
    for name, kind in _TYPES.items()
    if name.startswith("io.debezium.") and ".Iso" not in name and name != _VARIABLE
}
"""How the values of a type stand in a message without a schema, as Debezium writes them by default."""
_TEXTS = frozenset({"timestamp_tz", "uuid", "json", "string"})
_WIRE: Mapping[str, type[ColumnType]] = {
    "int8": types.TinyInt, "int16": types.SmallInt, "int32": types.Integer, "int64": types.BigInt,
    "float": types.Double, "double": types.Double, "boolean": types.Boolean, "string": types.Text,
    "bytes": types.Text,
}  # fmt: skip
_NARROW = (pa.date32(), pa.time32("ms"))
_EXACT = Context(prec=100)
_MOST_DIGITS = 38
"""Of a decimal whose schema does not say how many it has: as many as every system takes."""


@dataclass(frozen=True)
class ConnectField:
    """A field of the rows: what it is read as, what its values mean, and the column that holds them."""

    name: str
    wire: type[ColumnType]
    logical: str
    type: type[ColumnType]


def field_of(schema: Mapping[str, Any]) -> ConnectField:
    """Return the field of a schema of Connect, as messages in JSON have it beside them."""
    name, kind, logical = schema["field"], schema["type"], schema.get("name") or ""
    wire = _wire(schema)
    given = schema.get("parameters") or {}
    if logical == DECIMAL:
        digits = int(given.get("connect.decimal.precision", _MOST_DIGITS))
        return ConnectField(name, wire, logical, types.Numeric[digits, int(given.get("scale", 0))])
    plain: type[ColumnType] = {"bytes": types.Bytes, "float": types.Float}.get(kind, wire)
    return ConnectField(name, wire, logical, _TYPES.get(logical, plain))


def _wire(schema: Mapping[str, Any]) -> type[ColumnType]:
    match schema["type"]:
        case "array":
            return types.Array[_wire(schema["items"])]
        case "map":
            return types.Map[types.Text, _wire(schema["values"])]
        case "struct":
            return types.Struct[tuple((one["field"], _wire(one)) for one in schema["fields"])]
    return _WIRE[schema["type"]]


def declared_field(column: Column, decimals: str) -> ConnectField:
    """Return how a declared column stands in messages in JSON that have no schema."""
    kind = column.type
    if kind.kind == "numeric":
        logical = {"precise": DECIMAL, "string": _DIGITS}.get(decimals, "")
        return ConnectField(column.name, types.Text if logical else kind, logical, kind)
    if kind.kind in _TEXTS:
        return ConnectField(column.name, types.Text, "", kind)
    if logical := _NAMES.get(kind, ""):
        return ConnectField(column.name, types.BigInt, logical, kind)
    wire = {"bytes": types.Text, "float": types.Double}.get(kind.kind, kind)
    return ConnectField(column.name, wire, "", kind)


def avro_field(column: Column, schema: Any) -> ConnectField:  # noqa: ANN401 - a schema: text, list or object of JSON
    """Return the field of a record that Connect wrote; what Avro has a logical type for, it has read already."""
    branches = schema if isinstance(schema, list) else [schema]
    said = next((one for one in branches if isinstance(one, dict) and "logicalType" not in one), {})
    narrow = {"int8": types.TinyInt, "int16": types.SmallInt}.get(said.get("connect.type", ""), column.type)
    logical = said.get("connect.name", "")
    return ConnectField(column.name, column.type, logical, _TYPES.get(logical, narrow))


def typed(values: Values, field: ConnectField) -> Values:
    """Return the values in the field's type. Raises ValueError or ArrowException for one that does not fit."""
    kind = field.type.to_arrow()
    if field.logical == DECIMAL:
        return _decimals(values, field.type)
    if field.logical == _VARIABLE:
        return _scaled(values)
    if pa.types.is_string(values.type) and field.type is not types.Text and field.logical != _DIGITS:
        return _parsed(values, field)
    if pa.types.is_integer(values.type) and field.logical:
        values = values.cast(pa.int32() if kind in _NARROW else pa.int64())
    made = values if values.type.equals(kind) else values.cast(kind)
    made.validate(full=True)
    return made


def _parsed(texts: Values, field: ConnectField) -> Values:
    if field.type is types.JSON:
        return arrow.ExtensionArray.from_storage(field.type.to_arrow(), texts)
    if field.logical.startswith("io.debezium.time.Iso"):
        texts = compute.utf8_rtrim(texts, characters="Z")
    return finished(texts, field.type)


def _decimals(values: Values, kind: type[ColumnType]) -> Values:
    """Return decimals of their bytes, the first of which counts most; each value that occurs is made once."""
    found = values.dictionary_encode()
    made = [_exact(_bytes(value), kind.parameters["scale"]) for value in found.dictionary.to_pylist()]
    return arrow.array(made, kind.to_arrow()).take(found.indices)


def _bytes(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise MisfitError(
            f"{value!r} is no base64, as which Debezium writes decimals; by decimal.handling.mode others, which the "
            'option decimals="string" or "double" says'
        ) from error


def _exact(value: bytes, scale: int) -> Decimal:
    return Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale, _EXACT)


def _scaled(values: Values) -> Values:
    """Return decimals that have their scale beside them, as their digits."""
    return arrow.array(
        [
            None if one is None else f"{_exact(_bytes(one['value']), one['scale']):f}"
            for one in values.to_pylist()
        ],
        pa.string(),
    )  # fmt: skip
