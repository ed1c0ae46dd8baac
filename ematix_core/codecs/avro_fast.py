"""Avro read by numpy a field at a time, over all messages of a batch, where that gives what the exact way gives.

Each message has a place up to which it is read, and all places move on together. What a message claims is checked
against its own end, and nothing is read beyond that, so that no message shifts another or harms the process. A message
that is not plain (it ends early or goes on, a number is too long, a text is no UTF-8) is left to the exact way.

https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from ematix_core.codecs.arrays import Values, arrow, compute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ematix_core.model.table import Column
    from ematix_core.types import ColumnType

    Reader = Callable[["Cursor", "Numbers"], Values]
    """Reads a value of each message of the mask, and moves on; the others have NULL."""

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_PADDING = 16
"""Bytes after the last message, so that two words can be read wherever it ends."""
_WORD, _MOST = 8, 10
"""Bytes of a word, and of the longest number."""
_CONTINUED = 0x80
_U = np.uint64
_STOPS, _DIGITS = _U(0x8080808080808080), _U(0x7F7F7F7F7F7F7F7F)
_NO_DIGIT = 255
_HEX = np.full(256, _NO_DIGIT, np.uint8)
_HEX[np.frombuffer(b"0123456789abcdefABCDEF", np.uint8)] = [*range(16), *range(10, 16)]
_UUID_LENGTH, _UUID_DASHES = 36, np.array([8, 13, 18, 23])
_UUID_DIGITS = np.setdiff1d(np.arange(_UUID_LENGTH), _UUID_DASHES)


class Messages:
    """Messages as one run of bytes, and where in it each begins and ends."""

    def __init__(self, values: Values) -> None:
        kind = np.int64 if pa.types.is_large_binary(values.type) else np.int32
        _, offsets, data = values.buffers()
        places = np.frombuffer(offsets, kind)[values.offset : values.offset + len(values) + 1].astype(np.int64)
        self.data: Numbers = np.zeros(places[-1] - places[0] + _PADDING, np.uint8)
        if data is not None:
            self.data[:-_PADDING] = np.frombuffer(data, np.uint8)[places[0] : places[-1]]
        self.starts, self.ends = places[:-1] - places[0], places[1:] - places[0]
        self.words: Numbers = np.ndarray((len(self.data) - _WORD + 1,), "<u8", self.data, 0, (1,))
        """The eight bytes from each place on."""


class Cursor:
    """Where the reading of some messages has come to, and which of them are still plain."""

    def __init__(self, messages: Messages) -> None:
        self.data: Numbers = messages.data
        self.words: Numbers = messages.words
        self.at, self.ends = messages.starts, messages.ends
        self.plain = np.ones(len(self.ends), np.bool_)

    def refuse(self, wrong: Numbers) -> None:
        """Leave messages to the exact way."""
        self.plain &= ~wrong

    def move(self, width: Numbers) -> None:
        """Move on, at most to the message's end."""
        self.at = self.at + width
        beyond = self.at > self.ends
        if beyond.any():
            self.refuse(beyond)
            np.minimum(self.at, self.ends, out=self.at)

    def byte(self, present: Numbers) -> Numbers:
        """Return the next byte."""
        found: Numbers = self.data[self.at]
        self.move(present)
        return found

    def word(self, present: Numbers, width: int) -> Numbers:
        """Return the next eight bytes, of which `width` are the value."""
        found: Numbers = self.words[self.at]
        self.move(present * width)
        return found

    def number(self, present: Numbers) -> Numbers:
        """Return the next whole number."""
        first = self.data[self.at]
        if first.max(initial=0) < _CONTINUED:
            self.move(present)
            return _zigzag(first.astype(_U))
        value, width = _varints(self.words[self.at])
        far = np.flatnonzero(width > _WORD)
        if far.size:
            rest = self.words[self.at[far] + _WORD]
            value[far] |= (rest & _U(0x7F)) << _U(56)
            last = (rest >> _U(8)) & _U(0xFF)
            longest = rest & _U(_CONTINUED) != 0
            value[far[longest]] |= last[longest] << _U(63)
            width[far[longest]] = _MOST
            self.plain[far] &= ~(longest & (last > 1) & present[far])
        self.move(width * present)
        return _zigzag(value)

    def span(self, present: Numbers, size: int | None = None) -> tuple[Numbers, Numbers]:
        """Return where the next bytes begin and end; without `size`, their number stands before them."""
        length = (self.number(present) if size is None else size) * present
        wrong = (length < 0) | (length > self.ends - self.at)
        if wrong.any():
            self.refuse(wrong)
            length[wrong] = 0
        start = self.at
        self.at = start + length
        return start, self.at


def _varints(words: Numbers) -> tuple[Numbers, Numbers]:
    """Return the numbers that the words begin with, and their bytes: 9 for one that does not end in its word."""
    low = ~words & _STOPS
    low &= ~low + _U(1)  # the first byte without the bit that says that the number goes on
    low -= _U(1)
    value = words & low & _DIGITS
    for group, shift in ((0x7F007F007F007F00, 1), (0x3FFF00003FFF0000, 2), (0x0FFFFFFF00000000, 4)):
        upper = value & _U(group)
        value = (value ^ upper) | (upper >> _U(shift))
    return value, (np.bitwise_count(low) // 8 + 1).astype(np.int64)


def _zigzag(value: Numbers) -> Numbers:
    return (value >> _U(1)).view(np.int64) ^ -(value & _U(1)).view(np.int64)


def read(readers: Mapping[str, Reader], messages: Messages) -> tuple[pa.RecordBatch, Numbers]:
    """Return the fields of those of the messages that are plain, and a mask of which are."""
    cursor = Cursor(messages)
    every = np.ones(len(messages.ends), np.bool_)
    arrays = [reader(cursor, every) for reader in readers.values()]
    cursor.refuse(cursor.at != cursor.ends)
    found = pa.RecordBatch.from_arrays(arrays, names=list(readers))
    return found if cursor.plain.all() else found.filter(pa.array(cursor.plain)), cursor.plain


def readers_of(schema: dict[str, Any], columns: Mapping[str, Column]) -> dict[str, Reader] | None:
    """Return what reads each field of a record with the schema; None when one has no fast way."""
    found = {}
    for field in schema["fields"]:
        column = columns.get(field["name"])
        reader = None if column is None else _reader(field["type"], column.type)
        if reader is None:
            return None
        found[field["name"]] = reader
    return found or None


def _reader(schema: Any, kind: type[ColumnType]) -> Reader | None:  # noqa: ANN401 - a schema: text, list or object of JSON
    """Return what reads values of a schema into the type that `avro_schema.column_type` gives it, if anything does."""
    if isinstance(schema, str):
        schema = {"type": schema}
    if isinstance(schema, list):
        return _union(schema, kind)
    if not isinstance(schema["type"], str):
        return _reader(schema["type"], kind)
    if schema["type"] == "record":
        return _record(schema, kind)
    made = _MADE.get(schema["type"])
    return None if made is None else made(schema, kind.to_arrow())


def _union(branches: list[Any], kind: type[ColumnType]) -> Reader | None:
    (value,) = (branch for branch in branches if branch != "null")
    inner = _reader(value, kind)
    if inner is None:
        return None
    known, chosen = len(branches), 2 * branches.index(value)

    def read_branch(cursor: Cursor, present: Numbers) -> Values:
        branch = cursor.byte(present)
        cursor.refuse(present & ((branch & 1 == 1) | (branch >= 2 * known)))
        return inner(cursor, present & (branch == chosen))

    return read_branch


def _record(schema: dict[str, Any], kind: type[ColumnType]) -> Reader | None:
    found = [
        _reader(field["type"], of) for field, (_, of) in zip(schema["fields"], kind.parameters["fields"], strict=True)
    ]
    inner = [reader for reader in found if reader is not None]
    if len(inner) < len(found):
        return None
    fields: Any = kind.to_arrow()  # iterates over its fields, which the stubs do not know

    def read_fields(cursor: Cursor, present: Numbers) -> Values:
        arrays = [reader(cursor, present) for reader in inner]
        return arrow.StructArray.from_arrays(arrays, fields=list(fields), mask=pa.array(~present))

    return read_fields


def _absent(present: Numbers) -> Numbers | None:
    return None if present.all() else ~present


def _array(values: Numbers, present: Numbers) -> Values:
    return arrow.array(values, mask=_absent(present), from_pandas=False)


def _booleans(cursor: Cursor, present: Numbers) -> Values:
    found = cursor.byte(present)
    cursor.refuse(present & (found > 1))
    return _array(found == 1, present)


def _whole(cursor: Cursor, present: Numbers, *, kind: pa.DataType) -> Values:
    found = cursor.number(present)
    if kind.bit_width == found.itemsize * 8:
        return _array(found, present).view(kind)
    narrow = found.astype(np.int32)
    cursor.refuse(present & (narrow != found))
    return _array(narrow, present).view(kind)


def _floats(cursor: Cursor, present: Numbers) -> Values:
    return _array(cursor.word(present, 4).astype(np.uint32).view(np.float32), present)


def _doubles(cursor: Cursor, present: Numbers) -> Values:
    return _array(cursor.word(present, 8).view(np.float64), present)


def _words(cursor: Cursor, present: Numbers, *, symbols: Values) -> Values:
    found = cursor.number(present)
    wrong = (found < 0) | (found >= len(symbols))
    cursor.refuse(present & wrong)
    return symbols.take(_array(np.where(wrong, 0, found), present))


def _spans(cursor: Cursor, present: Numbers, size: int | None) -> Values:
    """Return the next bytes of each message: every second piece of what the places of all cut the data into."""
    start, stop = cursor.span(present, size)
    places = np.append(np.stack([start, stop], 1), stop[-1:])
    pieces = arrow.Array.from_buffers(
        pa.large_binary(), 2 * len(start), [None, arrow.py_buffer(places), arrow.py_buffer(cursor.data)]
    )
    return pieces.take(_array(np.arange(0, 2 * len(start), 2), present))


def _bytes(cursor: Cursor, present: Numbers, *, size: int | None) -> Values:
    return _spans(cursor, present, size).cast(pa.binary())


def _texts(cursor: Cursor, present: Numbers) -> Values:
    found = _spans(cursor, present, None)
    try:
        return found.cast(pa.string())
    except pa.ArrowInvalid:
        wrong = np.array([not _is_text(value) for value in found.to_pylist()])
        cursor.refuse(wrong)
        return compute.if_else(pa.array(wrong), pa.scalar(b"", pa.large_binary()), found).cast(pa.string())


def _is_text(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _uuids(cursor: Cursor, present: Numbers) -> Values:
    start, stop = cursor.span(present)
    text = cursor.data[np.minimum(start[:, None] + np.arange(_UUID_LENGTH), len(cursor.data) - 1)]
    digits = _HEX[text[:, _UUID_DIGITS]]
    usual = (stop - start == _UUID_LENGTH) & (text[:, _UUID_DASHES] == ord("-")).all(1) & (digits != _NO_DIGIT).all(1)
    cursor.refuse(present & ~usual)
    made = _fixed(digits[:, ::2] << 4 | digits[:, 1::2], present, pa.binary(16))
    return arrow.ExtensionArray.from_storage(pa.uuid(), made)


def _decimals(cursor: Cursor, present: Numbers, *, kind: pa.DataType, size: int | None) -> Values:
    """Read whole numbers, the first byte of which counts most, as Arrow has them: filled up, the other way round."""
    start, stop = cursor.span(present, size)
    length, width = (stop - start)[:, None], kind.bit_width // 8
    cursor.refuse(stop - start > width)
    back = np.arange(width)
    digits = cursor.data[np.maximum(stop[:, None] - 1 - back, 0)]
    negative = (cursor.data[start] >= _CONTINUED)[:, None] & (length > 0)
    return _fixed(np.where(back < length, digits, np.where(negative, 0xFF, 0)).astype(np.uint8), present, kind)


def _fixed(made: Numbers, present: Numbers, kind: pa.DataType) -> Values:
    """Return values of a fixed number of bytes, one a line."""
    bits = arrow.py_buffer(np.packbits(present, bitorder="little"))
    return arrow.Array.from_buffers(kind, len(made), [bits, arrow.py_buffer(np.ascontiguousarray(made))])


def _of_bytes(schema: dict[str, Any], kind: pa.DataType) -> Reader:
    form = partial(_decimals, kind=kind) if pa.types.is_decimal(kind) else _bytes
    return partial(form, size=schema.get("size"))


_MADE: dict[str, Callable[[dict[str, Any], pa.DataType], Reader]] = {
    "boolean": lambda _, __: _booleans,
    "int": lambda _, kind: partial(_whole, kind=kind),
    "long": lambda _, kind: partial(_whole, kind=kind),
    "float": lambda _, __: _floats,
    "double": lambda _, __: _doubles,
    "bytes": _of_bytes,
    "fixed": _of_bytes,
    "string": lambda _, kind: _uuids if kind == pa.uuid() else _texts,
    "enum": lambda schema, _: partial(_words, symbols=pa.array(schema["symbols"], pa.string())),
}
