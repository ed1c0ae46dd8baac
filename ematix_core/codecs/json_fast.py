"""JSON read by pyarrow's parser, a batch at a time, where that gives what the exact way gives.

It reads the batch as one text, a message a line. It keeps numbers as digits until the type is known, refuses what is
declared twice, and ends at the first fault. What it would bend is kept from it here; so all it returns is exact, and
None means that some message needs the exact way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.json as arrow_json

from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.codecs.json_columns import MisfitError, batch_of, beyond_doubles, finished, parsed_type

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from ematix_core.codecs.json_columns import JsonColumn

# The parser takes them for numbers, as JavaScript does.
_CONSTANTS = (b"NaN", b"Inf")
_CONSTANT = r"(?:^|[\s:,\[{-])(?:NaN|Inf)"
_DEEPEST = 200
"""Levels of nesting that the exact way surely reads; messages that could have more are left to it."""
_LONGEST = 1 << 30
"""Bytes of one text; the parser's blocks are counted in 32 bits."""


def can_read(columns: Sequence[JsonColumn]) -> bool:
    """Say whether the parser reads all of the columns exactly."""
    return bool(columns) and all(parsed_type(column.type) is not None for column in columns)


def read(values: Values, columns: Sequence[JsonColumn]) -> pa.RecordBatch | None:
    """Return the rows of the messages, or None when one of them may need the exact way."""
    table = parse(values, columns, unexpected="ignore")
    return None if table is None else rows_of(table, columns)


def parse(values: Values, columns: Sequence[JsonColumn], *, unexpected: Literal["ignore", "infer"]) -> pa.Table | None:
    """Return what the parser makes of the messages, or None when it must not be believed."""
    text = _text(values)
    if text is None:
        return None
    schema = pa.schema([pa.field(column.name, _parsed(column)) for column in columns])
    source: Values = pa.BufferReader(text)  # the stubs of read_json do not know Arrow's own files
    try:
        table = arrow_json.read_json(
            source,
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=text.size + 64),
            parse_options=arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    # Each message begins with { and ends with }, so it holds one object at least; as many rows: exactly one.
    return table if table.num_rows == len(values) else None


def _parsed(column: JsonColumn) -> pa.DataType:
    found = parsed_type(column.type)
    if found is None:
        raise TypeError(column.type.label())
    return found


def _text(values: Values) -> pa.Buffer | None:
    """Return the messages as lines; None when they are no UTF-8, no objects, or hold what the parser takes wrongly."""
    try:
        texts = values.cast(pa.large_string())
    except pa.ArrowException:
        return None
    if not _enclosed(texts):
        texts = compute.ascii_trim(texts, characters=" \t\r\n")
        if not _enclosed(texts):
            return None
    lengths = compute.binary_length(texts)
    if compute.sum(lengths).as_py() + len(texts) > _LONGEST or (
        compute.max(lengths).as_py() > 2 * _DEEPEST and not _shallow(texts, lengths)
    ):
        return None
    one = arrow.LargeListArray.from_arrays([0, len(texts)], texts)
    joined: pa.Buffer = compute.binary_join(one, pa.scalar("\n", pa.large_string()))[0].as_buffer()
    if _may_hold_constants(joined) and compute.any(compute.match_substring_regex(texts, _CONSTANT)).as_py():
        return None
    return joined


def _may_hold_constants(text: pa.Buffer) -> bool:
    """Look for the words, and first for their first letters: most texts have none, and that is seen at once."""
    copy = text.to_pybytes()  # Python's search in a copy costs less than Arrow's in each message
    return any(word[:1] in copy and word in copy for word in _CONSTANTS)


def _enclosed(texts: Values) -> bool:
    both = compute.and_(compute.starts_with(texts, "{"), compute.ends_with(texts, "}"))
    return bool(compute.all(both).as_py())


def _shallow(texts: Values, lengths: Values) -> bool:
    long = compute.filter(texts, compute.greater(lengths, 2 * _DEEPEST))
    opened = compute.add(compute.count_substring(long, "["), compute.count_substring(long, "{"))
    return bool(compute.max(opened).as_py() <= _DEEPEST)


def rows_of(table: pa.Table, columns: Sequence[JsonColumn]) -> pa.RecordBatch | None:
    """Return the rows of the parser's columns; None when a value does not fit its column."""
    arrays = []
    for column in columns:
        array: Values = table.column(column.name).combine_chunks()
        if not column.nullable and array.null_count:
            return None
        if column.loose and pa.types.is_float64(array.type) and beyond_doubles(array):
            return None
        try:
            arrays.append(finished(array, column.type))
        except (MisfitError, pa.ArrowException):
            return None
    return batch_of(arrays, columns, table.num_rows)
