"""Avro schemas and columns: which column a field of a record becomes, and which field a column.

https://avro.apache.org/docs/1.12.0/specification/
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core import types
from ematix_core.errors import DeclarationError, UnsupportedError
from ematix_core.model.table import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.types import ColumnType

_PRIMITIVES: Mapping[str, type[ColumnType]] = {
    "null": types.Unknown, "boolean": types.Boolean, "int": types.Integer, "long": types.BigInt,
    "float": types.Float, "double": types.Double, "bytes": types.Bytes, "string": types.Text,
}  # fmt: skip
_LOGICAL: Mapping[tuple[str, str], type[ColumnType]] = {
    ("int", "date"): types.Date,
    ("int", "time-millis"): types.Time["ms"],
    ("long", "time-micros"): types.Time,
    ("string", "uuid"): types.UUID,
    **{
        ("long", f"{prefix}timestamp-{word}"): base[unit]
        for prefix, base in (("", types.TimestampTZ), ("local-", types.Timestamp))
        for word, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
    },
}
_WRITTEN: Mapping[str, object] = {
    "boolean": "boolean", "tiny_int": "int", "small_int": "int", "integer": "int", "u_tiny_int": "int",
    "u_small_int": "int", "big_int": "long", "u_integer": "long", "float": "float", "double": "double",
    "text": "string", "string": "string", "bytes": "bytes", "date": {"type": "int", "logicalType": "date"},
    "uuid": {"type": "string", "logicalType": "uuid"},
}  # fmt: skip
_WORDS = {"s": "millis", "ms": "millis", "us": "micros", "ns": "nanos"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_DIGITS = 76


@dataclass(frozen=True)
class Field:
    """A field of the record: its column, or None with the reason why no column can hold it."""

    name: str
    column: Column | None
    reason: str = ""


def parsed(text: str, where: str) -> dict[str, Any]:
    """Return the schema of a record. Raises DeclarationError for what is none."""
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise DeclarationError(f"the Avro schema is no JSON: {error}", where=where) from error
    if not isinstance(schema, dict) or schema.get("type") != "record" or not isinstance(schema.get("fields"), list):
        raise DeclarationError("the Avro schema is not that of a record", where=where,
                               hint='Write {"type": "record", "name": ..., "fields": [...]}.')  # fmt: skip
    return schema


def inlined(schema: Any, namespace: str = "", known: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - as plain
    """Return the schema with each named type in the places that name it; within itself, its name stays.

    https://avro.apache.org/docs/1.12.0/specification/#names
    """
    known = {} if known is None else known
    if isinstance(schema, str):
        full = schema if "." in schema or schema in _PRIMITIVES else f"{namespace}.{schema}".lstrip(".")
        return known.get(full, schema)
    if isinstance(schema, list):
        return [inlined(one, namespace, known) for one in schema]
    if "name" not in schema or schema["type"] not in {"record", "enum", "fixed"}:
        inner = {key: inlined(schema[key], namespace, known) for key in ("type", "items", "values") if key in schema}
        return schema | inner
    name = str(schema["name"])
    space = name.rpartition(".")[0] or schema.get("namespace", namespace)
    if "fields" in schema:
        fields = [one | {"type": inlined(one["type"], space, known)} for one in schema["fields"]]
        schema = schema | {"fields": fields}
    known[f"{space}.{name.rpartition('.')[2]}".lstrip(".")] = schema
    return schema


def plain(schema: Any) -> Any:  # noqa: ANN401 - a schema: text, list or object of JSON
    """Return the schema without its logical types: the values under them are converted here, exactly."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: plain(value) for key, value in schema.items() if key in {"type", "items", "values"}}
    if "fields" in schema:
        inner["fields"] = [one | {"type": plain(one["type"])} for one in schema["fields"]]
    return {key: value for key, value in schema.items() if key != "logicalType"} | inner


def fields_of(schema: dict[str, Any]) -> tuple[Field, ...]:
    """Return the fields of a record in their order."""
    found = []
    for one in schema["fields"]:
        kind, nullable = _without_null(one["type"])
        try:
            column = Column(one["name"], column_type(kind), nullable=nullable)
        except UnsupportedError as error:
            found.append(Field(one["name"], None, error.what))
        else:
            found.append(Field(one["name"], column))
    return tuple(found)


def _without_null(schema: Any) -> tuple[Any, bool]:  # noqa: ANN401 - as plain
    if isinstance(schema, list):
        others = [one for one in schema if one != "null"]
        if len(others) == 1:
            return others[0], len(others) < len(schema)
    return schema, schema == "null"


def column_type(schema: Any, *, inner: bool = False) -> type[ColumnType]:  # noqa: ANN401, PLR0911 - as plain; one line a type
    """Return the type of a column that holds the values. Raises UnsupportedError when none does."""
    schema, _ = _without_null(schema)
    if isinstance(schema, list):
        raise UnsupportedError("a union of several types fits no column")
    if isinstance(schema, str):
        schema = {"type": schema}
    kind, logical = schema["type"], schema.get("logicalType", "")
    if not isinstance(kind, str):
        return column_type(kind, inner=inner)
    if logical == "decimal" and kind in {"bytes", "fixed"} and schema["precision"] <= _MOST_DIGITS:
        return types.Numeric[schema["precision"], schema.get("scale", 0)]
    if kind in _PRIMITIVES:
        if inner and logical == "uuid":
            return types.Text  # Arrow builds no UUIDs within other values
        return _LOGICAL.get((kind, logical), _PRIMITIVES[kind])
    match kind:
        case "enum":
            return types.Text
        case "fixed":
            return types.Bytes
        case "array":
            return types.Array[column_type(schema["items"], inner=True)]
        case "map":
            return types.Map[types.Text, column_type(schema["values"], inner=True)]
        case "record" if schema["fields"]:
            return types.Struct[tuple((one["name"], column_type(one["type"], inner=True)) for one in schema["fields"])]
    raise UnsupportedError(f"{kind!r}, a type that is named and used again, or has no fields, fits no column")


def has_fixed_decimal(schema: Any) -> bool:  # noqa: ANN401 - as plain
    """Say whether a decimal is a fixed number of bytes anywhere in the schema."""
    if isinstance(schema, list):
        return any(map(has_fixed_decimal, schema))
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "fixed" and schema.get("logicalType") == "decimal":
        return True
    return any(has_fixed_decimal(schema.get(part)) for part in ("type", "items", "values", "fields"))


def schema_of(columns: Sequence[Column], name: str) -> str:
    """Return the schema of records with these columns. Raises UnsupportedError naming a column that has no form."""
    record = re.sub(r"\W", "_", name, flags=re.ASCII)
    counter = iter(range(len(columns) * 1000))
    fields: list[dict[str, object]] = []
    for column in columns:
        try:
            fields.append(_field(column.name, column.type, nullable=column.nullable, counter=counter))
        except UnsupportedError as error:
            raise error.at(f"column {column.name!r}") from None
    return json.dumps({"type": "record", "name": record if _NAME.fullmatch(record) else f"_{record}", "fields": fields})


def _field(name: str, kind: type[ColumnType], *, nullable: bool, counter: Any) -> dict[str, object]:  # noqa: ANN401 - an iterator of numbers
    if not _NAME.fullmatch(name):
        raise UnsupportedError(f"{name!r} is no name in Avro", hint="Name it with letters, digits and _ in the query.")
    if not nullable:
        return {"name": name, "type": _written(kind, counter)}
    return {"name": name, "type": ["null", _written(kind, counter)], "default": None}


def _written(kind: type[ColumnType], counter: Any) -> object:  # noqa: ANN401, PLR0911 - as column_type
    parameters, unit = kind.parameters, kind.parameters.get("unit", "")
    if kind.kind in _WRITTEN:
        return _WRITTEN[kind.kind]
    match kind.kind:
        case "numeric":
            return {"type": "bytes", "logicalType": "decimal", **parameters}
        case "timestamp" | "timestamp_tz":
            prefix = "local-" if kind.kind == "timestamp" else ""
            return {"type": "long", "logicalType": f"{prefix}timestamp-{_WORDS[unit]}"}
        case "time" if unit != "ns":
            return {"type": "long" if unit == "us" else "int", "logicalType": f"time-{_WORDS[unit]}"}
        case "array":
            return {"type": "array", "items": ["null", _written(parameters["item"], counter)]}
        case "map" if parameters["key"].kind == "text":
            return {"type": "map", "values": ["null", _written(parameters["value"], counter)]}
        case "struct":
            name = f"struct_{next(counter)}"
            inner = [_field(one, of, nullable=True, counter=counter) for one, of in parameters["fields"]]
            return {"type": "record", "name": name, "fields": inner}
    raise UnsupportedError(f"{kind.label()} has no form in Avro", hint="Cast it in the query, to text for example.")
