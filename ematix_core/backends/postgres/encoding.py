"""Arrow batches as COPY BINARY, or as CSV where a column's type has no binary form that can be made fast.

pgpq writes the binary form of numbers, text, bytes, dates and times. A `bytea` is its bytes and nothing else, so a type
whose binary form is made here goes through pgpq as binary: uuid, jsonb (a version byte first), interval.
https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from ematix_core.backends.postgres import native as n
from ematix_core.errors import ConversionError, MissingDriverError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ematix_core.backends.postgres.native import Native

    Form = Callable[[Any], Any]

CHUNK = 256 * 1024
"""About how many bytes are encoded and sent at a time."""
_ARROW_INTERVAL = np.dtype([("months", "<i4"), ("days", "<i4"), ("ns", "<i8")])
_WIRE_INTERVAL = np.dtype([("us", ">i8"), ("days", ">i4"), ("months", ">i4")])
_CAST = {
    n.BOOL: pa.bool_(), n.INT2: pa.int16(), n.INT4: pa.int32(), n.INT8: pa.int64(), n.FLOAT4: pa.float32(),
    n.FLOAT8: pa.float64(), n.DATE: pa.date32(), n.TIME: pa.time64("us"), n.TIMESTAMP: pa.timestamp("us"),
    n.TIMESTAMPTZ: pa.timestamp("us", "UTC"), n.BYTEA: pa.binary(), n.TEXT: pa.string(), n.VARCHAR: pa.string(),
    n.BPCHAR: pa.string(), n.NAME: pa.string(), n.JSON: pa.string(), n.XML: pa.string(),
}  # fmt: skip
# An array's binary form names its items' type, and pgpq knows one name for each Arrow type.
_ITEMS = frozenset({n.BOOL, n.INT2, n.INT4, n.INT8, n.FLOAT4, n.FLOAT8, n.TEXT, n.BYTEA, n.DATE, n.TIME, n.TIMESTAMP})


def binary_form(kind: pa.DataType, to: Native) -> Form | None:
    """Return what makes an array of `kind` fit for pgpq and a column of type `to`; None where only CSV will do."""
    plain = to.plain
    if plain.oid == n.NUMERIC:
        return _same if pa.types.is_decimal128(kind) or pa.types.is_uint64(kind) else None
    if plain.oid in {n.UUID, n.JSONB, n.INTERVAL}:
        own, form = _MADE[plain.oid]
        return form if _storage(kind) == own else None
    if plain.kind == "e":
        return lambda array: array.cast(pa.string())
    if plain.item is not None:
        inside = plain.item.oid in _ITEMS and pa.types.is_list(kind) and _storage(kind.value_type) == kind.value_type
        return _same if inside else None
    wanted = _CAST.get(plain.oid)
    return None if wanted is None else lambda array: array.cast(wanted)


def plain_storage(array: Any) -> Any:  # noqa: ANN401 - arrays of any type
    """Return the array without an extension type (uuid, json)."""
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _same(array: Any) -> Any:  # noqa: ANN401 - arrays of any type
    return array


def _jsonb(array: Any) -> Any:  # noqa: ANN401 - an array of strings
    return pc.binary_join_element_wise(b"\x01", array.cast(pa.binary()), b"")


def microseconds(array: Any) -> Any:  # noqa: ANN401 - an array of intervals
    """Return the intervals as a numpy array of months, days and ns. Raises ConversionError for nanoseconds."""
    raw = np.frombuffer(array.buffers()[1], _ARROW_INTERVAL)[array.offset : array.offset + len(array)]
    valid = pc.is_valid(array).to_numpy(zero_copy_only=False)
    if (raw["ns"][valid] % 1000).any():
        raise ConversionError("an interval has nanoseconds, and PostgreSQL keeps microseconds")
    return raw


def _interval(array: Any) -> Any:  # noqa: ANN401 - an array of intervals
    raw = microseconds(array)
    made = np.empty(len(raw), _WIRE_INTERVAL)
    made["us"], made["days"], made["months"] = raw["ns"] // 1000, raw["days"], raw["months"]
    fixed = pa.Array.from_buffers(pa.binary(16), len(array), [None, pa.py_buffer(made.tobytes())])
    return fixed if array.null_count == 0 else pc.if_else(pc.is_valid(array), fixed, pa.scalar(None, pa.binary(16)))


_MADE: dict[int, tuple[pa.DataType, Form]] = {
    n.UUID: (pa.binary(16), _same),
    n.JSONB: (pa.string(), _jsonb),
    n.INTERVAL: (pa.month_day_nano_interval(), _interval),
}


def text_form(array: Any, bytes_as: str = "\\x") -> Any:  # noqa: ANN401 - arrays of any type
    """Return the array as something that pyarrow's CSV writer writes as PostgreSQL reads it."""
    kind = array.type
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind):
        return _hex(array, bytes_as)
    if pa.types.is_interval(kind):
        return _interval_text(array)
    if pa.types.is_list(kind):
        return _list_text(array, bytes_as)
    if pa.types.is_decimal(kind):
        return array.cast(pa.string())
    return array


def _hex(array: Any, prefix: str) -> Any:  # noqa: ANN401 - an array of bytes
    r"""Return `\x0a1b` for each value."""
    whole = pc.fill_null(array, b"\0" * array.type.byte_width if pa.types.is_fixed_size_binary(array.type) else b"")
    plain = pa.concat_arrays([whole.cast(pa.binary())])
    offsets = np.frombuffer(plain.buffers()[1], np.int32)[plain.offset : plain.offset + len(plain) + 1]
    data = plain.buffers()[2]
    digits = (b"" if data is None else data.to_pybytes()[offsets[0] : offsets[-1]]).hex().encode()
    places = pa.py_buffer(((offsets - offsets[0]) * 2).astype(np.int32).tobytes())
    made: Any = pa.Array.from_buffers(pa.string(), len(array), [None, places, pa.py_buffer(digits)])
    text = pc.binary_join_element_wise(prefix, made, "")
    return text if array.null_count == 0 else pc.if_else(pc.is_valid(array), text, pa.scalar(None, pa.string()))


def _interval_text(array: Any) -> Any:  # noqa: ANN401 - an array of intervals
    raw = microseconds(array)
    whole: Any = pa.array(raw["ns"] // 1000).cast(pa.decimal128(19, 0))
    seconds: Any = pa.Array.from_buffers(pa.decimal128(19, 6), len(whole), whole.buffers()).cast(pa.string())
    months, days = (pa.array(raw[part].copy()).cast(pa.string()) for part in ("months", "days"))
    text = pc.binary_join_element_wise(months, " mons ", days, " days ", seconds, " secs", "")
    return text if array.null_count == 0 else pc.if_else(pc.is_valid(array), text, pa.scalar(None, pa.string()))


def _list_text(array: Any, bytes_as: str) -> Any:  # noqa: ANN401 - an array of lists
    """Return array literals such as `{"1",NULL}`: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO."""
    items = text_form(plain_storage(array.flatten()), bytes_as).cast(pa.string())
    escaped = pc.replace_substring(pc.replace_substring(items, "\\", "\\\\"), '"', '\\"')
    quoted = pc.fill_null(pc.binary_join_element_wise('"', escaped, '"', ""), "NULL")
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy()
    offsets: Any = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    joined: Any = pc.binary_join(pa.ListArray.from_arrays(offsets, quoted), ",")
    text = pc.binary_join_element_wise("{", joined, "}", "")
    return text if array.null_count == 0 else pc.if_else(pc.is_valid(array), text, pa.scalar(None, pa.string()))


def binary_chunks(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    """Yield the batches as COPY BINARY."""
    try:
        from pgpq import ArrowToPostgresBinaryEncoder
    except ImportError as error:
        raise MissingDriverError("postgres", "pgpq", "postgres") from error
    encoder = ArrowToPostgresBinaryEncoder(reader.schema)
    yield encoder.write_header()
    for batch in reader:
        for piece in _pieces(batch):
            yield encoder.write_batch(piece)
    yield encoder.finish()


def csv_chunks(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    """Yield the batches as CSV: NULL is nothing, the empty text is a pair of quotes."""
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    for batch in reader:
        for piece in _pieces(batch):
            sink = pa.BufferOutputStream()
            csv.write_csv(pa.Table.from_batches([piece]), sink, write_options=options)
            yield sink.getvalue().to_pybytes()


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    rows = max(1, int(CHUNK * batch.num_rows / max(batch.nbytes, 1)))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def forms(kinds: Sequence[pa.DataType], natives: Sequence[Native]) -> tuple[str, list[Form]]:
    """Return `binary` or `csv`, and for each column what makes its arrays fit for that."""
    found = [binary_form(kind, to) for kind, to in zip(kinds, natives, strict=True)]
    binary = [form for form in found if form is not None]
    return ("binary", binary) if len(binary) == len(found) else ("csv", [_csv_form(to) for to in natives])


def _csv_form(to: Native) -> Form:
    """Return `text_form`; a uuid is written as its digits alone."""
    inner = to.plain.item.plain if to.plain.item is not None else to.plain
    return partial(text_form, bytes_as="") if inner.oid == n.UUID else text_form
