"""The bytes of Protobuf messages and the Arrow form of their fields, there and back, by a descriptor of our own.

It has only the wanted fields, named by their numbers, enums as int32 and nothing required; so the libraries skip what
nobody asked for, and what the syntaxes 2 and 3 make of it is the same. upb reads and writes message by message, and is
what counts. ptars does so by columns: of messages that upb finds whole it makes the same, and is asked for no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.codecs.protobuf_index import varint
from ematix_core.codecs.protobuf_shapes import (
    DOUBLE,
    FLOAT,
    INT32,
    INT64,
    MESSAGE,
    Enum,
    Field,
    Map,
    Message,
    Moment,
    Repeated,
    Scalar,
    Shape,
    Wrapped,
)
from ematix_core.codecs.wire import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPTIONAL, _REPEATED = 1, 3  # FieldDescriptorProto.Label
FEW = 32
"""Messages that are read one by one rather than halved again."""


class _LaterCountsError(Exception):
    """ptars has both of two values where the last counts. Never leaves this file."""


class Form:
    """Messages with these fields, to be read, or for `writing`. For one thread at a time."""

    def __init__(self, fields: Sequence[Field], name: str, *, writing: bool = False) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

        self._fields, self._name = tuple(fields), name
        self.raw = pa.schema([(one.key, one.shape.raw) for one in self._fields])
        file = descriptor_pb2.FileDescriptorProto(name="form.proto", package="form", syntax="proto3")
        _Written(file, writing=writing).message("Row", self._fields)
        file.message_type.add(name="Rows").field.add(
            name="f1", number=1, label=_REPEATED, type=MESSAGE, type_name=".form.Row"
        )
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        descriptor = pool.FindMessageTypeByName("form.Row")
        self._row: Any = message_factory.GetMessageClass(descriptor)
        self._rows: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("form.Rows"))
        self._ptars: Any = _handler(descriptor)

    def read(self, messages: Values) -> pa.RecordBatch:
        """Return the fields of the messages. Raises UnreadableError when one of them is none, or some need halving."""
        found = self.read_by_columns(messages)
        if found is None and len(messages) > FEW:
            raise UnreadableError("one of the messages cannot be read by columns")
        return self.read_exactly(messages) if found is None else found

    def read_exactly(self, messages: Values) -> pa.RecordBatch:
        """Do as `read`, message by message."""
        from google.protobuf.message import DecodeError

        try:
            rows = [self._row.FromString(one) for one in messages.to_pylist()]
        except DecodeError as error:
            raise UnreadableError(
                f"it is no message {self._name}: cut, broken, or with text that is no UTF-8"
            ) from error
        arrays = [_gathered(one, rows) for one in self._fields]
        return pa.RecordBatch.from_arrays(arrays, schema=self.raw) if arrays else _nothing(len(rows))

    def read_by_columns(self, messages: Values) -> pa.RecordBatch | None:
        """Return the fields, or None when a message is none, or one that ptars would not read as upb does."""
        from google.protobuf.message import DecodeError

        try:
            self._rows.FromString(_joined(messages))
        except DecodeError:
            return None
        try:
            found = self._ptars.array_to_record_batch(messages.cast(pa.binary()))
        except BaseException as error:
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":  # of Rust
                return None
            raise
        try:
            columns = [_plain(found.column(one.key), one.shape.raw) for one in self._fields]
            _check_oneofs(self._fields, columns)
        except _LaterCountsError:
            return None
        return pa.RecordBatch.from_arrays(columns, schema=self.raw) if columns else _nothing(len(messages))

    def writing(self) -> Form:
        """Return the same messages for writing."""
        return Form(self._fields, self._name, writing=True)

    def write(self, rows: pa.RecordBatch) -> pa.BinaryArray:
        """Return the messages of rows of the form `raw`."""
        found: pa.BinaryArray = self._ptars.record_batch_to_array(rows)
        return found

    def write_exactly(self, rows: pa.RecordBatch) -> pa.BinaryArray:
        """Do as `write`, message by message."""
        made = [self._row(**_present(one)) for one in rows.to_pylist()]
        found: pa.BinaryArray = arrow.array([one.SerializeToString(deterministic=True) for one in made], pa.binary())
        return found


def _handler(descriptor: Any) -> Any:  # noqa: ANN401 - a Descriptor, and a MessageHandler
    from ptars import HandlerPool

    return HandlerPool([descriptor.file]).get_for_message(descriptor)


class _Written:
    """Writes messages into a file's descriptor."""

    def __init__(self, file: Any, *, writing: bool) -> None:  # noqa: ANN401 - a FileDescriptorProto
        self._file, self._writing = file, writing

    def message(self, name: str, fields: Sequence[Field], into: Any = None) -> str:  # noqa: ANN401 - a DescriptorProto
        """Add a message; return its full name."""
        written = self._file.message_type.add(name=name) if into is None else into
        oneofs = {one.oneof: None for one in fields if one.oneof}
        for oneof in oneofs:
            written.oneof_decl.add(name=f"o{len(written.oneof_decl)}_{oneof}")
        places = {oneof: place for place, oneof in enumerate(oneofs)}
        for one in fields:
            made = written.field.add(name=one.key, number=one.number, label=_OPTIONAL)
            self._typed(made, one.shape, f"{name}_{one.key}")
            if one.oneof:
                made.oneof_index = places[one.oneof]
            elif made.type != MESSAGE and (one.presence or self._kept(one)):
                made.proto3_optional, made.oneof_index = True, len(written.oneof_decl)
                written.oneof_decl.add(name=f"_{one.key}")
        return f".form.{name}"

    def _kept(self, field: Field) -> bool:
        """Say whether 0 is written all the same: ptars takes -0 for what need not be written."""
        return self._writing and isinstance(field.shape, Scalar) and field.shape.kind in {DOUBLE, FLOAT}

    def _typed(self, made: Any, shape: Shape, name: str) -> None:  # noqa: ANN401 - a FieldDescriptorProto
        match shape:
            case Scalar(kind=kind):
                made.type = kind
            case Enum():
                made.type = INT32
            case Repeated(item=item):
                self._typed(made, item, name)
                made.label = _REPEATED
            case Map(entries=entries):
                self._typed(made, entries, name)
            case _:
                made.type, made.type_name = MESSAGE, self.message(name, _parts(shape))


def _parts(shape: Shape) -> tuple[Field, ...]:
    match shape:
        case Message(fields=fields):
            return fields
        case Wrapped(inner=inner):
            return (Field("value", 1, inner, presence=False),)
        case Moment():
            return (
                Field("seconds", 1, Scalar(INT64), presence=False),
                Field("nanos", 2, Scalar(INT32), presence=False),
            )
    raise TypeError(type(shape).__name__)


def _gathered(field: Field, messages: list[Any]) -> Values:
    """Return the values of a field of upb's messages; None among them is a message that is absent itself."""
    key = field.key
    if field.presence:
        values = [getattr(one, key) if one is not None and one.HasField(key) else None for one in messages]
    else:
        values = [None if one is None else getattr(one, key) for one in messages]
    return _array(field.shape, values)


def _array(shape: Shape, values: list[Any]) -> Values:
    match shape:
        case Scalar() | Enum():
            return arrow.array(values, shape.raw)
        case Repeated(item=item):
            items = _array(item, [one for many in values if many is not None for one in many])
            return arrow.ListArray.from_arrays(_offsets(values), items, type=shape.raw)
        case Map(entries=entries):
            return _array(entries, values)
    parts = [_gathered(one, values) for one in _parts(shape)]
    kind: Any = shape.raw
    return arrow.StructArray.from_arrays(
        parts, fields=list(kind), mask=arrow.array([one is None for one in values], pa.bool_())
    )


def _offsets(values: list[Any]) -> Values:
    ends, end = [], 0
    for one in values:
        ends.append(None if one is None else end)
        end += 0 if one is None else len(one)
    return arrow.array([*ends, end], pa.int32())


def _joined(messages: Values) -> bytes:
    """Return the messages as those of a repeated field, which one call reads."""
    lengths = compute.binary_length(messages)
    heads = {one: b"\x0a" + varint(one) for one in compute.unique(lengths).to_pylist()}
    places = compute.index_in(lengths, value_set=arrow.array([*heads], lengths.type))
    prefixes = arrow.array([*heads.values()], messages.type).take(places)
    joined = compute.binary_join_element_wise(prefixes, messages, arrow.scalar(b"", messages.type))
    return bytes(joined.buffers()[2] or b"")[: compute.sum(compute.binary_length(joined)).as_py() or 0]


def _plain(values: Values, kind: Any) -> Values:  # noqa: ANN401 - a type, over whose fields one can go
    """Return ptars' values in our type: it says which of them are never NULL."""
    if pa.types.is_struct(kind):
        parts = [_plain(values.field(one.name), one.type) for one in kind]
        return arrow.StructArray.from_arrays(parts, fields=list(kind), mask=values.is_null())
    if pa.types.is_list(kind):
        return arrow.ListArray.from_arrays(values.offsets, _plain(values.values, kind.value_type), type=kind)
    return values


def _check_oneofs(fields: Sequence[Field], columns: list[Values]) -> None:
    """Raise _LaterCountsError for messages with two fields of a oneof."""
    for oneof in {one.oneof for one in fields if one.oneof}:
        count: Values = 0
        for one, column in zip(fields, columns, strict=True):
            if one.oneof == oneof:
                count = compute.add(count, compute.is_valid(column).cast(pa.int32()))
        if (compute.max(count).as_py() or 0) > 1:
            raise _LaterCountsError
    for one, column in zip(fields, columns, strict=True):
        shape, values = one.shape, column
        if isinstance(shape, Map):
            shape = shape.entries
        if isinstance(shape, Repeated):
            shape, values = shape.item, values.flatten()
        if isinstance(shape, Message):
            _check_oneofs(shape.fields, values.flatten())


def _present(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are there, as upb's messages take them."""
    return {key: _taken(value) for key, value in values.items() if value is not None}


def _taken(value: Any) -> Any:  # noqa: ANN401 - any value
    if isinstance(value, dict):
        return _present(value)
    return [_taken(one) for one in value] if isinstance(value, list) else value


def _nothing(rows: int) -> pa.RecordBatch:
    return pa.record_batch([pa.nulls(rows)], names=[""]).select([])
