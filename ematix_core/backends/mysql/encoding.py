r"""Batches as the text that LOAD DATA reads, or as the rows of an INSERT. Whole columns at a time, in Arrow.

A field ends with a tab, a row with a line feed; these and the backslash are escaped by a backslash, and NULL is `\N`:
https://dev.mysql.com/doc/refman/8.0/en/load-data.html#load-data-field-line-handling
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from ematix_core.backends.mysql.forms import uuid_text
from ematix_core.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.model.table import Column

pc: Any = pyarrow.compute  # the overloads of its stubs know no array of a type that is found out at run time

PIECE_ROWS = 16_384
"""Rows that are encoded at a time: about 2 MB, so that little memory waits to be sent."""
_BYTES: Any = pa.large_binary()
_EPOCH = dt.date(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = (dt.date(1, 1, 1) - _EPOCH).days, (dt.date(9999, 12, 31) - _EPOCH).days
_ESCAPED = {"\\": "\\\\", "\t": "\\\t", "\n": "\\\n"}
_QUOTED = {"\\": "\\\\", "'": "''"}
_LONG_NUMBER = r"[0-9][0-9.]{15,}"
_NUMBER = re.compile(r'"(?:\\.|[^"\\])*"|(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)', re.DOTALL)


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield the batch in slices of bounded size."""
    for start in range(0, batch.num_rows, PIECE_ROWS):
        yield batch.slice(start, PIECE_ROWS)


def load_text(batch: pa.RecordBatch, columns: Sequence[Column]) -> memoryview:
    """Return the rows as LOAD DATA reads them. Raises ConversionError naming the column for what MySQL lacks."""
    fields = [_escaped(plain(array, column), column) for array, column in zip(batch.columns, columns, strict=True)]
    fields[-1] = _joined([fields[-1], pa.scalar(b"", _BYTES)], b"\n", null="\\N")
    return content(_joined(fields, b"\t", null="\\N"))


def row_literals(batch: pa.RecordBatch, columns: Sequence[Column]) -> Any:  # noqa: ANN401 - a LargeBinaryArray
    """Return each row as `(1,'text',_binary'bytes',NULL)`."""
    fields = [_literal(plain(array, column), column) for array, column in zip(batch.columns, columns, strict=True)]
    ends = [pa.scalar(b"(", _BYTES), _joined(fields, b",", null="NULL"), pa.scalar(b")", _BYTES)]
    return _joined(ends, b"", null="NULL")


def content(array: Any) -> memoryview:  # noqa: ANN401 - a LargeBinaryArray
    """Return all the bytes of the array's values, one after the other, without a copy."""
    _, offsets, data = array.buffers()
    bounds = memoryview(offsets).cast("q")
    start, end = bounds[array.offset], bounds[array.offset + len(array)]
    return memoryview(data)[start:end] if data is not None else memoryview(b"")


def plain(array: Any, column: Column) -> Any:  # noqa: ANN401 - arrays of any type; one line a family
    """Return the values as text (bytes for a Bytes column), not yet escaped. Raises ConversionError."""
    kind = column.type.kind
    if kind == "boolean":
        return array.cast(pa.uint8()).cast(pa.large_string())
    if kind in {"float", "double"}:
        _require_finite(array, column)
        # The shortest text of a 32-bit number may round beyond its range; that of the same 64-bit number is exact.
        return array.cast(pa.float64()).cast(pa.large_string())
    if kind in {"timestamp", "timestamp_tz"}:
        _require_years(array, column)
        unzoned = array.cast(pa.timestamp(array.type.unit)) if array.type.tz is None else _utc(array)
        return unzoned.cast(pa.large_string())
    if kind == "date":
        _require_years(array, column)
    if kind == "uuid":
        return uuid_text(array.storage).cast(pa.large_string())
    if kind == "json":
        return _document(array.storage if isinstance(array, pa.ExtensionArray) else array, column)
    return array.cast(pa.large_binary() if kind == "bytes" else pa.large_string())


def _utc(array: Any) -> Any:  # noqa: ANN401 - see plain
    return array.cast(pa.timestamp(array.type.unit, "UTC")).cast(pa.timestamp(array.type.unit))


def _require_finite(array: Any, column: Column) -> None:  # noqa: ANN401 - see plain
    if pc.any(pc.invert(pc.is_finite(array))).as_py():
        raise ConversionError(
            f"column {column.name!r} has NaN or an infinity, which MySQL does not have",
            hint="Turn it into NULL or a number in the job's query.",
        )


def _require_years(array: Any, column: Column) -> None:  # noqa: ANN401 - see plain
    days = array if array.type == pa.date32() else array.cast(pa.date32(), safe=False)
    bounds = pc.min_max(days)
    low, high = bounds["min"].cast(pa.int32()).as_py(), bounds["max"].cast(pa.int32()).as_py()
    if low is not None and (low < _FIRST_DAY or high > _LAST_DAY):
        raise ConversionError(
            f"column {column.name!r} has a date outside the years 1 to 9999, which MySQL does not have",
            hint="Turn it into NULL or a nearer date in the job's query.",
        )


def _document(array: Any, column: Column) -> Any:  # noqa: ANN401 - see plain
    """Return JSON text; refuse numbers that MySQL would keep as a double near by.

    Documents are kept as values: https://dev.mysql.com/doc/refman/8.0/en/json.html#json-values
    """
    suspects = array.filter(pc.fill_null(pc.match_substring_regex(array, _LONG_NUMBER), False))  # noqa: FBT003 - Arrow's signature
    for text in suspects.to_pylist():
        for found in _NUMBER.finditer(text):
            if (number := found[1]) is not None and not _is_exact(number):
                raise ConversionError(
                    f"column {column.name!r} has a JSON document with the number {number}, which MySQL would round",
                    hint="Write it as a string inside the document, or declare the column as Text.",
                )
    return array.cast(pa.large_string())


def _is_exact(number: str) -> bool:
    if number.lstrip("-").isdigit() and -(2**63) <= int(number) < 2**64:
        return True
    return Decimal(number) == Decimal(repr(float(number)))


def _escaped(array: Any, column: Column) -> Any:  # noqa: ANN401 - see plain
    if column.type.kind in {"text", "string", "bytes", "json"}:
        array = _replaced(array, _ESCAPED)
    return array.cast(_BYTES)


def _literal(array: Any, column: Column) -> Any:  # noqa: ANN401 - see plain
    kind = column.type.kind
    if kind in {"boolean", "float", "double", "numeric"} or kind.endswith(("_int", "integer")):
        return array.cast(_BYTES)
    start, quote = pa.scalar(b"_binary'" if kind == "bytes" else b"'", _BYTES), pa.scalar(b"'", _BYTES)
    return _joined([start, _replaced(array, _QUOTED).cast(_BYTES), quote], b"", null=None)


def _replaced(array: Any, table: dict[str, str]) -> Any:  # noqa: ANN401 - see plain
    held = bytes(content(array))  # searched at once: a tenth of the time of looking into each value
    for character, replacement in table.items():
        if character.encode() in held:
            array = pc.replace_substring(array, character, replacement)
    return array


def _joined(parts: Sequence[Any], separator: bytes, *, null: str | None) -> Any:  # noqa: ANN401 - see plain
    if null is None:
        return pc.binary_join_element_wise(*parts, pa.scalar(separator, _BYTES))
    return pc.binary_join_element_wise(
        *parts, pa.scalar(separator, _BYTES), null_handling="replace", null_replacement=null
    )
