"""Avro messages as rows, each read by the schema that it was written with.

The messages of one schema are read together, the fast way where there is one; those that it leaves are read exactly,
which says what is wrong with which. Rows that do not fit the columns are halved until those that do not are alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from ematix_core import types
from ematix_core.codecs import avro_exact, avro_fast, avro_schema
from ematix_core.codecs.arrays import arrow
from ematix_core.codecs.avro import FAULTS
from ematix_core.codecs.avro_exact import ExactRecords, said
from ematix_core.codecs.fitting import fit
from ematix_core.codecs.protocols import Decoded, Undecodable
from ematix_core.codecs.wire import UnreadableError, checked, in_order, split
from ematix_core.errors import ConversionError, DeclarationError, MissingSourceError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.codecs.arrays import Values
    from ematix_core.codecs.avro_fast import Numbers, Reader
    from ematix_core.codecs.registered import SchemaId
    from ematix_core.codecs.registry import Registry
    from ematix_core.model.format import Format
    from ematix_core.model.table import Column

_TOGETHER = 16_384
"""Messages read at once: their fields stay in the processor's cache."""
_Found: TypeAlias = "pa.RecordBatch | list[dict[str, Any]]"


@dataclass(frozen=True)
class _Writer:
    """A schema that messages were written with: its fields as columns, and the two ways to read them."""

    columns: Mapping[str, Column]
    exact: ExactRecords
    fast: Mapping[str, Reader] | None


class _Pieces:
    """What was read of one batch: rows with their numbers in it, and what is wrong with the others."""

    def __init__(self, bad: dict[int, str]) -> None:
        self.good: list[tuple[pa.Int64Array, pa.RecordBatch]] = []
        self.bad = bad

    def decoded(self, fields: Sequence[pa.Field[Any]]) -> Decoded:
        """Return the rows in the order of their messages."""
        bad = tuple(Undecodable(number, self.bad[number]) for number in sorted(self.bad))
        if not fields:
            count = sum(len(numbers) for numbers, _ in self.good)
            return Decoded(pa.record_batch([pa.nulls(count)], names=[""]).select([]), bad)
        return Decoded(in_order(self.good, pa.RecordBatch.from_pylist([], schema=pa.schema(fields))), bad)


class AvroDecoder:
    """Reads records into the declared columns, by name; without any, into those that the schemas turn out to have.

    `fast=False` uses the exact way alone, with an equal result.
    """

    def __init__(self, format: Format, *, topic: str, registry: Registry | None = None, fast: bool = True) -> None:  # noqa: A002 - the field's own word
        checked(format, registry, topic)
        self._where, self._registry, self._fast = f"topic {topic}", registry, fast
        self._declared = bool(format.declared)
        self._columns = {column.name: column for column in format.declared}
        self._writers: dict[SchemaId, _Writer] = {}
        self._wire = format.wire
        self._alone = self._learned(format.writer) if format.wire == "none" else None

    def decode(self, values: pa.BinaryArray | pa.LargeBinaryArray) -> Decoded:
        groups, bad = split(values, self._wire)
        pieces = _Pieces(bad)
        # All schemas are learned before the first row is read: rows have the columns of all.
        known: list[tuple[_Writer, Numbers, Values]] = []
        for group in groups:
            numbers = group.rows.to_numpy()
            try:
                known.append((self._alone or self._writer(group.key), numbers, group.payloads))
            except (UnreadableError, UnsupportedError, DeclarationError) as error:
                bad |= dict.fromkeys(numbers.tolist(), said(error))
        for writer, numbers, payloads in known:
            for first in range(0, len(numbers), _TOGETHER):
                some = slice(first, first + _TOGETHER)
                self._read(writer, payloads[some], numbers[some], pieces)
        return pieces.decoded(self._fields())

    def _writer(self, number: SchemaId | None) -> _Writer:
        if number is None:
            raise UnreadableError("it names no schema")
        if number not in self._writers:
            self._writers[number] = self._learned(schema_text(self._registry, number, self._wire))
        return self._writers[number]

    def _learned(self, text: str) -> _Writer:
        """Return the schema; without declared columns, add its columns to the known ones."""
        schema = avro_schema.parsed(text, self._where)
        inlined = avro_schema.inlined(schema)
        columns = {}
        for one in avro_schema.fields_of(inlined):
            if one.column is not None:
                columns[one.name] = one.column
            elif not self._declared or one.name in self._columns:
                raise UnsupportedError(f"field {one.name!r} of the Avro schema: {one.reason}", where=self._where,
                                       hint="Declare columns= without it.")  # fmt: skip
        exact = ExactRecords(schema)
        if not self._declared:
            self._columns |= {name: column for name, column in columns.items() if name not in self._columns}
        return _Writer(columns, exact, avro_fast.readers_of(inlined, columns) if self._fast else None)

    def _fields(self) -> list[pa.Field[Any]]:
        return [
            types.to_field(column.name, column.type).with_nullable(column.nullable or not self._declared)
            for column in self._columns.values()
        ]

    def _read(self, writer: _Writer, values: Values, numbers: Numbers, pieces: _Pieces) -> None:
        if writer.fast is not None:
            rows, plain = avro_fast.read(writer.fast, avro_fast.Messages(values))
            self._keep(writer, rows, numbers[plain], pieces)
            values, numbers = values.filter(pa.array(~plain)), numbers[~plain]
        records, read = [], []
        for number, message in zip(numbers.tolist(), values.to_pylist(), strict=True):
            try:
                records.append(writer.exact.record(message))
            except FAULTS as error:
                pieces.bad[number] = said(error)
            else:
                read.append(number)
        self._keep(writer, records, np.array(read, np.int64), pieces)

    def _keep(self, writer: _Writer, found: _Found, numbers: Numbers, pieces: _Pieces) -> None:
        """Keep the rows that fit the columns; those that do not are told."""
        if not len(numbers):
            return
        try:
            rows = self._rows(writer, found)
        except (*FAULTS, ConversionError) as error:
            if len(numbers) == 1:
                pieces.bad[int(numbers[0])] = said(error)
                return
            half = len(numbers) // 2
            self._keep(writer, _part(found, 0, half), numbers[:half], pieces)
            self._keep(writer, _part(found, half, len(numbers)), numbers[half:], pieces)
        else:
            pieces.good.append((arrow.array(numbers), rows))

    def _rows(self, writer: _Writer, found: _Found) -> pa.RecordBatch:
        count = len(found)
        if isinstance(found, list):
            known = [column for name, column in writer.columns.items() if name in self._columns]
            found = avro_exact.batch(found, known)
        arrays = []
        for column in self._columns.values():
            wanted = type(column)(column.name, column.type, nullable=column.nullable or not self._declared)
            if column.name in writer.columns:
                found.column(column.name).validate(full=True)  # the digits of decimals, hours of the day
                arrays.append(fit(found, wanted))
            elif wanted.nullable:
                arrays.append(arrow.nulls(count, column.type.to_arrow()))
            else:
                raise UnreadableError(f"there is no field {column.name!r}, and the column is not nullable")
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(self._fields()))


def schema_text(registry: Registry | None, number: SchemaId | None, wire: str) -> str:
    """Return the schema of a message as the registry has it. Raises UnreadableError where it has none of Avro."""
    if number is None or registry is None:
        raise UnreadableError("it names no schema")
    try:
        found = registry.schema(number, wire)
    except MissingSourceError as error:
        raise UnreadableError(f"schema {number}: {error.what}") from error
    if found.kind != "AVRO":
        raise UnreadableError(f"schema {number} is one of {found.kind}, not of Avro")
    return found.text


def _part(found: _Found, start: int, stop: int) -> _Found:
    """Return some of the rows; as a copy, for Arrow validates what lies beyond a slice of structs too."""
    return found[start:stop] if isinstance(found, list) else found.take(pa.array(range(start, stop)))
