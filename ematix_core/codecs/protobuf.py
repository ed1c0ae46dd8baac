"""Protobuf messages: each alone, or with the id of its schema and its place there before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core import types
from ematix_core.codecs import protobuf_index
from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.codecs.fitting import fit, fitted
from ematix_core.codecs.json_columns import finished
from ematix_core.codecs.json_encoding import plain_text
from ematix_core.codecs.protobuf_files import messages, require_protobuf
from ematix_core.codecs.protobuf_form import Form
from ematix_core.codecs.protobuf_shapes import Field, field_of
from ematix_core.codecs.protobuf_writing import schema_of
from ematix_core.codecs.protocols import Decoded, Undecodable
from ematix_core.codecs.registered import require_accepted
from ematix_core.codecs.wire import UnreadableError, checked, groups, in_order, prefix, split
from ematix_core.errors import ConversionError, DeclarationError, MissingSourceError, UnsupportedError, near
from ematix_core.model.table import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.codecs.registered import SchemaId
    from ematix_core.codecs.registry import Registry
    from ematix_core.codecs.wire import Group
    from ematix_core.model.format import Format
    from ematix_core.types import ColumnType

_FAULTS = (ValueError, OverflowError, ConversionError, pa.ArrowException)
"""What a message or a value that does not fit is met with."""
_FROM_TEXT = frozenset({"date", "time", "timestamp", "timestamp_tz", "uuid"})


@dataclass(frozen=True)
class _Reader:
    """What reads the messages of one descriptor: the wanted fields by name."""

    form: Form
    fields: dict[str, Field]


class ProtobufDecoder:
    """Reads messages into the declared columns, by name; without any, into those that the schemas turn out to have."""

    def __init__(self, format: Format, *, topic: str, registry: Registry | None = None) -> None:  # noqa: A002 - the field's own word
        require_protobuf()
        checked(format, registry, topic)
        self._where, self._registry, self._wire, self._message = f"topic {topic}", registry, format.wire, format.message
        self._declared = bool(format.declared)
        self._columns = {column.name: column for column in format.declared}
        self._schemas: dict[SchemaId | None, list[Any]] = {}
        self._readers: dict[tuple[SchemaId | None, protobuf_index.Place], _Reader] = {}
        self._unknown: dict[SchemaId | None, str] = {}  # ids that the registry lacks, asked for once a batch
        if format.wire == "none":
            found = _named(format, messages(format.writer, (), self._where), self._where)
            self._alone = self._learned(found)

    def decode(self, values: pa.BinaryArray | pa.LargeBinaryArray) -> Decoded:
        by_schema, bad = split(values, self._wire)
        self._unknown.clear()
        read = [one for group in by_schema for one in self._readable(group, bad)]  # first, for the columns that are new
        parts: list[tuple[Values, pa.RecordBatch]] = []
        for reader, group in read:
            self._read(reader, group.rows, group.payloads, parts, bad)
        rows = in_order(parts, pa.RecordBatch.from_pylist([], schema=self._schema()))
        return Decoded(rows, tuple(Undecodable(row, bad[row]) for row in sorted(bad)))

    def _readable(self, group: Group[SchemaId | None], bad: dict[int, str]) -> list[tuple[_Reader, Group[Any]]]:
        """Return the messages of one schema by what reads them; tell the others in `bad`."""
        if self._wire == "none":
            return [(self._alone, group)]
        by_place, without = groups(group.payloads, protobuf_index.reader(self._wire))
        bad |= {group.rows[row].as_py() or 0: said for row, said in without.items()}
        found = []
        for one in by_place:
            rows: Values = group.rows
            inner = type(group)(group.key, rows.take(one.rows), one.payloads)
            try:
                found.append((self._reader(group.key, one.key), inner))
            except (UnreadableError, UnsupportedError, DeclarationError) as error:
                bad |= {row.as_py() or 0: _said(error) for row in inner.rows}
        return found

    def _reader(self, number: SchemaId | None, place: protobuf_index.Place) -> _Reader:
        if (number, place) not in self._readers:
            descriptor = protobuf_index.at(place, self._schema_of(number))
            if self._message and descriptor.full_name != self._message:
                raise UnreadableError(f"it is a {descriptor.full_name}, not a {self._message}")
            self._readers[number, place] = self._learned(descriptor)
        return self._readers[number, place]

    def _schema_of(self, number: SchemaId | None) -> list[Any]:
        if number in self._unknown:
            raise UnreadableError(self._unknown[number])
        if number not in self._schemas and self._registry is not None and number is not None:
            try:
                found = self._registry.schema(number, self._wire)
            except MissingSourceError as error:
                self._unknown[number] = f"schema {number}: {error.what}"
                raise UnreadableError(self._unknown[number]) from error
            if found.kind != "PROTOBUF":
                raise UnreadableError(f"schema {number} is one of {found.kind}, not of Protobuf")
            self._schemas[number] = messages(found.text, found.imports, f"schema {number}")
        return self._schemas[number]

    def _learned(self, descriptor: Any) -> _Reader:  # noqa: ANN401 - a Descriptor, whose import the extra decides on
        """Return what reads the message; without declared columns, add its columns to the known ones."""
        fields = {}
        for one in descriptor.fields:
            if self._declared and one.name not in self._columns:
                continue
            known = self._columns.get(one.name)
            field = fields[one.name] = _field(one, known.type if known else types.Unknown, self._where)
            self._columns.setdefault(one.name, Column(one.name, field.shape.type, nullable=field.presence))
        return _Reader(Form(list(fields.values()), descriptor.full_name), fields)

    def _schema(self) -> pa.Schema:
        return pa.schema(
            types.to_field(column.name, column.type).with_nullable(column.nullable or not self._declared)
            for column in self._columns.values()
        )

    def _read(
        self,
        reader: _Reader,
        rows: Values,
        payloads: Values,
        parts: list[tuple[Values, pa.RecordBatch]],
        bad: dict[int, str],
    ) -> None:
        """Add the rows of the messages to `parts`; those that cannot be read are told in `bad`."""
        try:
            parts.append((rows, self._batch(reader, payloads)))
        except _FAULTS as error:
            if len(rows) == 1:
                bad[rows[0].as_py()] = _said(error)
                return
            half = len(rows) // 2
            self._read(reader, rows[:half], payloads[:half], parts, bad)
            self._read(reader, rows[half:], payloads[half:], parts, bad)

    def _batch(self, reader: _Reader, payloads: Values) -> pa.RecordBatch:
        raw = reader.form.read(payloads)
        if not self._columns:
            return raw
        arrays = [self._column(column, reader.fields.get(column.name), raw) for column in self._columns.values()]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema())

    def _column(self, column: Column, field: Field | None, raw: pa.RecordBatch) -> Values:
        nullable = column.nullable or not self._declared
        if field is None:
            if not nullable:
                raise UnreadableError(f"there is no field {column.name!r}, and the column is not nullable")
            return arrow.nulls(raw.num_rows, column.type.to_arrow())
        try:
            found = field.shape.loaded(raw.column(field.key))
            if field.shape.type is types.Text and column.type.kind in _FROM_TEXT:
                found = finished(found, column.type)
        except (ValueError, pa.ArrowException) as error:
            raise UnreadableError(f"field {column.name!r}: {error}") from error
        return fitted(found, Column(column.name, column.type, nullable=nullable))


def _field(descriptor: Any, kind: type[ColumnType], where: str) -> Field:  # noqa: ANN401 - a FieldDescriptor
    """Return the field as a column of that type wants it."""
    try:
        return field_of(descriptor, _unit(kind) or "us")
    except UnsupportedError as error:
        raise UnsupportedError(f"field {descriptor.name!r} of the Protobuf schema: {error.what}", where=where,
                               hint="Declare columns= without it.") from None  # fmt: skip


def _unit(kind: type[ColumnType]) -> str:
    """Return the unit of the type's instants, also within it; empty when it has none."""
    if kind.kind in {"timestamp", "timestamp_tz", "duration"}:
        return str(kind.parameters["unit"])
    inner = [kind.parameters.get(name) for name in ("item", "value")]
    inner += [of for _, of in kind.parameters.get("fields", ())]
    return next((unit for one in inner if one is not None and (unit := _unit(one))), "")


def _named(format: Format, found: list[Any], where: str) -> Any:  # noqa: A002, ANN401 - the field's own word; a Descriptor
    """Return the message that the format names, or the first. Raises DeclarationError."""
    if not found:
        raise DeclarationError("the Protobuf schema has no message", where=where)
    names = {one.full_name: one for one in found}
    if format.message and format.message not in names:
        raise DeclarationError(f"the Protobuf schema has no message {format.message!r}", where=where,
                               hint=near(format.message, [*names]))  # fmt: skip
    return names[format.message] if format.message else found[0]


def _said(error: Exception) -> str:
    return str(getattr(error, "what", "")) or str(error) or type(error).__name__


class ProtobufEncoder:
    """Writes rows as messages: by the schema of `writer`, else by one made for the columns."""

    def __init__(
        self,
        format: Format,  # noqa: A002 - the field's own word
        columns: Sequence[Column],
        *,
        topic: str,
        registry: Registry | None = None,
    ) -> None:
        require_protobuf()
        where = f"topic {topic}"
        if format.wire != "none":
            checked(format, registry, topic)
        self._registry, self._register, self._wire = registry, format.register, format.wire
        self._subject, self._text = format.subject_of(topic), format.writer or schema_of(columns, topic)
        found = messages(self._text, (), where)
        message = _named(format, found, where)
        self._columns = {column.name: column for column in columns}
        if missing := self._columns.keys() ^ {one.name for one in message.fields}:
            differ = ", ".join(sorted(missing))
            raise UnsupportedError(f"the Protobuf schema and the rows differ in {differ}", where=where,
                                   hint="Select the fields of the schema.")  # fmt: skip
        self._fields = [_field(one, self._columns[one.name].type, where) for one in message.fields]
        self._form = Form(self._fields, message.full_name, writing=True)
        self._place = b"" if format.wire == "none" else protobuf_index.written(message, found, format.wire)
        self._head = b"" if format.wire == "none" else None

    def encode(self, rows: pa.RecordBatch) -> pa.BinaryArray:
        arrays = [self._dumped(rows, one) for one in self._fields]
        written: Values = self._form.write(pa.RecordBatch.from_arrays(arrays, schema=self._form.raw))
        if head := self._before():
            written = compute.binary_join_element_wise(pa.scalar(head), written, pa.scalar(b""))
        found: pa.BinaryArray = written
        return found

    def require_accepted(self) -> None:
        """Raise what the registry would refuse the schema with; changes nothing."""
        if self._registry is not None:
            require_accepted(self._registry, self._subject, self._text, "PROTOBUF", self._wire, register=self._register)

    def _dumped(self, rows: pa.RecordBatch, field: Field) -> Values:
        column = self._columns[field.name]
        values = fit(rows, Column(column.name, column.type))
        if values.null_count and not field.presence:
            row = values.is_null().to_pylist().index(True)
            raise ConversionError(f"column {column.name!r}, row {row}: NULL, and the field is always there",
                                  hint="Make it optional in the schema, or give it a value in the query.")  # fmt: skip
        try:
            return _exchanged(values, column, field)
        except _FAULTS as error:
            for row in range(len(values)):
                try:
                    _exchanged(values[row : row + 1], column, field)
                except _FAULTS as first:
                    raise ConversionError(f"column {column.name!r}, row {row}: {_said(first)}") from error
            raise ConversionError(f"column {column.name!r}: {_said(error)}") from error

    def _before(self) -> bytes:
        """Return what stands before each message; the first call asks the registry."""
        if self._head is None and self._registry is not None:
            ask = self._registry.register if self._register else self._registry.found
            number = ask(self._subject, self._text, "PROTOBUF", self._wire)
            self._head = prefix(number, self._wire) + self._place
        return self._head or b""


def _exchanged(values: Values, column: Column, field: Field) -> Values:
    if field.shape.type is types.Text and column.type.kind in _FROM_TEXT:
        values = plain_text(values, column.type)
    return field.shape.dumped(fitted(values, Column(column.name, field.shape.type)))
