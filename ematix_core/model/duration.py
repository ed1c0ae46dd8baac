"""Lengths of time as users write them: `"90 seconds"`, `"1 day"`, or a timedelta."""

from __future__ import annotations

import re
from datetime import timedelta

from ematix_core.errors import DeclarationError, near

_UNITS = {
    "millisecond": timedelta(milliseconds=1),
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_HINT = "Write '1 day', '90 seconds', ..."
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.IGNORECASE)


def parse_duration(value: str | timedelta, option: str) -> timedelta:
    """Return a positive length of time for `"1 day"`, `"90 seconds"`, `"1.5 hours"` or a timedelta.

    Months and years have no fixed length and are refused. Raises DeclarationError naming `option`.
    """
    length = value if isinstance(value, timedelta) else _from_text(value, option)
    if length <= timedelta(0):
        raise DeclarationError(f"{option}={value!r} is not positive")
    return length


def parse_seconds(value: float | str | timedelta, option: str) -> float:
    """Return seconds for a number of them, or for a length of time as `parse_duration` takes it.

    Raises DeclarationError naming `option`, for what is not positive too.
    """
    if isinstance(value, str | timedelta):
        return parse_duration(value, option).total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DeclarationError(f"{option}={value!r} is no length of time", hint=_HINT)
    if not 0 < value < float("inf"):
        raise DeclarationError(f"{option}={value!r} is not positive")
    return float(value)


def _from_text(text: object, option: str) -> timedelta:
    match = _TEXT.fullmatch(str(text))
    if match is None:
        raise DeclarationError(f"{option}={text!r} is no length of time", hint=_HINT)
    unit = match[2].lower().removesuffix("s")
    if unit not in _UNITS:
        raise DeclarationError(f"{option}={text!r} has an unknown unit", hint=near(unit, _UNITS))
    return float(match[1]) * _UNITS[unit]
