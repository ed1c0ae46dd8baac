"""Arrow arrays and Python values in the form that SQLite keeps them in, and back. Whole columns at a time."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, cast

import pyarrow as pa
import pyarrow.compute

from ematix_core.backends.sqlite.declared import EXACT_DIGITS
from ematix_core.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.model.table import Column
    from ematix_core.types import ColumnType

pc: Any = pyarrow.compute  # the overloads of its stubs know no array of a type that is found out at run time

_INTEGERS = frozenset({
    "boolean", "tiny_int", "small_int", "integer", "big_int", "u_tiny_int", "u_small_int", "u_integer",
})  # fmt: skip
_LAST_YEAR = dt.date(9999, 12, 31)
_FIRST_DAY = dt.date(1, 1, 1)
_UUID_PARTS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def storage(kind: type[ColumnType]) -> str:
    """Return the storage class of a type's values: integer, real, text or blob."""
    if kind.kind in _INTEGERS:
        return "integer"
    if kind.kind in {"float", "double"}:
        return "real"
    if kind.kind == "numeric":
        return "real" if kind.parameters["precision"] <= EXACT_DIGITS else "text"
    return "blob" if kind.kind == "bytes" else "text"


def encode(array: Any, column: Column) -> Any:  # noqa: ANN401 - arrays of any type; their stubs are invariant
    """Return the array as SQLite keeps it. Raises ConversionError naming the column for what it cannot keep."""
    kind = column.type.kind
    if kind in {"boolean", "u_tiny_int", "u_small_int", "u_integer"}:
        return array.cast(pa.int64())
    if kind in {"float", "double"}:
        if pc.any(pc.is_nan(array)).as_py():
            raise ConversionError(
                f"column {column.name!r} has NaN, which SQLite would keep as NULL",
                hint="Turn it into NULL or a number in the job's query.",
            )
        return array
    if kind in {"date", "timestamp", "timestamp_tz"}:
        _require_four_digit_years(array, column)
    if kind in {"time", "timestamp", "timestamp_tz"}:
        return _time_text(array)
    if kind in {"numeric", "date"}:
        return array.cast(pa.string())
    if kind == "uuid":
        return _uuid_text(array.storage)
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _require_four_digit_years(array: Any, column: Column) -> None:  # noqa: ANN401 - see encode
    bounds = pc.min_max(array.cast(pa.date32(), safe=False) if array.type != pa.date32() else array)
    low, high = bounds["min"].cast(pa.int32()).as_py(), bounds["max"].cast(pa.int32()).as_py()
    epoch = dt.date(1970, 1, 1)
    if low is not None and (low < (_FIRST_DAY - epoch).days or high > (_LAST_YEAR - epoch).days):
        raise ConversionError(
            f"column {column.name!r} has a date outside the years 1 to 9999, which do not sort as text in SQLite"
        )


def _time_text(array: Any) -> Any:  # noqa: ANN401 - see encode; a scalar, too
    """Return times as ISO text in UTC, without a zone: six decimal places, nine for nanoseconds.

    So text of one unit sorts like time, and the shorter form of a microsecond sorts before every nanosecond in it.
    """
    unit: Literal["us", "ns"] = "ns" if array.type.unit == "ns" else "us"
    if pa.types.is_time(array.type):
        return array.cast(pa.time64(unit)).cast(pa.string())
    instant = pa.timestamp(unit, "UTC") if array.type.tz else pa.timestamp(unit)
    return array.cast(instant).cast(pa.timestamp(unit)).cast(pa.string())


def decode(array: Any, kind: type[ColumnType]) -> Any:  # noqa: ANN401 - see encode
    """Return an array of SQLite's form in the Arrow type of `kind`. Raises pa.ArrowInvalid for what does not fit."""
    wanted = kind.to_arrow()
    if kind.kind == "boolean":
        if pc.any(pc.invert(pc.is_in(array, pa.array([0, 1, None], pa.int64())))).as_py():
            raise pa.ArrowInvalid("a boolean is 0 or 1")
        return array.cast(pa.bool_())
    if kind.kind == "numeric" and array.type == pa.float64():
        return _exact(array, wanted)
    if kind.kind == "time":
        array = pc.binary_join_element_wise(pa.scalar("1970-01-01"), array, " ")
    if kind.kind in {"time", "timestamp", "timestamp_tz"}:
        return _times(array, kind).cast(wanted)
    if kind.kind == "uuid":
        return _uuids(array)
    if isinstance(wanted, pa.BaseExtensionType):
        return wanted.wrap_array(array)
    if kind.kind in {"text", "string"}:
        array.validate(full=True)  # a blob in a column of text, which need not be UTF-8
    return array.cast(wanted)


def _times(array: Any, kind: type[ColumnType]) -> Any:  # noqa: ANN401 - see encode
    unit: Literal["us", "ns"] = "ns" if kind.parameters["unit"] == "ns" else "us"
    try:
        return array.cast(pa.timestamp(unit))
    except pa.ArrowInvalid:
        if kind.kind != "timestamp_tz":
            raise
        return array.cast(pa.timestamp(unit, "UTC"))  # other programs write the zone: `...Z`, `...+01:00`


def _exact(array: Any, wanted: Any) -> Any:  # noqa: ANN401 - see encode; a decimal type
    """Return doubles as the decimals that they stand for; one with more digits than the column has is refused."""
    found = pc.cast(array, wanted, safe=False)
    off = pc.abs(pc.subtract(found.cast(pa.float64()), array))
    if pc.any(pc.greater(off, pc.multiply(pc.abs(array), 1e-14))).as_py():
        raise pa.ArrowInvalid(f"more than {wanted.scale} decimal places")
    return found


def _uuid_text(array: Any) -> Any:  # noqa: ANN401 - see encode
    """Return 16-byte values as `8-4-4-4-12` hexadecimal text: one conversion of all the bytes, then slices."""
    filled = pc.fill_null(array, b"\0" * 16)
    digits = filled.buffers()[1].slice(filled.offset * 16, len(filled) * 16).to_pybytes().hex().encode()
    offsets = pa.array(range(0, 32 * len(filled) + 1, 32), pa.int32())
    whole = pa.StringArray.from_buffers(len(filled), cast("pa.Buffer", offsets.buffers()[1]), pa.py_buffer(digits))
    parts = [pc.utf8_slice_codeunits(whole, start, stop) for start, stop in _UUID_PARTS]
    return pc.if_else(pc.is_valid(array), pc.binary_join_element_wise(*parts, "-"), None)


def _uuids(array: Any) -> Any:  # noqa: ANN401 - see encode
    digits = pc.fill_null(pc.replace_substring(array, "-", ""), "0" * 32)
    try:
        whole = bytes.fromhex("".join(digits.to_pylist()))
    except ValueError as error:
        raise pa.ArrowInvalid("no UUID") from error
    if len(whole) != 16 * len(digits) or not pc.all(pc.equal(pc.utf8_length(digits), 32)).as_py():
        raise pa.ArrowInvalid("no UUID")
    packed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(digits), [None, pa.py_buffer(whole)])
    return pa.uuid().wrap_array(pc.if_else(pc.is_valid(array), packed, None))


def parameters(values: Sequence[Any]) -> list[Any]:
    """Return the values of parameters in the form that SQLite keeps them in, so that they compare with columns."""
    return [parameter(value) for value in values]


def parameter(value: Any) -> Any:  # noqa: ANN401, PLR0911 - whatever a job binds; one line a type reads best
    """Return one value in SQLite's form: times as fixed-width text, decimals as text, booleans as 0 and 1."""
    if hasattr(value, "nanosecond"):  # pandas.Timestamp
        value = pa.scalar(value)
    if isinstance(value, pa.Scalar):
        return _scalar(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.datetime):
        utc = value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
        return utc.isoformat(sep=" ", timespec="microseconds")
    if isinstance(value, dt.time):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, (dt.date, uuid.UUID)):
        return str(value)
    return value


def _scalar(value: pa.Scalar[Any]) -> Any:  # noqa: ANN401 - see parameter
    """Return an Arrow scalar; only nanoseconds need more than Python's own values hold."""
    if value.is_valid and getattr(value.type, "unit", "") == "ns" and not pa.types.is_duration(value.type):
        text = _time_text(value).as_py()
        return text.removesuffix("000")
    return parameter(value.as_py())
