"""Which type is wider than which: the rule of drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.types import Unknown

if TYPE_CHECKING:
    from ematix_core.types import ColumnType

_UNITS = ("s", "ms", "us", "ns")
_EXACT_DIGITS = {
    "tiny_int": 3, "u_tiny_int": 3, "small_int": 5, "u_small_int": 5, "integer": 10, "u_integer": 10,
    "big_int": 19, "u_big_int": 20,
}  # fmt: skip
_INTEGER_BITS = {
    "tiny_int": (7, 1), "small_int": (15, 1), "integer": (31, 1), "big_int": (63, 1),
    "u_tiny_int": (8, 0), "u_small_int": (16, 0), "u_integer": (32, 0), "u_big_int": (64, 0),
}  # fmt: skip
_MANTISSA_BITS = {"float": 24, "double": 53}


def widens(old: type[ColumnType], new: type[ColumnType]) -> bool:  # noqa: PLR0911 - one line a rule
    """Say whether every value of `old` is also a value of `new`, exactly: the rule of drift's "wider type"."""
    if old in {new, Unknown}:
        return True
    a, b = old.kind, new.kind
    if b in _INTEGER_BITS or b in {"numeric", "double", "float"}:
        return _widens_number(old, new)
    if a == b == "string":
        return bool(old.parameters["length"] <= new.parameters["length"])
    if a == b == "array":
        return widens(old.parameters["item"], new.parameters["item"])
    if a == b and "unit" in old.parameters:
        unit, finer = old.parameters["unit"], new.parameters["unit"]
        if finer == "ns" != unit and a.startswith("timestamp"):
            return False  # nanoseconds reach from 1677 to 2262 only
        return _UNITS.index(unit) <= _UNITS.index(finer)
    return (b == "text" and a in {"string", "uuid", "json"}) or (a, b) == ("date", "timestamp")


def _widens_number(old: type[ColumnType], new: type[ColumnType]) -> bool:
    a, b = old.kind, new.kind
    bits, signed = _INTEGER_BITS.get(a, (0, 0))
    if b in _INTEGER_BITS:
        more, also = _INTEGER_BITS[b]
        return 0 < bits <= more and signed <= also
    if b in _MANTISSA_BITS:
        return (a, b) == ("float", "double") or 0 < bits <= _MANTISSA_BITS[b]
    precision, scale = new.parameters["precision"], new.parameters["scale"]
    if a in _EXACT_DIGITS:
        return bool(_EXACT_DIGITS[a] <= precision - scale)
    if a != "numeric":
        return False
    digits, behind = old.parameters["precision"], old.parameters["scale"]
    return bool(behind <= scale and digits - behind <= precision - scale)
