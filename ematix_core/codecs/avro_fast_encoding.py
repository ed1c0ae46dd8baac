"""Rows as Avro records by numpy and Arrow, a column at a time, as fastavro writes them one by one.

Each field of each row becomes a piece of bytes, empty where there is none; the pieces of a row, joined, are its record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from ematix_core.codecs.arrays import Values, arrow, compute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ematix_core.types import ColumnType

    Writer = Callable[["Values", "Numbers"], list[Values]]
    """Makes pieces of an array's values for the rows of the mask, and empty ones for the others."""

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_U = np.uint64
_MORE, _SIGN = 0x80, 7
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_UUID_DIGITS = np.setdiff1d(np.arange(36), [8, 13, 18, 23])


class UnplainError(Exception):
    """A value is NULL where the schema takes none. Never leaves the encoder, which asks fastavro for the row."""


def write(writers: Sequence[Writer], arrays: Sequence[Values], before: bytes) -> pa.BinaryArray:
    """Return one record a row, after the same bytes. Raises UnplainError."""
    every = np.ones(len(arrays[0]), np.bool_)
    pieces = [piece for make, array in zip(writers, arrays, strict=True) for piece in make(array, every)]
    # The last argument stands between the pieces.
    joined: pa.BinaryArray = compute.binary_join_element_wise(pa.scalar(before), *pieces, b"")
    return joined


def writers_of(schema: Mapping[str, Any], kinds: Sequence[type[ColumnType]]) -> list[Writer] | None:
    """Return what writes each field of a record from columns of these types; None when one has no fast way."""
    found = [_writer(field["type"], kind) for field, kind in zip(schema["fields"], kinds, strict=True)]
    known = [writer for writer in found if writer is not None]
    return known if known and len(known) == len(found) else None


def _writer(schema: Any, kind: type[ColumnType]) -> Writer | None:  # noqa: ANN401 - a schema: text, list or object of JSON
    """Return what writes the type that `avro_schema.column_type` gives the schema, if anything does."""
    if isinstance(schema, str):
        schema = {"type": schema}
    if isinstance(schema, list):
        return _union(schema, kind)
    raw = schema["type"]
    if not isinstance(raw, str):
        return _writer(raw, kind)
    if raw == "record":
        return _record(schema, kind)
    writer = (_decimals if kind.kind == "numeric" else _uuids if kind.kind == "uuid" else None) or _WRITERS.get(raw)
    return None if writer is None or raw == "fixed" else _whole_only(writer)


def _whole_only(writer: Writer) -> Writer:
    def checked(values: Values, present: Numbers) -> list[Values]:
        if values.null_count and not _valid(values)[present].all():
            raise UnplainError
        return writer(values, present)

    return checked


def _valid(values: Values) -> Numbers:
    found: Numbers = values.is_valid().to_numpy(zero_copy_only=False)
    return found


def _union(branches: list[Any], kind: type[ColumnType]) -> Writer | None:
    (value,) = (branch for branch in branches if branch != "null")
    inner = _writer(value, kind)
    if inner is None:
        return None
    chosen, null = branches.index(value), branches.index("null") if "null" in branches else None

    def write_branch(values: Values, present: Numbers) -> list[Values]:
        valid = _valid(values)
        if null is None:
            valid = valid | ~present  # the writer within refuses NULL
        branch = np.where(valid, 2 * chosen, 2 * (null or 0)).astype(np.uint8)
        return [_cut(branch[:, None], present.astype(np.int64)), *inner(values, present & valid)]

    return write_branch


def _record(schema: dict[str, Any], kind: type[ColumnType]) -> Writer | None:
    inner = writers_of(schema, [of for _, of in kind.parameters["fields"]])
    if inner is None:
        return None

    def write_fields(values: Values, present: Numbers) -> list[Values]:
        if not _valid(values)[present].all():
            raise UnplainError
        parts = zip(inner, values.flatten(), strict=True)
        return [piece for writer, part in parts for piece in writer(part, present)]

    return write_fields


def _cut(digits: Numbers, lengths: Numbers) -> Values:
    """Return the first bytes of each line as its piece."""
    ends = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    data = digits[np.arange(digits.shape[1]) < lengths[:, None]]
    return arrow.Array.from_buffers(pa.binary(), len(lengths), [None, arrow.py_buffer(ends), arrow.py_buffer(data)])


def _numbers(values: Numbers, present: Numbers) -> Values:
    """Return whole numbers as Avro has them: small ones in few bytes, seven bits in each, the sign in the last bit."""
    found = ((values << 1) ^ (values >> 63)).view(_U)
    most = max(int(found.max(initial=0)).bit_length() + 6, 7) // 7
    places = _U(7) * np.arange(most, dtype=_U)
    lengths = 1 + (found[:, None] >> places[1:] > 0).sum(1)
    digits = ((found[:, None] >> places) & _U(0x7F)).astype(np.uint8)
    digits |= np.where(np.arange(most) < lengths[:, None] - 1, _MORE, 0).astype(np.uint8)
    return _cut(digits, lengths * present)


def _plain(values: Values, kind: pa.DataType) -> Numbers:
    """Return the values without their logical type; zero for NULL."""
    view = values.view(kind) if values.type.bit_width == kind.bit_width else values.cast(kind)
    found: Numbers = compute.fill_null(view, 0).to_numpy(zero_copy_only=False)
    return found


def _whole(values: Values, present: Numbers) -> list[Values]:
    narrow = pa.int32() if values.type.bit_width == 32 else pa.int64()  # noqa: PLR2004 - the only other width
    return [_numbers(_plain(values, narrow).astype(np.int64), present)]


def _same(values: Values, present: Numbers) -> list[Values]:
    """Return numbers of a fixed width as the bytes that they are in memory."""
    found = np.ascontiguousarray(_plain(values, values.type))
    return [_cut(found.view(np.uint8).reshape(-1, found.itemsize), present * found.itemsize)]


def _booleans(values: Values, present: Numbers) -> list[Values]:
    return _same(values.cast(pa.uint8()), present)


def _bytes(values: Values, present: Numbers) -> list[Values]:
    """Return the length, and the bytes, of which there are none for NULL."""
    found = compute.fill_null(values.cast(pa.binary()), b"")
    found = found if present.all() else compute.if_else(pa.array(present), found, b"")
    lengths = compute.binary_length(found).to_numpy().astype(np.int64)
    return [_numbers(lengths, present), found]


def _stored(values: Values, width: int) -> Numbers:
    """Return the bytes of values that are `width` bytes each, one a line."""
    data = np.frombuffer(values.buffers()[1], np.uint8)
    return data[values.offset * width : (values.offset + len(values)) * width].reshape(-1, width)


def _decimals(values: Values, present: Numbers) -> list[Values]:
    """Return the fewest bytes that hold each number and its sign, the first of which counts most."""
    width = values.type.bit_width // 8
    digits = _stored(values, width)
    magnitude = digits ^ np.where(digits[:, -1:] >= _MORE, 0xFF, 0).astype(np.uint8)
    last = width - 1 - np.argmax((magnitude != 0)[:, ::-1], 1)  # the byte that counts most; the very last for zero
    last[~magnitude.any(1)] = 0
    lengths = last + 1 + (magnitude[np.arange(len(last)), last] >= _MORE)
    turned = digits[np.arange(len(last))[:, None], np.maximum(lengths[:, None] - 1 - np.arange(width), 0)]
    return [_numbers(lengths.astype(np.int64), present), _cut(turned, lengths * present)]


def _uuids(values: Values, present: Numbers) -> list[Values]:
    digits = _stored(values.storage, 16)
    text = np.full((len(digits), 36), ord("-"), np.uint8)
    text[:, _UUID_DIGITS[::2]], text[:, _UUID_DIGITS[1::2]] = _HEX[digits >> 4], _HEX[digits & 0xF]
    return [_numbers(np.full(len(digits), 36), present), _cut(text, present * 36)]


_WRITERS: dict[str, Writer] = {
    "boolean": _booleans, "int": _whole, "long": _whole, "float": _same, "double": _same, "bytes": _bytes,
    "string": _bytes,
}  # fmt: skip
