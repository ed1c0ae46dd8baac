"""Arrays as the drivers give them, in the Arrow types of their columns. Whole columns at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

if TYPE_CHECKING:
    from ematix_core.types import ColumnType

pc: Any = pyarrow.compute  # the overloads of its stubs know no array of a type that is found out at run time

_UUID_PARTS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))


def decode(array: Any, kind: type[ColumnType] | None) -> Any:  # noqa: ANN401, PLR0911 - arrays of any type; one line a family
    """Return the array in the type of `kind`, from the driver's own type or from text. Raises pa.ArrowInvalid."""
    if kind is None:
        return pa.nulls(len(array))
    wanted = kind.to_arrow()
    if array.type == wanted:
        return array
    if kind.kind == "boolean":
        numbers = array.cast(pa.int64())
        if pc.any(pc.invert(pc.is_in(numbers, pa.array([0, 1, None], pa.int64())))).as_py():
            raise pa.ArrowInvalid("a boolean is 0 or 1")
        return numbers.cast(pa.bool_())
    if kind.kind == "uuid":
        return pa.uuid().wrap_array(array.cast(pa.binary()).cast(pa.binary(16)))
    if kind.kind == "timestamp_tz" and not pa.types.is_temporal(array.type):
        return array.cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")).cast(wanted)
    if kind.kind == "timestamp_tz":
        return array.cast(wanted)
    if kind.kind == "time" and not pa.types.is_temporal(array.type):
        return _times(array).cast(wanted)
    if kind.kind == "float" and not pa.types.is_floating(array.type):
        return array.cast(pa.float64()).cast(pa.float32(), safe=False)
    if isinstance(wanted, pa.BaseExtensionType):
        return wanted.wrap_array(array.cast(wanted.storage_type))
    return array.cast(wanted)


def _times(array: Any) -> Any:  # noqa: ANN401 - see decode
    """Return text such as `23:59:59.5` as times; Arrow reads only whole timestamps."""
    moments = pc.binary_join_element_wise(pa.scalar("1970-01-01"), array.cast(pa.string()), " ")
    return moments.cast(pa.timestamp("us")).cast(pa.time64("us"))


def uuid_text(array: Any) -> Any:  # noqa: ANN401 - see decode
    """Return 16-byte values as `8-4-4-4-12` hexadecimal text: one conversion of all the bytes, then slices."""
    filled = pc.fill_null(array, b"\0" * 16)
    digits = filled.buffers()[1].slice(filled.offset * 16, len(filled) * 16).to_pybytes().hex().encode()
    offsets = pa.array(range(0, 32 * len(filled) + 1, 32), pa.int32())
    whole: Any = pa.StringArray.from_buffers(len(filled), offsets.buffers()[1], pa.py_buffer(digits))  # type: ignore[arg-type]  # not None
    parts = [pc.utf8_slice_codeunits(whole, start, stop) for start, stop in _UUID_PARTS]
    return pc.if_else(pc.is_valid(array), pc.binary_join_element_wise(*parts, "-"), None)


def culprit(array: Any, kind: type[ColumnType]) -> Any:  # noqa: ANN401 - any value
    """Return the first value that does not decode, by halving."""
    while len(array) > 1:
        half = len(array) // 2
        try:
            decode(array.slice(0, half), kind)
            array = array.slice(half)
        except pa.ArrowInvalid:
            array = array.slice(0, half)
    return array[0].as_py()
