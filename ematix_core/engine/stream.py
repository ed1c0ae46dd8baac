"""Streams of Arrow batches between source and targets: read once, watched, fitted to the target, fanned out."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

from ematix_core.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from ematix_core.model.table import Column

_DEPTH = 4
"""Batches that wait between reader and writer: enough to keep both busy, few enough to bound memory."""


class Broadcast:
    """One reader, several consumers, each in its own thread with its own bounded queue.

    `readers()` gives one stream a consumer. `pump()`, called in the reading thread, feeds them until the source ends;
    a consumer that gave up is left out. An error of the source is raised in every consumer and again by `pump()`.
    """

    def __init__(self, source: pa.RecordBatchReader, consumers: int) -> None:
        self._source = source
        self._queues: list[queue.Queue[pa.RecordBatch | BaseException | None]] = [
            queue.Queue(_DEPTH) for _ in range(consumers)
        ]
        self._gone = [threading.Event() for _ in range(consumers)]

    def readers(self) -> list[pa.RecordBatchReader]:
        """Return one stream for each consumer, to be read in the consumer's thread."""
        import pyarrow as pa

        return [
            pa.RecordBatchReader.from_batches(self._source.schema, self._stream(number))
            for number in range(len(self._queues))
        ]

    def leave(self, number: int) -> None:
        """Say that consumer `number` reads no more; called when it ends, however it ends."""
        self._gone[number].set()

    def pump(self) -> None:
        """Feed the consumers until the source ends or all of them have left."""
        try:
            for batch in self._source:
                self._put(batch)
                if all(gone.is_set() for gone in self._gone):
                    return
        except BaseException as error:
            self._put(error)
            raise
        self._put(None)

    def _put(self, item: pa.RecordBatch | BaseException | None) -> None:
        for number, waiting in enumerate(self._queues):
            while not self._gone[number].is_set():
                try:
                    waiting.put(item, timeout=0.1)
                    break
                except queue.Full:
                    continue

    def _stream(self, number: int) -> Iterator[pa.RecordBatch]:
        while (item := self._queues[number].get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item


def watched(rows: pa.RecordBatchReader, seen: Callable[[pa.RecordBatch], None]) -> pa.RecordBatchReader:
    """Return the same stream; `seen` is called with each batch before it goes on, and may raise to stop it."""
    import pyarrow as pa

    def stream() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            seen(batch)
            yield batch

    return pa.RecordBatchReader.from_batches(rows.schema, stream())


def from_mark(rows: pa.RecordBatchReader, column: str, mark: Any) -> pa.RecordBatchReader:  # noqa: ANN401 - a value of the column's type
    """Return only the rows whose `column` is at or above `mark`; rows with NULL in it are left out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    bound = pa.scalar(mark, rows.schema.field(column).type)

    def stream() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            yield batch.filter(pc.greater_equal(batch.column(column), bound))

    return pa.RecordBatchReader.from_batches(rows.schema, stream())


def without(rows: pa.RecordBatchReader, column: str, values: Sequence[str]) -> pa.RecordBatchReader:
    """Return only the rows whose text `column` is none of the values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pa.array(values, rows.schema.field(column).type)

    def stream() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            yield batch.filter(pc.invert(pc.is_in(batch.column(column), value_set=known)))

    return pa.RecordBatchReader.from_batches(rows.schema, stream())


def fitted(rows: pa.RecordBatchReader, columns: Sequence[Column], where: str) -> pa.RecordBatchReader:
    """Return the columns in the order and with the types that the target wants.

    Raises ConversionError, naming column, value and types, for a value that does not fit.
    """
    import pyarrow as pa

    wanted = pa.schema([pa.field(column.name, column.type.to_arrow(), column.nullable) for column in columns])
    if rows.schema.equals(wanted):
        return rows

    def stream() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            arrays = [_cast(batch.column(f.name), f, where) for f in wanted]
            yield pa.RecordBatch.from_arrays(arrays, schema=wanted)

    return pa.RecordBatchReader.from_batches(wanted, stream())


def _cast(array: pa.Array[Any], field: pa.Field[Any], where: str) -> pa.Array[Any]:
    import pyarrow as pa

    if not field.nullable and array.null_count:
        raise ConversionError(
            f"column {field.name!r} has NULL in {array.null_count} rows of a batch, and it is declared without | None",
            where=where,
            hint="Filter or default the rows in the query, or declare the column as `| None`.",
        )
    if array.type.equals(field.type):
        return array
    try:
        return _plain_cast(array, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConversionError(
            f"a value of column {field.name!r} ({array.type}) does not fit {field.type}: {error}",
            where=where,
            hint="Cast or clean it in the query, add a normalizer, or declare another type.",
        ) from error


def _plain_cast(array: pa.Array[Any], wanted: pa.DataType) -> pa.Array[Any]:
    """Cast, going through the storage type where an extension type (uuid, json) is on either side."""
    import pyarrow as pa

    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(wanted, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(wanted, _to_storage(array, wanted))
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    return array.cast(wanted)


def _to_storage(array: pa.Array[Any], wanted: pa.BaseExtensionType) -> pa.Array[Any]:
    """Return the array in the storage of an extension type; a uuid may come as text."""
    import pyarrow as pa

    if isinstance(wanted, pa.UuidType) and pa.types.is_string(array.type):
        from uuid import UUID

        try:
            values = [None if text is None else UUID(text).bytes for text in array.to_pylist()]
        except ValueError as error:
            raise pa.ArrowInvalid(str(error)) from error
        return pa.array(values, wanted.storage_type)
    return array.cast(wanted.storage_type)
