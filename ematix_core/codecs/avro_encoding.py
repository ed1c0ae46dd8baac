"""Rows as Avro messages: by the schema of the format, else by one made for the columns."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa

from ematix_core.codecs import avro_schema
from ematix_core.codecs.arrays import arrow
from ematix_core.codecs.avro import FAULTS, fastavro
from ematix_core.codecs.avro_fast_encoding import UnplainError, write, writers_of
from ematix_core.codecs.avro_values import raw
from ematix_core.codecs.fitting import fit
from ematix_core.codecs.registered import require_accepted
from ematix_core.codecs.wire import checked, prefix
from ematix_core.errors import ConversionError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.codecs.arrays import Values
    from ematix_core.codecs.registry import Registry
    from ematix_core.model.format import Format
    from ematix_core.model.table import Column


class AvroEncoder:
    """Writes rows as records: by the schema of `writer`, else by one made for the columns."""

    def __init__(
        self,
        format: Format,  # noqa: A002 - the field's own word
        columns: Sequence[Column],
        *,
        topic: str,
        registry: Registry | None = None,
        fast: bool = True,
    ) -> None:
        checked(format, registry, topic)
        self._library, self._registry, self._register = fastavro(), registry, format.register
        self._subject, self._wire = format.subject_of(topic), format.wire
        self._prefix = b"" if format.wire == "none" else None
        self._text = format.writer or avro_schema.schema_of(columns, topic)
        schema, where = avro_schema.parsed(self._text, f"topic {topic}"), f"topic {topic}"
        if avro_schema.has_fixed_decimal(schema):
            raise UnsupportedError("decimals as fixed are read and not written", where=where, hint="Use bytes.")
        self._columns: list[Column] = []
        for one in avro_schema.fields_of(schema):
            if one.column is None:
                raise UnsupportedError(f"field {one.name!r} of the Avro schema: {one.reason}", where=where)
            self._columns.append(one.column)
        if missing := {column.name for column in columns} ^ {column.name for column in self._columns}:
            raise UnsupportedError(f"the Avro schema and the rows differ in {', '.join(sorted(missing))}", where=where,
                                   hint="Select the fields of the schema.")  # fmt: skip
        self._schema = self._library.parse_schema(avro_schema.plain(schema))
        self._fast = writers_of(schema, [column.type for column in self._columns]) if fast else None

    def encode(self, rows: pa.RecordBatch) -> pa.BinaryArray:
        prefix = self._before()
        arrays = [fit(rows, column) for column in self._columns]
        if self._fast is not None and rows.num_rows:
            with suppress(UnplainError):
                return write(self._fast, arrays, prefix)
        return self._exactly(arrays, prefix)

    def require_accepted(self) -> None:
        """Raise what the registry would refuse the schema with; changes nothing."""
        if self._registry is not None:
            require_accepted(self._registry, self._subject, self._text, "AVRO", self._wire, register=self._register)

    def _exactly(self, arrays: Sequence[Values], prefix: bytes) -> pa.BinaryArray:
        names = [column.name for column in self._columns]
        values = [raw(array, column.type) for array, column in zip(arrays, self._columns, strict=True)]
        messages = []
        for row, record in enumerate(zip(*values, strict=True)):
            target = io.BytesIO()
            target.write(prefix)
            try:
                self._library.schemaless_writer(target, self._schema, dict(zip(names, record, strict=True)))
            except FAULTS as error:
                raise ConversionError(f"row {row} does not fit the Avro schema: {error}") from error
            messages.append(target.getvalue())
        written: pa.BinaryArray = arrow.array(messages, pa.binary())
        return written

    def _before(self) -> bytes:
        """Return what stands before each record; the first call asks the registry."""
        if self._prefix is None and self._registry is not None:
            ask = self._registry.register if self._register else self._registry.found
            self._prefix = prefix(ask(self._subject, self._text, wire=self._wire), self._wire)
        return self._prefix or b""
