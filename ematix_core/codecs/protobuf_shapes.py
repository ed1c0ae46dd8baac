"""Fields of Protobuf messages and their columns, and the Arrow form in which both are exchanged.

In that form enums are numbers, and instants, durations and wrapped values the messages that they are in Protobuf; so
it is the same whatever reads or writes the bytes, and everything else is done here, by columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from ematix_core import types
from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.codecs.wire import UnreadableError
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.types import ColumnType

# The numbers of FieldDescriptorProto.Type.
DOUBLE, FLOAT, INT64, UINT64, INT32, FIXED64, FIXED32, BOOL, STRING, GROUP, MESSAGE, BYTES, UINT32, ENUM = range(1, 15)
SFIXED32, SFIXED64, SINT32, SINT64 = range(15, 19)
_SCALARS: Mapping[int, type[ColumnType]] = {
    DOUBLE: types.Double, FLOAT: types.Float, BOOL: types.Boolean, STRING: types.Text, BYTES: types.Bytes,
    INT32: types.Integer, SINT32: types.Integer, SFIXED32: types.Integer,
    INT64: types.BigInt, SINT64: types.BigInt, SFIXED64: types.BigInt,
    UINT32: types.UInteger, FIXED32: types.UInteger, UINT64: types.UBigInt, FIXED64: types.UBigInt,
}  # fmt: skip
_PACKAGE = "google.protobuf."
_WRAPPERS = frozenset(f"{_PACKAGE}{name}Value" for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32",
                                                            "Bool", "String", "Bytes"))  # fmt: skip
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_NANOS = 10**9


class Shape(Protocol):
    """How the values of a field are exchanged (`raw`), and the type of the column that holds them."""

    raw: pa.DataType
    type: type[ColumnType]

    def loaded(self, values: Values) -> Values:
        """Return the column of exchanged values. Raises UnreadableError or ArrowInvalid for one that does not fit."""
        ...

    def dumped(self, values: Values) -> Values:
        """Return the column's values as they are exchanged. Raises as `loaded`."""
        ...


class Scalar(Shape):
    """Numbers, text and bytes."""

    def __init__(self, kind: int) -> None:
        self.kind, self.type = kind, _SCALARS[kind]
        self.raw = self.type.to_arrow()

    def loaded(self, values: Values) -> Values:
        return values

    def dumped(self, values: Values) -> Values:
        return values


class Enum(Shape):
    """Words, exchanged as their numbers."""

    def __init__(self, descriptor: Any) -> None:  # noqa: ANN401 - an EnumDescriptor
        self.raw, self.type, self._name = pa.int32(), types.Text, descriptor.full_name
        first = {one.number: one.name for one in reversed(descriptor.values)}  # of two words for a number the first
        self._numbers, self._words = arrow.array([*first], pa.int32()), arrow.array([*first.values()], pa.string())
        self._all = {one.name: one.number for one in descriptor.values}

    def loaded(self, values: Values) -> Values:
        places = compute.index_in(values, value_set=self._numbers)
        if places.null_count > values.null_count:
            number = values.filter(compute.and_(places.is_null(), values.is_valid()))[0]
            raise UnreadableError(f"the enum {self._name} has no number {number}")
        return self._words.take(places)

    def dumped(self, values: Values) -> Values:
        places = compute.index_in(values, value_set=arrow.array([*self._all], pa.string()))
        if places.null_count > values.null_count:
            word = values.filter(compute.and_(places.is_null(), values.is_valid()))[0]
            raise UnreadableError(f"the enum {self._name} has no word {word.as_py()!r}")
        return arrow.array([*self._all.values()], pa.int32()).take(places)


class Moment(Shape):
    """Instants and durations: seconds and nanoseconds, for a column of the given unit."""

    def __init__(self, base: Any, unit: str) -> None:  # noqa: ANN401 - TimestampTZ or Duration, whose units the stubs do not know
        self.raw: Any = pa.struct([("f1", pa.int64()), ("f2", pa.int32())])  # over its fields one can go
        self.type, self._unit = base[unit], unit

    def loaded(self, values: Values) -> Values:
        seconds, nanos = values.flatten()
        limits = compute.min_max(nanos).as_py()
        if not -_NANOS < (limits["min"] or 0) <= (limits["max"] or 0) < _NANOS:
            raise UnreadableError("it has a second or more of nanoseconds")
        per = _UNITS[self._unit]
        parts = compute.divide(nanos, _NANOS // per).cast(pa.int64())
        if compute.any(compute.not_equal(compute.multiply(parts, _NANOS // per), nanos)).as_py():
            raise UnreadableError(f'it has parts of a second that {self.type.label()} does not hold, but ["ns"] does')
        # Both with one sign: else the seconds of the first instant that there is are before it.
        early = compute.and_(compute.less(seconds, 0), compute.greater(parts, 0))
        seconds = compute.if_else(early, compute.add(seconds, 1), seconds)
        parts = compute.if_else(early, compute.subtract(parts, per), parts)
        try:
            numbers = compute.add_checked(compute.multiply_checked(seconds, per), parts)
        except pa.ArrowInvalid as error:
            raise UnreadableError(f"it is beyond the range of {self.type.label()}") from error
        return numbers.cast(self.type.to_arrow())

    def dumped(self, values: Values) -> Values:
        numbers, per = values.cast(pa.int64()), _UNITS[self._unit]
        seconds = compute.divide(numbers, per)
        parts = compute.subtract(numbers, compute.multiply(seconds, per))
        if self.type.kind == "timestamp_tz":  # the parts of an instant count forward, those of a duration as it does
            early = compute.less(parts, 0)
            seconds = compute.if_else(early, compute.subtract(seconds, 1), seconds)
            parts = compute.if_else(early, compute.add(parts, per), parts)
        nanos = compute.multiply(parts, _NANOS // per).cast(pa.int32())
        return arrow.StructArray.from_arrays([seconds, nanos], fields=list(self.raw), mask=values.is_null())


class Wrapped(Shape):
    """A value in a message of its own, which may not be there."""

    def __init__(self, inner: Scalar) -> None:
        self.inner, self.type = inner, inner.type
        self.raw: Any = pa.struct([("f1", inner.raw)])

    def loaded(self, values: Values) -> Values:
        return values.flatten()[0]

    def dumped(self, values: Values) -> Values:
        return arrow.StructArray.from_arrays([values], fields=list(self.raw), mask=values.is_null())


@dataclass(frozen=True)
class Field:
    """A field of a message. `presence`: it may be absent, which is NULL; else it has its default value then."""

    name: str
    number: int
    shape: Shape
    presence: bool
    oneof: str = ""

    @property
    def key(self) -> str:
        """Its name in the exchange: those of schemas may be anything."""
        return f"f{self.number}"


class Message(Shape):
    """A message within another."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self.fields = fields
        self.raw = pa.struct([(one.key, one.shape.raw) for one in fields])
        self.type = types.Struct[tuple((one.name, one.shape.type) for one in fields)]

    def loaded(self, values: Values) -> Values:
        return self._made(values, [one.shape.loaded for one in self.fields], self.type.to_arrow())

    def dumped(self, values: Values) -> Values:
        return self._made(values, [one.shape.dumped for one in self.fields], self.raw)

    def _made(self, values: Values, change: list[Any], kind: Any) -> Values:  # noqa: ANN401 - a struct, over whose fields one can go
        parts = [done(part) for done, part in zip(change, values.flatten(), strict=True)]
        return arrow.StructArray.from_arrays(parts, fields=list(kind), mask=values.is_null())


class Repeated(Shape):
    """A list."""

    def __init__(self, item: Shape) -> None:
        self.item, self.raw, self.type = item, pa.list_(item.raw), types.Array[item.type]

    def loaded(self, values: Values) -> Values:
        return _lists(values, self.item.loaded(values.flatten()), self.type.to_arrow())

    def dumped(self, values: Values) -> Values:
        items = values.flatten()
        if values.null_count or items.null_count:
            raise UnreadableError("a repeated field takes no NULL, neither for the list nor in it")
        return _lists(values, self.item.dumped(items), self.raw)


class Map(Shape):
    """A map, exchanged as what it is in the bytes: a list of entries, of which the last counts for its key."""

    def __init__(self, key: Scalar, value: Shape) -> None:
        there = isinstance(value, Message | Moment | Wrapped)
        entry = Message((Field("key", 1, key, presence=False), Field("value", 2, value, presence=there)))
        self.entries = Repeated(entry)
        self.raw, self.type = self.entries.raw, types.Map[key.type, value.type]

    def loaded(self, values: Values) -> Values:
        lists = self.entries.loaded(values)
        of, (keys, items) = compute.list_parent_indices(lists), lists.flatten().flatten()
        # In the order of the keys, that the same messages always give the same rows.
        order = compute.sort_indices(pa.table({"of": of, "key": keys}), [("of", "ascending"), ("key", "ascending")])
        of, keys, items = of.take(order), keys.take(order), items.take(order)
        if len(of) > 1:
            same = compute.and_(compute.equal(of[1:], of[:-1]), compute.equal(keys[1:], keys[:-1]))
            last = arrow.concat_arrays([compute.invert(same), arrow.array([True])])
            of, keys, items = of.filter(last), keys.filter(last), items.filter(last)
        ends = compute.search_sorted(of, arrow.arange(0, len(values)), side="right")
        offsets = arrow.concat_arrays([arrow.array([0], pa.int32()), ends.cast(pa.int32())])
        return arrow.MapArray.from_arrays(_with_nulls(offsets, values), keys, items, type=self.type.to_arrow())

    def dumped(self, values: Values) -> Values:
        start, end = values.offsets[0].as_py(), values.offsets[-1].as_py()
        parts = [values.keys[start:end], values.items[start:end]]
        entries = arrow.StructArray.from_arrays(parts, names=["key", "value"])
        lists = arrow.ListArray.from_arrays(_offsets(values), entries)
        if values.null_count or parts[1].null_count:
            raise UnreadableError("a map takes no NULL, neither for itself nor in it")
        return self.entries.dumped(lists)


def _offsets(values: Values) -> Values:
    """Return where the lists begin in their flattened items; NULL for one that is NULL."""
    lengths = compute.subtract(values.offsets[1:], values.offsets[:-1])
    ends = compute.cumulative_sum(compute.if_else(values.is_valid(), lengths, 0))
    starts = arrow.concat_arrays([arrow.array([0], pa.int32()), ends.cast(pa.int32())])
    return _with_nulls(starts, values)


def _with_nulls(offsets: Values, values: Values) -> Values:
    there = arrow.concat_arrays([values.is_valid(), arrow.array([True])])
    return compute.if_else(there, offsets, pa.scalar(None, pa.int32()))


def _lists(values: Values, items: Values, kind: pa.DataType) -> Values:
    return arrow.ListArray.from_arrays(_offsets(values), items, type=kind)


def field_of(field: Any, unit: str = "us", within: tuple[str, ...] = ()) -> Field:  # noqa: ANN401 - a FieldDescriptor
    """Return the field, its instants and durations with the unit. Raises UnsupportedError saying why none holds it."""
    entry = field.message_type if _is_map(field) else None
    if entry is not None:
        key, value = (field_of(one, unit, within).shape for one in entry.fields)
        shape: Shape = Map(key, value) if isinstance(key, Scalar) else value
    else:
        shape = _single(field, unit, within)
        if field.is_repeated:
            shape = Repeated(shape)
    oneof = field.containing_oneof
    real = oneof is not None and not (len(oneof.fields) == 1 and oneof.name == f"_{field.name}")
    return Field(field.name, field.number, shape, field.has_presence, oneof.name if real else "")


def _is_map(field: Any) -> bool:  # noqa: ANN401 - a FieldDescriptor
    return bool(field.type == MESSAGE and field.message_type.GetOptions().map_entry)


def _single(field: Any, unit: str, within: tuple[str, ...]) -> Shape:  # noqa: ANN401 - a FieldDescriptor
    if field.type in _SCALARS:
        return Scalar(field.type)
    if field.type == ENUM:
        return Enum(field.enum_type)
    if field.type == GROUP:
        raise UnsupportedError("a group fits no column")
    inner, name = field.message_type, field.message_type.full_name
    if name in {f"{_PACKAGE}Timestamp", f"{_PACKAGE}Duration"}:
        return Moment(types.TimestampTZ if name.endswith("Timestamp") else types.Duration, unit)
    if name in _WRAPPERS:
        return Wrapped(Scalar(inner.fields[0].type))
    if name in within:
        raise UnsupportedError(f"a message that is within itself, {name}, fits no column")
    if not inner.fields:
        raise UnsupportedError(f"a message without fields, {name}, fits no column")
    return Message(tuple(field_of(one, unit, (*within, name)) for one in inner.fields))
