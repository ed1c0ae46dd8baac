"""COPY's CSV as Arrow batches.

Each column is first read by pyarrow's CSV reader as the type nearest to its text, and those that have none there
(bytes, arrays, intervals) are made from that by whole-column functions.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, json

from ematix_core.errors import ConversionError
from ematix_core.types import to_field

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.backends.postgres.address import Address
    from ematix_core.types import ColumnType

MOST_ROWS = 122_880
_CONVERTED = re.compile(r"In CSV column #(\d+): (.*)", re.DOTALL)
_INTERVAL = np.dtype([("us", ">i8"), ("days", ">i4"), ("months", ">i4")])
_ARROW_INTERVAL = np.dtype([("months", "<i4"), ("days", "<i4"), ("ns", "<i8")])
_MOST_MICROSECONDS = (2**63 - 1) // 1000
_INTERVAL_DIGITS = 32


@dataclass(frozen=True)
class Output:
    """One column of a query: its name and column type."""

    name: str
    type: type[ColumnType]


class Decoder:
    """Turns chunks of CSV, each a number of whole rows, into batches. Raises ConversionError naming the column."""

    def __init__(self, outputs: Sequence[Output], address: Address) -> None:
        self._outputs = outputs
        self._address = address
        self.schema = pa.schema([to_field(output.name, output.type) for output in outputs])
        names = [f"c{number}" for number in range(len(outputs))]
        self._read = csv.ReadOptions(column_names=names, use_threads=False)
        self._parse = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        self._convert = csv.ConvertOptions(
            column_types={name: _wire(output.type) for name, output in zip(names, outputs, strict=True)},
            null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
            true_values=["t"], false_values=["f"],
        )  # fmt: skip

    def batches(self, data: bytes) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the chunk, at most MOST_ROWS at a time."""
        if not self._outputs:
            return
        self._read.block_size = len(data) + 1  # one block: a value may be as long as the whole chunk
        data_file: Any = pa.BufferReader(data)
        try:
            table = csv.read_csv(
                data_file, read_options=self._read, parse_options=self._parse,
                convert_options=self._convert,
            )  # fmt: skip
        except pa.ArrowInvalid as error:
            raise self._misfit(error) from error
        for batch in table.to_batches(max_chunksize=MOST_ROWS):
            arrays = [self._decoded(array, o) for array, o in zip(batch.columns, self._outputs, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _decoded(self, array: Any, output: Output) -> Any:  # noqa: ANN401 - arrays of any type
        try:
            return decoded(array, output.type)
        except (pa.ArrowInvalid, OverflowError) as error:
            raise ConversionError(
                f"a value of column {output.name!r} is no {output.type.label()} that Arrow can hold: {error}",
                where=str(self._address), hint=f"Cast it in the query, for example: {output.name}::text.",
            ) from error  # fmt: skip

    def _misfit(self, error: pa.ArrowInvalid) -> ConversionError:
        found = _CONVERTED.search(str(error))
        if found is None:
            return ConversionError(f"the rows cannot be read: {error}", where=str(self._address))
        output = self._outputs[int(found[1])]
        return ConversionError(
            f"a value of column {output.name!r} is no {output.type.label()} that Arrow can hold: {found[2]}",
            where=str(self._address),
            hint=f"Filter it in the query, or cast the column, for example: {output.name}::text. Arrow has no infinite"
            " dates, none before year 1 or after 9999, and no NaN in decimals.",
        )


def _wire(kind: type[ColumnType]) -> pa.DataType:
    """Return the Arrow type that pyarrow's CSV reader can make of the values' text."""
    if kind.kind in {"array", "json", "uuid", "interval", "bytes"} or pa.types.is_decimal256(kind.to_arrow()):
        return pa.string()
    return kind.to_arrow()


def decoded(array: Any, kind: type[ColumnType]) -> Any:  # noqa: ANN401 - arrays of any type
    """Return the values as their own type. Raises pa.ArrowInvalid, OverflowError."""
    arrow: Any = kind.to_arrow()
    match kind.kind:
        case "json":
            return pa.ExtensionArray.from_storage(arrow, array)
        case "bytes":
            return _from_hex(array)
        case "uuid":
            return pa.ExtensionArray.from_storage(arrow, _fixed(array, 16))
        case "interval":
            return _intervals(array)
        case "array":
            return _lists(array, kind)
    return array.cast(arrow)


def _from_hex(array: Any) -> Any:  # noqa: ANN401 - an array of strings
    r"""Return the bytes of `\x0a1b`, PostgreSQL's text for them."""
    digits = pc.utf8_slice_codeunits(array, 2)
    offsets = np.frombuffer(digits.buffers()[1], np.int32)[digits.offset : digits.offset + len(digits) + 1]
    data = digits.buffers()[2]
    text = b"" if data is None else data.to_pybytes()[offsets[0] : offsets[-1]]
    places = pa.py_buffer(((offsets - offsets[0]) // 2).astype(np.int32).tobytes())
    validity = pc.is_valid(array)
    made = pa.Array.from_buffers(pa.binary(), len(array), [None, places, pa.py_buffer(binascii.unhexlify(text))])
    return made if array.null_count == 0 else pc.if_else(validity, made, pa.scalar(None, pa.binary()))


def _fixed(array: Any, width: int) -> Any:  # noqa: ANN401 - an array of strings
    r"""Return `\x...` values of one width as fixed-size binary."""
    filled = pc.fill_null(array, "\\x" + "00" * width)
    values = _from_hex(filled)
    made = pa.Array.from_buffers(pa.binary(width), len(array), [None, values.buffers()[2]])
    if array.null_count == 0:
        return made
    return pc.if_else(pc.is_valid(array), made, pa.scalar(None, pa.binary(width)))


def _intervals(array: Any) -> Any:  # noqa: ANN401 - an array of strings
    """Return the intervals of `interval_send`: microseconds, days, months."""
    raw = np.frombuffer(_from_hex(pc.fill_null(array, "\\x" + "00" * 16)).buffers()[2], _INTERVAL, len(array))
    if len(raw) and (int(raw["us"].max()) > _MOST_MICROSECONDS or int(raw["us"].min()) < -_MOST_MICROSECONDS):
        message = "more than 292 years in hours, minutes and seconds"
        raise OverflowError(message)
    made = np.empty(len(raw), _ARROW_INTERVAL)
    made["months"], made["days"], made["ns"] = raw["months"], raw["days"], raw["us"] * 1000
    validity = None
    if array.null_count:
        validity = pa.array(pc.is_valid(array).to_numpy(zero_copy_only=False)).buffers()[1]
    return pa.Array.from_buffers(
        pa.month_day_nano_interval(), len(array), [validity, pa.py_buffer(made.tobytes())], array.null_count
    )


def _lists(array: Any, kind: type[ColumnType]) -> Any:  # noqa: ANN401 - an array of strings
    """Return arrays that come as JSON lists of texts, each item as PostgreSQL writes it."""
    if len(array) == 0:
        return pa.array([], kind.to_arrow())
    lines = pc.binary_join_element_wise('{"v":', pc.fill_null(array, "null"), "}\n", "")
    end = int(np.frombuffer(lines.buffers()[1], np.int32)[lines.offset + len(lines)])
    data = lines.buffers()[2].slice(0, end)
    options = json.ParseOptions(explicit_schema=pa.schema([pa.field("v", pa.list_(pa.string()))]))
    file: Any = pa.BufferReader(data)
    table = json.read_json(file, json.ReadOptions(use_threads=False, block_size=end + 1), options)
    lists: Any = table.column("v").combine_chunks()
    item = kind.parameters["item"]
    values = _items(lists.flatten(), item)
    wanted = item.to_arrow()
    offsets = lists.offsets if lists.offset == 0 else pc.subtract(lists.offsets, lists.offsets[0])
    mask = pc.is_null(array) if array.null_count else None
    return pa.ListArray.from_arrays(offsets, values, type=pa.list_(wanted), mask=mask)


def _items(texts: Any, item: type[ColumnType]) -> Any:  # noqa: ANN401 - an array of strings
    if item.kind == "boolean":
        return pc.equal(texts, pa.scalar("true"))
    if item.kind == "uuid":
        plain = pc.replace_substring(texts, "-", "")
        return decoded(pc.binary_join_element_wise("\\x", plain, ""), item)
    return decoded(texts, item)
