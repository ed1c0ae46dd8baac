"""JSON documents in MySQL's binary form, as the text that the server prints.

https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html
"""

from __future__ import annotations

import base64
import struct
from decimal import Decimal
from json import dumps
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core.backends.mysql.binlog import values

if TYPE_CHECKING:
    from ematix_core.backends.mysql.binlog.values import Cells

_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL, _STRING, _OPAQUE = 0, 1, 2, 3, 4, 12, 15
_LITERALS = {0: "null", 1: "true", 2: "false"}
_NUMBERS = {5: "<h", 6: "<H", 7: "<i", 8: "<I", 9: "<q", 10: "<Q"}
_DOUBLE = 11
_INLINE_SMALL, _INLINE_LARGE = frozenset({4, 5, 6}), frozenset({4, 5, 6, 7, 8})
_DECIMAL, _DATE, _TIME, _DATETIME, _TIMESTAMP = 246, 10, 11, 12, 7
_DATES = frozenset({_DATE, _DATETIME, _TIMESTAMP})
_LEAST_EXPONENT, _MOST_EXPONENT = -15, 14
"""Beyond these the server writes an exponent, at large numbers only if whole (MAX_DECPT_FOR_F_FORMAT of dtoa.cc)."""


def documents(cells: Cells) -> pa.Array[Any]:
    """Read JSON columns."""
    return pa.array([None if cell is None else document(cell) for cell in cells], pa.string())


def document(data: bytes) -> str:
    """Read one document; no bytes at all are `null`."""
    return _value(data[0], data[1:]) if data else "null"


def _value(kind: int, data: bytes) -> str:
    if kind in {_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY}:
        return _container(kind, data)
    if kind == _LITERAL:
        return _LITERALS[data[0]]
    if kind in _NUMBERS:
        return str(struct.unpack_from(_NUMBERS[kind], data)[0])
    if kind == _DOUBLE:
        return _double(struct.unpack_from("<d", data)[0])
    if kind == _STRING:
        return quoted(_sized(data).decode())
    if kind == _OPAQUE:
        return _opaque(data[0], _sized(data[1:]))
    raise values.MisfitError(f"a JSON value of kind {kind}")


def _container(kind: int, data: bytes) -> str:
    large = kind in {_LARGE_OBJECT, _LARGE_ARRAY}
    width = 4 if large else 2
    inline = _INLINE_LARGE if large else _INLINE_SMALL

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little")

    count, at, keys = number(0, width), 2 * width, []
    if kind in {_SMALL_OBJECT, _LARGE_OBJECT}:
        for _ in range(count):
            start, length = number(at, width), number(at + width, 2)
            keys.append(quoted(data[start : start + length].decode()))
            at += width + 2
    found = []
    for _ in range(count):
        held = data[at]
        found.append(_value(held, data[at + 1 :] if held in inline else data[number(at + 1, width) :]))
        at += 1 + width
    if kind in {_SMALL_OBJECT, _LARGE_OBJECT}:
        return "{" + ", ".join(f"{key}: {value}" for key, value in zip(keys, found, strict=True)) + "}"
    return "[" + ", ".join(found) + "]"


def quoted(text: str) -> str:
    """Return text as the server prints it in a document: DEL as it is, too."""
    return dumps(text, ensure_ascii=False)


def _double(number: float) -> str:
    """Return the shortest text that is this number."""
    sign, digits, power = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(power, int)  # noqa: S101 - JSON has no infinity
    exponent = power + len(digits) - 1
    text = "".join(map(str, digits))
    shown = "-" if sign else ""
    if number == 0:
        return f"{shown}0.0"
    whole_number = len(text) <= exponent + 1
    if (exponent > _MOST_EXPONENT and whole_number) or exponent < _LEAST_EXPONENT:
        return f"{shown}{text[0]}{'.' + text[1:] if text[1:] else ''}e{exponent}"
    if exponent < 0:
        return f"{shown}0.{'0' * (-exponent - 1)}{text}"
    whole = text[: exponent + 1].ljust(exponent + 1, "0")
    return f"{shown}{whole}.{text[exponent + 1 :] or '0'}"


def _opaque(kind: int, data: bytes) -> str:
    """Return a value of a type that JSON does not have."""
    if kind == _DECIMAL:
        return str(values.decimals([data[2:]], data[0], data[1])[0].as_py())
    if kind in _DATES or kind == _TIME:
        packed = int.from_bytes(data, "little", signed=True)
        whole, micros = abs(packed) >> 24, abs(packed) & 0xFFFFFF
        if kind == _TIME:
            hours, clock = whole >> 12 & 1023, whole
            return f'"{"-" if packed < 0 else ""}{hours:02d}:{clock >> 6 & 63:02d}:{clock & 63:02d}.{micros:06d}"'
        day, clock = whole >> 17, whole & 0x1FFFF
        date = f"{day // 32 // 13:04d}-{day // 32 % 13:02d}-{day % 32:02d}"
        if kind == _DATE:
            return f'"{date}"'
        return f'"{date} {clock >> 12:02d}:{clock >> 6 & 63:02d}:{clock & 63:02d}.{micros:06d}"'
    return f'"base64:type{kind}:{base64.b64encode(data).decode()}"'


def _sized(data: bytes) -> bytes:
    """Return the bytes behind their length, seven bits of which are in each byte."""
    length = shift = at = 0
    while True:
        byte = data[at]
        length |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the last one
            return data[at : at + length]
