"""Column types: what a user writes in a table declaration, and their Arrow equivalents.

A type is a class and is never instantiated; a parametrised one is made by subscription and is cached, so that
`Numeric[12, 2] is Numeric[12, 2]`. `to_arrow()` gives the Arrow type, `from_arrow()` the way back; together they are
the one type vocabulary of declarations, DDL planning, drift and introspection.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

if TYPE_CHECKING:
    import pyarrow as pa

_UNITS = ("s", "ms", "us", "ns")
_MAX_DECIMAL_PRECISION = 76


class _Subscripted(type):
    """Shows type checkers that `Numeric[12, 2]` is a type; they do not look at `__class_getitem__`, which makes it."""

    if TYPE_CHECKING:

        def __getitem__(cls, item: object) -> type[ColumnType]: ...


class ColumnType(metaclass=_Subscripted):
    """Base of all column types.

    `kind` is the key under which a backend's Dialect names the type; `parameters` fills the placeholders of that name.
    """

    kind: ClassVar[str] = ""
    parameters: ClassVar[dict[str, Any]] = {}
    arrow: ClassVar[str] = ""

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        """Return the Arrow data type that columns of this type travel as."""
        import pyarrow as pa

        return cast("pa.DataType", getattr(pa, cls.arrow)())

    @classmethod
    def label(cls) -> str:
        """Return the type as the user would write it, such as `Numeric[12, 2]`."""
        return cls.__name__


@cache
def _parametrised(base: type[ColumnType], label: str, items: tuple[tuple[str, Any], ...]) -> type[ColumnType]:
    return type(label, (base,), {"parameters": dict(items), "__doc__": base.__doc__})


class Boolean(ColumnType):
    """True or false."""

    kind, arrow = "boolean", "bool_"


class TinyInt(ColumnType):
    """Signed 8-bit integer."""

    kind, arrow = "tiny_int", "int8"


class SmallInt(ColumnType):
    """Signed 16-bit integer."""

    kind, arrow = "small_int", "int16"


class Integer(ColumnType):
    """Signed 32-bit integer."""

    kind, arrow = "integer", "int32"


class BigInt(ColumnType):
    """Signed 64-bit integer."""

    kind, arrow = "big_int", "int64"


class UTinyInt(ColumnType):
    """Unsigned 8-bit integer."""

    kind, arrow = "u_tiny_int", "uint8"


class USmallInt(ColumnType):
    """Unsigned 16-bit integer."""

    kind, arrow = "u_small_int", "uint16"


class UInteger(ColumnType):
    """Unsigned 32-bit integer."""

    kind, arrow = "u_integer", "uint32"


class UBigInt(ColumnType):
    """Unsigned 64-bit integer."""

    kind, arrow = "u_big_int", "uint64"


class Float(ColumnType):
    """Binary floating point, 32 bits."""

    kind, arrow = "float", "float32"


class Double(ColumnType):
    """Binary floating point, 64 bits."""

    kind, arrow = "double", "float64"


class Numeric(ColumnType):
    """Exact decimal, `Numeric[precision, scale]`, precision up to 76 digits."""

    kind = "numeric"
    parameters: ClassVar[dict[str, Any]] = {"precision": 38, "scale": 9}

    def __class_getitem__(cls, item: tuple[int, int]) -> type[ColumnType]:
        precision, scale = item
        if not (0 < precision <= _MAX_DECIMAL_PRECISION and 0 <= scale <= precision):
            message = f"Numeric[{precision}, {scale}]: precision must be 1 to 76 and scale 0 to precision"
            raise ValueError(message)
        if {"precision": precision, "scale": scale} == Numeric.parameters:
            return Numeric
        return _parametrised(Numeric, f"Numeric[{precision}, {scale}]", (("precision", precision), ("scale", scale)))

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        import pyarrow as pa

        precision, scale = cls.parameters["precision"], cls.parameters["scale"]
        return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)  # noqa: PLR2004 - Arrow's limit of decimal128


class Text(ColumnType):
    """Unicode text of any length."""

    kind, arrow = "text", "string"


class String(ColumnType):
    """Unicode text of at most `String[length]` characters."""

    kind, arrow = "string", "string"
    parameters: ClassVar[dict[str, Any]] = {"length": 255}

    def __class_getitem__(cls, length: int) -> type[ColumnType]:
        if length < 1:
            message = f"String[{length}]: the length must be at least 1"
            raise ValueError(message)
        if length == String.parameters["length"]:
            return String
        return _parametrised(String, f"String[{length}]", (("length", length),))


class Bytes(ColumnType):
    """Binary data of any length."""

    kind, arrow = "bytes", "binary"


class Date(ColumnType):
    """Calendar date."""

    kind, arrow = "date", "date32"


class _WithUnit(ColumnType):
    """A type with a resolution: `s`, `ms`, `us` (default) or `ns`."""

    parameters: ClassVar[dict[str, Any]] = {"unit": "us"}

    def __class_getitem__(cls, unit: str) -> type[ColumnType]:
        if unit not in _UNITS:
            message = f"{cls.__name__}[{unit!r}]: the unit must be one of {', '.join(_UNITS)}"
            raise ValueError(message)
        return cls if unit == "us" else _parametrised(cls, f'{cls.__name__}["{unit}"]', (("unit", unit),))


class Time(_WithUnit):
    """Time of day without a zone."""

    kind = "time"

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        import pyarrow as pa

        unit = cls.parameters["unit"]
        return pa.time32(unit) if unit in {"s", "ms"} else pa.time64(unit)


class Timestamp(_WithUnit):
    """Date and time without a zone."""

    kind = "timestamp"

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        import pyarrow as pa

        return pa.timestamp(cls.parameters["unit"])


class TimestampTZ(_WithUnit):
    """An instant. Kept and shown in UTC: the zone that a row came with is not stored."""

    kind = "timestamp_tz"

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        import pyarrow as pa

        return pa.timestamp(cls.parameters["unit"], "UTC")


class Interval(ColumnType):
    """Months, days and nanoseconds."""

    kind, arrow = "interval", "month_day_nano_interval"


class Duration(_WithUnit):
    """Elapsed time."""

    kind = "duration"

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        import pyarrow as pa

        return pa.duration(cls.parameters["unit"])


class UUID(ColumnType):
    """Universally unique identifier."""

    kind, arrow = "uuid", "uuid"


class JSON(ColumnType):
    """A JSON document, as text."""

    kind = "json"

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        import pyarrow as pa

        return pa.json_(pa.string())


class Array(ColumnType):
    """A list of `Array[item type]`."""

    kind = "array"

    def __class_getitem__(cls, item: type[ColumnType]) -> type[ColumnType]:
        return _parametrised(Array, f"Array[{item.label()}]", (("item", item),))

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        import pyarrow as pa

        return pa.list_(cls.parameters["item"].to_arrow())


class Struct(ColumnType):
    """Named fields: `Struct[("city", Text), ("zip", String[10])]`."""

    kind = "struct"

    def __class_getitem__(cls, item: Any) -> type[ColumnType]:  # noqa: ANN401 - Python takes the parentheses off a single field
        fields: tuple[tuple[str, type[ColumnType]], ...] = (item,) if isinstance(item[0], str) else tuple(item)
        inner = ", ".join(f'("{name}", {kind.label()})' for name, kind in fields)
        return _parametrised(Struct, f"Struct[{inner}]", (("fields", fields),))

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        import pyarrow as pa

        return pa.struct([(name, kind.to_arrow()) for name, kind in cls.parameters["fields"]])


class Map(ColumnType):
    """Keys to values: `Map[Text, BigInt]`."""

    kind = "map"

    def __class_getitem__(cls, item: tuple[type[ColumnType], type[ColumnType]]) -> type[ColumnType]:
        key, value = item
        return _parametrised(Map, f"Map[{key.label()}, {value.label()}]", (("key", key), ("value", value)))

    @classmethod
    def to_arrow(cls) -> pa.DataType:
        import pyarrow as pa

        return pa.map_(cls.parameters["key"].to_arrow(), cls.parameters["value"].to_arrow())


class Unknown(ColumnType):
    """The type of a column that has no value yet; it fits every other. A new table gets Text for it."""

    kind, arrow = "unknown", "null"


JSONB = JSON

_BY_ARROW_NAME: dict[str, type[ColumnType]] = {
    "bool": Boolean, "extension<arrow.bool8>": Boolean,
    "int8": TinyInt, "int16": SmallInt, "int32": Integer, "int64": BigInt,
    "uint8": UTinyInt, "uint16": USmallInt, "uint32": UInteger, "uint64": UBigInt,
    "halffloat": Float, "float": Float, "double": Double,
    "string": Text, "large_string": Text, "string_view": Text,
    "binary": Bytes, "large_binary": Bytes, "binary_view": Bytes,
    "date32[day]": Date, "date64[ms]": Date,
    "month_day_nano_interval": Interval, "null": Unknown,
    "extension<arrow.uuid>": UUID, "extension<arrow.json>": JSON,
}  # fmt: skip


def from_arrow(data_type: pa.DataType) -> type[ColumnType]:
    """Return the column type of an Arrow type; dictionaries count as their values, half floats as Float.

    Raises TypeError for Arrow types that no system holds (unions, run-end encoding, foreign extensions).
    """
    simple = _BY_ARROW_NAME.get(str(data_type))
    return simple if simple is not None else _compound(data_type)


LENGTH = b"ematix.length"
"""Key of an Arrow field's metadata under which a source says how long the text of a column can be: see `String`."""


def from_field(field: pa.Field[Any]) -> type[ColumnType]:
    """Return the column type of an Arrow field: as `from_arrow`, and String where its metadata says how long."""
    kind = from_arrow(field.type)
    length = (field.metadata or {}).get(LENGTH)
    return String[int(length)] if kind is Text and length else kind


def to_field(name: str, kind: type[ColumnType]) -> pa.Field[Any]:
    """Return the Arrow field of a column, from which `from_field` makes the same column type."""
    import pyarrow as pa

    length = kind.parameters.get("length")
    return pa.field(name, kind.to_arrow(), metadata=None if length is None else {LENGTH: str(length).encode()})


def _compound(data_type: pa.DataType) -> type[ColumnType]:  # noqa: PLR0911 - one line a family reads best
    import pyarrow as pa

    is_ = pa.types
    if is_.is_decimal(data_type):
        # Arrow's scale may be negative (the digits end before the point) or exceed the precision (0.00012).
        scale = max(data_type.scale, 0)
        return Numeric[max(data_type.precision + scale - data_type.scale, scale), scale]
    if is_.is_timestamp(data_type):
        return TimestampTZ[data_type.unit] if data_type.tz else Timestamp[data_type.unit]
    if is_.is_time(data_type):
        return Time[data_type.unit]
    if is_.is_duration(data_type):
        return Duration[data_type.unit]
    if is_.is_fixed_size_binary(data_type):
        return Bytes
    if is_.is_dictionary(data_type):
        return from_arrow(data_type.value_type)
    if is_.is_map(data_type):
        return Map[from_arrow(data_type.key_type), from_arrow(data_type.item_type)]
    if is_.is_struct(data_type):
        return Struct[tuple((field.name, from_arrow(field.type)) for field in data_type)]
    if is_.is_list(data_type) or is_.is_large_list(data_type) or is_.is_fixed_size_list(data_type):
        return Array[from_arrow(data_type.value_type)]
    if isinstance(data_type, pa.JsonType):
        return JSON
    message = f"no column type for Arrow type {data_type}"
    raise TypeError(message)


__all__ = [
    "JSON", "JSONB", "UUID", "Array", "BigInt", "Boolean", "Bytes", "ColumnType", "Date", "Double", "Duration",
    "Float", "Integer", "Interval", "Map", "Numeric", "SmallInt", "String", "Struct", "Text", "Time", "Timestamp",
    "TimestampTZ", "TinyInt", "UBigInt", "UInteger", "USmallInt", "UTinyInt", "Unknown", "from_arrow", "from_field",
    "to_field",
]  # fmt: skip
