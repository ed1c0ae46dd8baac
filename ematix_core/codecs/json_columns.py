"""How a column's values stand in JSON: as which Arrow type the parser reads them, and what is done to that after it.

The fast and the exact way share this file, so that what both have read becomes the same column.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from ematix_core import types
from ematix_core.codecs.arrays import Values, arrow, compute
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.model.table import Column
    from ematix_core.types import ColumnType

_WHOLE = frozenset({
    "tiny_int", "small_int", "integer", "big_int", "u_tiny_int", "u_small_int", "u_integer", "u_big_int",
})  # fmt: skip
_AS_THEY_ARE = _WHOLE | {"boolean", "numeric", "float", "double", "text"}
_AS_TEXT = frozenset({"string", "date", "time", "timestamp", "timestamp_tz", "uuid", "bytes"})
_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


EXACT_DOUBLES = 2**53 - 1
"""Whole numbers up to it, and down to its opposite, are doubles that stand for no other whole number."""


class MisfitError(ValueError):
    """A value does not fit its column. Never leaves the package."""


def is_whole(kind: type[ColumnType]) -> bool:
    """Say whether the type is one of whole numbers."""
    return kind.kind in _WHOLE


def beyond_doubles(numbers: Values) -> bool:
    """Say whether there is a number in whose place a double may stand for another one."""
    ends = compute.min_max(numbers)
    lowest, highest = ends["min"].as_py(), ends["max"].as_py()
    return highest is not None and (lowest < -EXACT_DOUBLES or highest > EXACT_DOUBLES)


def parsed_type(kind: type[ColumnType]) -> pa.DataType | None:
    """Return the Arrow type that pyarrow's parser reads the values as; None when it does not read them exactly."""
    if kind.kind in _AS_THEY_ARE:
        return kind.to_arrow()
    if kind.kind in _AS_TEXT:
        return pa.string()
    if kind.kind in {"duration", "unknown"}:
        return pa.int64() if kind.kind == "duration" else pa.null()
    if kind.kind == "array":
        item = _direct(kind.parameters["item"])
        return None if item is None else pa.list_(item)
    if kind.kind == "struct":
        fields = [(name, _direct(inner)) for name, inner in kind.parameters["fields"]]
        if all(inner is not None for _, inner in fields):
            return pa.struct(cast("list[tuple[str, pa.DataType]]", fields))
    return None


def _direct(kind: type[ColumnType]) -> pa.DataType | None:
    """Return the parsed type of a nested value, which nothing is done to afterwards."""
    if kind.kind in _AS_TEXT or kind.kind in {"duration", "float"}:
        return None
    return parsed_type(kind)


def refuse_unsupported(column: Column) -> None:
    """Raise UnsupportedError naming the column when JSON has no form for its type."""
    if _has_interval(column.type):
        raise UnsupportedError(
            f"column {column.name!r} is an Interval, which has no form in JSON", hint="Declare it as Text or Duration."
        )


def _has_interval(kind: type[ColumnType]) -> bool:
    inner = [kind.parameters.get(name) for name in ("item", "key", "value")]
    inner += [field for _, field in kind.parameters.get("fields", ())]
    return kind.kind == "interval" or any(_has_interval(one) for one in inner if one is not None)


def finished(parsed: Values, kind: type[ColumnType]) -> Values:  # noqa: PLR0911 - one line a type
    """Return the column of what was parsed. Raises MisfitError or ArrowInvalid for a value that does not fit."""
    match kind.kind:
        case "float" | "double":
            _require(compute.all(compute.is_finite(parsed)), "it is beyond the range of the type")
            return parsed
        case "string":
            longest = compute.max(compute.utf8_length(parsed)).as_py()
            limit = kind.parameters["length"]
            _require(longest is None or longest <= limit, f"it has more than {limit} characters")
            return parsed
        case "date" | "timestamp" | "timestamp_tz" | "duration":
            return parsed.cast(kind.to_arrow())
        case "time":
            # Arrow reads no time of day by itself: as that of the first day.
            moments = compute.binary_join_element_wise("1970-01-01T", parsed, "")
            return moments.cast(pa.timestamp(kind.parameters["unit"])).cast(kind.to_arrow())
        case "uuid":
            return _uuids(parsed)
        case "bytes":
            return _decoded(parsed)
    parsed.validate(full=True)  # the digits of decimals
    return parsed


def _require(condition: Any, problem: str) -> None:  # noqa: ANN401 - a bool, or Arrow's scalar of one
    if (condition.as_py() if isinstance(condition, pa.Scalar) else condition) is False:
        raise MisfitError(problem)


def _uuids(texts: Values) -> Values:
    _require(compute.all(compute.match_substring_regex(texts, _UUID)), "it is no UUID")
    plain = compute.replace_substring(compute.fill_null(texts, "0" * 32), "-", "")
    joined = "".join(plain.to_pylist())
    storage = arrow.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(texts), [None, pa.py_buffer(bytes.fromhex(joined))]
    )
    if texts.null_count:
        storage = compute.if_else(texts.is_valid(), storage, pa.scalar(None, pa.binary(16)))
    return arrow.ExtensionArray.from_storage(types.UUID.to_arrow(), storage)


def _decoded(texts: Values) -> Values:
    try:
        values = [None if text is None else base64.b64decode(text, validate=True) for text in texts.to_pylist()]
    except (binascii.Error, ValueError) as error:
        raise MisfitError("it is no base64 text") from error
    return pa.array(values, pa.binary())


@dataclass(frozen=True)
class JsonColumn:
    """A column of JSON messages.

    `loose`: nobody declared it. Texts take values of other kinds as their JSON text, and doubles no whole number that
    they do not hold.
    """

    name: str
    type: type[ColumnType]
    nullable: bool = True
    loose: bool = False

    @property
    def field(self) -> pa.Field[Any]:
        """The column's field in the rows."""
        return types.to_field(self.name, self.type).with_nullable(self.nullable)


def batch_of(arrays: list[Values], columns: Sequence[JsonColumn], rows: int) -> pa.RecordBatch:
    """Return the columns as a batch of so many rows, which it has without columns too."""
    if not arrays:
        return pa.record_batch([pa.nulls(rows)], names=[""]).select([])
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([column.field for column in columns]))
