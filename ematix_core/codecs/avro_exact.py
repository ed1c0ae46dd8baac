"""Avro read exactly, message by message: what the fast way is measured against, and what reads where it does not.

fastavro reads without logical types, which would round here (decimals) and end there (years). What a message holds is
checked to its last byte.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core.codecs import avro_schema
from ematix_core.codecs.arrays import Values, arrow
from ematix_core.codecs.avro import fastavro
from ematix_core.codecs.avro_values import loader
from ematix_core.codecs.wire import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.model.table import Column
    from ematix_core.types import ColumnType


class ExactRecords:
    """Reads messages that were written with one schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._library = fastavro()
        self._parsed = self._library.parse_schema(avro_schema.plain(schema))

    def record(self, message: bytes) -> dict[str, Any]:
        """Return the fields of a message; raises one of FAULTS."""
        source = io.BytesIO(message)
        record: dict[str, Any] = self._library.schemaless_reader(source, self._parsed, None)
        if (left := len(message) - source.tell()) > 0:
            raise UnreadableError(f"{left} bytes are left after the record")
        return record


def batch(records: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> pa.RecordBatch:
    """Return these fields of some records; raises one of FAULTS."""
    arrays = [_array([record[column.name] for record in records], column.type) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _array(values: list[Any], kind: type[ColumnType]) -> Values:
    if load := loader(kind):
        values = [None if value is None else load(value) for value in values]
    return arrow.array(values, kind.to_arrow())


def said(error: BaseException) -> str:
    """Return what is wrong with a message."""
    if isinstance(error, EOFError):
        return "it ends before the record does"
    if isinstance(error, IndexError):
        return "it names a branch of a union, or a word of an enum, that the schema does not have"
    return str(getattr(error, "what", "")) or str(error) or type(error).__name__
