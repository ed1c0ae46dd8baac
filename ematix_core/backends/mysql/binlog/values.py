"""Values of a binary log, as their bytes, in Arrow arrays; whole columns at a time.

The forms are those of `Field::pack` and `my_time.cc`:
https://dev.mysql.com/doc/dev/mysql-server/latest/classbinary__log_1_1Rows__event.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Cells: TypeAlias = "Sequence[bytes | None]"
_BYTES_OF_DIGITS = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""https://dev.mysql.com/doc/refman/8.0/en/precision-math-decimal-characteristics.html"""
_GROUP = 9
_EXACT_DIGITS = 18
_YEAR_ZERO = 1900
_MICROS = (0, 10_000, 10_000, 100, 100, 1, 1)
"""Microseconds that the fraction of a time counts, by its digits."""
_CODECS = {
    "utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "ascii": "ascii", "ucs2": "utf-16-be",
    "utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be", "latin1": "cp1252", "binary": "",
}  # fmt: skip
_LATIN1_UNASSIGNED = {0x81: "\x81", 0x8D: "\x8d", 0x8F: "\x8f", 0x90: "\x90", 0x9D: "\x9d"}
"""latin1 is cp1252, with the codes that this leaves out: https://dev.mysql.com/doc/refman/8.0/en/charset-we-sets.html"""


@dataclass
class MisfitError(Exception):
    """A value that no Arrow type holds, as the server would print it."""

    shown: str


def charset_known(charset: str) -> bool:
    """Say whether text of a character set can be read."""
    return charset in _CODECS


def integers(cells: Cells, width: int, *, signed: bool) -> pa.Array[Any]:
    """Read little-endian integers of 1 to 4 or 8 bytes."""
    raw, missing = _joined(cells, width)
    if width == 3:  # noqa: PLR2004 - MEDIUMINT, which has no type of its own elsewhere
        high = raw[:, 2].astype(np.int32) << 24 >> 8 if signed else raw[:, 2].astype(np.int32) << 16
        return _array(high | raw[:, 1].astype(np.int32) << 8 | raw[:, 0], missing)
    return _array(raw.reshape(-1).view(f"<{'i' if signed else 'u'}{width}"), missing)


def floats(cells: Cells, width: int) -> pa.Array[Any]:
    """Read floating-point numbers."""
    raw, missing = _joined(cells, width)
    return _array(raw.reshape(-1).view(f"<f{width}"), missing)


def years(cells: Cells) -> pa.Array[Any]:
    """Read years, of which 0 is one of its own."""
    raw, missing = _joined(cells, 1)
    found = raw.reshape(-1).astype(np.int16)
    return _array(np.where(found == 0, 0, found + _YEAR_ZERO).astype(np.int16), missing)


def bits(cells: Cells, width: int) -> pa.Array[Any]:
    """Read BIT columns as the numbers that their bits make."""
    raw, missing = _joined(cells, width)
    return _array(_big_endian(raw), missing)


def decimals(cells: Cells, precision: int, scale: int) -> pa.Array[Any]:
    """Read packed decimals."""
    raw, missing = _joined(cells, decimal_width(precision, scale))
    raw = raw.copy()
    negative = raw[:, 0] < 0x80  # noqa: PLR2004 - the sign's bit, which is 0 below zero
    raw[:, 0] ^= 0x80
    raw[negative] = ~raw[negative]
    whole, fraction = precision - scale, scale
    groups = [whole % _GROUP, *[_GROUP] * (whole // _GROUP), *[_GROUP] * (fraction // _GROUP), fraction % _GROUP]
    parts, at = [], 0
    for digits in groups:
        if digits:
            parts.append((digits, _big_endian(raw[:, at : at + _BYTES_OF_DIGITS[digits]])))
            at += _BYTES_OF_DIGITS[digits]
    if precision > _EXACT_DIGITS:
        return _long_decimals(parts, negative, missing, precision, scale)
    unscaled = np.zeros(len(raw), np.int64)
    for digits, part in parts:
        unscaled = unscaled * 10**digits + part.astype(np.int64)
    unscaled = np.where(negative, -unscaled, unscaled)
    both = np.column_stack((unscaled, unscaled >> 63))
    valid = None if missing is None else pa.array(~missing).buffers()[1]
    kind = pa.decimal128(precision, scale)
    return pa.Decimal128Array.from_buffers(kind, len(raw), [valid, pa.py_buffer(both.tobytes())])


def decimal_width(precision: int, scale: int) -> int:
    """Return the bytes of a packed decimal."""
    whole, fraction = precision - scale, scale
    return (
        4 * (whole // _GROUP) + _BYTES_OF_DIGITS[whole % _GROUP] + 4 * (fraction // _GROUP)
        + _BYTES_OF_DIGITS[fraction % _GROUP]
    )  # fmt: skip


def dates(cells: Cells) -> pa.Array[Any]:
    """Read dates. Raises MisfitError for one that the calendar does not have."""
    raw, missing = _joined(cells, 3)
    packed = raw[:, 0].astype(np.int64) | raw[:, 1].astype(np.int64) << 8 | raw[:, 2].astype(np.int64) << 16
    days = _days(packed >> 9, packed >> 5 & 15, packed & 31, missing)
    return _array(days.astype(np.int32), missing).view(pa.date32())


def datetimes(cells: Cells, digits: int) -> pa.Array[Any]:
    """Read dates with times. Raises MisfitError for a date that the calendar does not have."""
    raw, missing = _joined(cells, 5 + (digits + 1) // 2)
    packed = _big_endian(raw[:, :5]).astype(np.int64) & ~(1 << 39)
    month = packed >> 22
    seconds = _days(month // 13, month % 13, packed >> 17 & 31, missing) * 86_400
    seconds += (packed >> 12 & 31) * 3600 + (packed >> 6 & 63) * 60 + (packed & 63)
    return _array(seconds * 1_000_000 + _fraction(raw[:, 5:], digits), missing).view(pa.timestamp("us"))


def instants(cells: Cells, digits: int) -> pa.Array[Any]:
    """Read TIMESTAMP columns. Raises MisfitError for `0000-00-00 00:00:00`."""
    raw, missing = _joined(cells, 4 + (digits + 1) // 2)
    seconds = _big_endian(raw[:, :4]).astype(np.int64)
    _require(seconds != 0, missing, lambda _: "0000-00-00 00:00:00")
    return _array(seconds * 1_000_000 + _fraction(raw[:, 4:], digits), missing).view(pa.timestamp("us", "UTC"))


def times(cells: Cells, digits: int) -> pa.Array[Any]:
    """Read times of day. Raises MisfitError for spans below zero or of a day and more."""
    width = (digits + 1) // 2
    raw, missing = _joined(cells, 3 + width)
    packed = _big_endian(raw).astype(np.int64) - (1 << (23 + 8 * width))
    size = np.abs(packed)
    whole, rest = size >> (8 * width), size & ((1 << (8 * width)) - 1)
    hours, minutes, seconds = whole >> 12 & 1023, whole >> 6 & 63, whole & 63

    def shown(row: int) -> str:
        part = f"{rest[row]:0{2 * width}d}"[:digits]
        text = f"{hours[row]:02d}:{minutes[row]:02d}:{seconds[row]:02d}" + (f".{part}" if digits else "")
        return f"-{text}" if packed[row] < 0 else text

    _require((packed >= 0) & (hours < 24), missing, shown)  # noqa: PLR2004 - a day
    micros = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + rest * _MICROS[digits]
    return _array(micros, missing).view(pa.time64("us"))


def texts(cells: Cells, charset: str) -> pa.Array[Any]:
    """Read text. Raises MisfitError for bytes that are none in its character set."""
    codec = _CODECS[charset]
    if codec == "utf-8" or (codec in {"ascii", "cp1252"} and all(cell is None or cell.isascii() for cell in cells)):
        try:
            return pa.array(cells, pa.binary()).cast(pa.string())
        except pa.ArrowInvalid:
            pass  # below, the value is named
    return pa.array([None if cell is None else text(cell, charset, codec) for cell in cells], pa.string())


def text(cell: bytes, charset: str, codec: str = "") -> str:
    """Read one text."""
    try:
        return cell.decode(codec or _CODECS[charset] or "utf-8")
    except UnicodeDecodeError as error:
        if charset == "latin1":
            return "".join(_LATIN1_UNASSIGNED.get(byte) or bytes([byte]).decode("cp1252") for byte in cell)
        raise MisfitError(repr(cell)) from error


def binaries(cells: Cells, padded: int) -> pa.Array[Any]:
    """Read bytes; of BINARY(n) the zeros at the end were left out."""
    if padded:
        cells = [None if cell is None else cell.ljust(padded, b"\0") for cell in cells]
    return pa.array(cells, pa.binary())


def members(cells: Cells, names: Sequence[str]) -> pa.Array[Any]:
    """Read ENUM columns: numbers from 1 on, and 0 for a value that was none, which is printed as ''."""
    known = ("", *names)
    found = [None if cell is None else known[int.from_bytes(cell, "little")] for cell in cells]
    return pa.array(found, pa.string())


def sets(cells: Cells, names: Sequence[str]) -> pa.Array[Any]:
    """Read SET columns: a bit a member."""
    seen: dict[bytes | None, str | None] = {None: None}
    for cell in set(cells):
        if cell is not None:
            held = int.from_bytes(cell, "little")
            seen[cell] = ",".join(name for place, name in enumerate(names) if held >> place & 1)
    return pa.array([seen[cell] for cell in cells], pa.string())


def _joined(cells: Cells, width: int) -> tuple[Any, Any]:
    """Return a row of bytes for each value, and which ones are NULL (None: none of them)."""
    try:
        data, missing = b"".join(cells), None  # type: ignore[arg-type]  # a NULL raises, which is found out cheaply
    except TypeError:
        missing = np.fromiter((cell is None for cell in cells), bool, len(cells))
        data = b"".join(bytes(width) if cell is None else cell for cell in cells)
    return np.frombuffer(data, np.uint8).reshape(-1, width), missing


def _array(numbers: Any, missing: Any) -> pa.Array[Any]:  # noqa: ANN401 - numpy's arrays
    array: pa.Array[Any] = pa.array(np.ascontiguousarray(numbers), mask=missing)
    return array


def _big_endian(raw: Any) -> Any:  # noqa: ANN401 - numpy's arrays
    found = np.zeros(len(raw), np.uint64)
    for place in range(raw.shape[1]):
        found = found << np.uint64(8) | raw[:, place]
    return found


def _fraction(raw: Any, digits: int) -> Any:  # noqa: ANN401 - numpy's arrays
    return _big_endian(raw).astype(np.int64) * _MICROS[digits]


def _days(year: Any, month: Any, day: Any, missing: Any) -> Any:  # noqa: ANN401 - numpy's arrays
    """Return days since 1970. Raises MisfitError for a day that is none."""
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    lengths = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64)
    _require(
        (year > 0) & (month > 0) & (day > 0) & (day <= lengths), missing,
        lambda row: f"{year[row]:04d}-{month[row]:02d}-{day[row]:02d}",
    )  # fmt: skip
    days: Any = first.astype("datetime64[D]").astype(np.int64) + day - 1
    return days


def _require(fits: Any, missing: Any, shown: Callable[[int], str]) -> None:  # noqa: ANN401 - numpy's arrays
    if missing is not None:
        fits = fits | missing
    if not fits.all():
        raise MisfitError(shown(int(np.argmin(fits))))


def _long_decimals(
    parts: Sequence[tuple[int, Any]],
    negative: Any,  # noqa: ANN401 - numpy's arrays
    missing: Any,  # noqa: ANN401 - numpy's arrays
    precision: int,
    scale: int,
) -> pa.Array[Any]:
    """Read decimals of more digits than 64 bits hold, by their text."""
    columns = [[f"{part:0{digits}d}" for part in numbers.tolist()] for digits, numbers in parts]
    shown: list[str | None] = []
    for row, pieces in enumerate(zip(*columns, strict=True)):
        digits = "".join(pieces)
        sign = "-" if negative[row] else ""
        shown.append(
            f"{sign}{digits[: precision - scale] or '0'}.{digits[precision - scale :]}" if scale else sign + digits
        )
    if missing is not None:
        shown = [None if gone else one for one, gone in zip(shown, missing, strict=True)]
    kind: Any = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)  # noqa: PLR2004 - Arrow's limit
    return pa.array(shown, pa.string()).cast(kind)
