"""Slices of a backfill: half-open parts of a stretch of time, or of numbers, which follow each other without a gap."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal

from ematix_core.errors import DeclarationError
from ematix_core.model.schedule import zone_of

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

By = Literal["day", "hour", "key"]

MOST = 100_000
"""More slices than this are a slip of the keyboard: each is a run of its own."""

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Slice:
    """One part: `start` belongs to it, `end` does not. Times are in UTC.

    The name tells the part from every other one, whatever stretch it was cut from, so that a backfill which is
    started again knows what is done.
    """

    name: str
    start: datetime | int
    end: datetime | int


def slices(by: By, start: str, end: str, *, zone: str = "UTC", step: int | None = None) -> tuple[Slice, ...]:
    """Cut the stretch from `start` up to, and without, `end` into slices of `step` days, hours or numbers.

    Dates and times are ISO 8601 and, unless they say otherwise, local to `zone`; numbers are integers. `step` is 1
    for days and hours, and has to be given for numbers. Raises DeclarationError for what is none of these, for a
    stretch without a length, and when there would be more than 100,000 slices.
    """
    if step is not None and step < 1:
        raise DeclarationError(f"step={step} is no size of a slice", hint="It is 1 or more.")
    try:
        return _by_key(start, end, step) if by == "key" else _by_time(by, start, end, zone_of(zone), step or 1)
    except OverflowError:
        raise DeclarationError(
            f"no calendar reaches from {start!r} to {end!r}", hint="Dates lie between 0001-01-02 and 9999-12-30."
        ) from None


def by_day(start: datetime, end: datetime, zone: ZoneInfo, step: int = 1) -> tuple[Slice, ...]:
    """Cut at the midnights of the zone: a day on which the clock changes has 23 or 25 hours."""
    first = start.astimezone(zone).date()
    bounds = [start]
    days = step
    while (bound := _midnight(first + timedelta(days=days), zone)) < end:
        if bound > bounds[-1]:  # a day that the zone left out, as Samoa did in 2011, has no length
            bounds.append(bound)
        days += step
    return tuple(Slice(_days_name(a, b, zone), a, b) for a, b in zip(bounds, [*bounds[1:], end], strict=True))


def by_hour(start: datetime, end: datetime, step: int = 1) -> tuple[Slice, ...]:
    """Cut at the full hours of UTC, which no clock change doubles or skips."""
    bounds = [start]
    bound = start.replace(minute=0, second=0, microsecond=0) + step * _HOUR
    while bound < end:
        bounds.append(bound)
        bound += step * _HOUR
    return tuple(Slice(_hours_name(a, b), a, b) for a, b in zip(bounds, [*bounds[1:], end], strict=True))


def by_key(start: int, end: int, step: int) -> tuple[Slice, ...]:
    """Cut into ranges of `step` integers; the last one takes what is left."""
    ranges = ((first, min(first + step, end)) for first in range(start, end, step))
    return tuple(Slice(f"{first}..{last}", first, last) for first, last in ranges)


def _by_time(by: By, start: str, end: str, zone: ZoneInfo, step: int) -> tuple[Slice, ...]:
    first, last = _instant(start, "from", zone), _instant(end, "to", zone)
    length = step * (timedelta(days=1) if by == "day" else _HOUR)
    _check_stretch(start, end, number=(last - first) / length)
    return by_day(first, last, zone, step) if by == "day" else by_hour(first, last, step)


def _by_key(start: str, end: str, step: int | None) -> tuple[Slice, ...]:
    first, last = _integer(start, "from"), _integer(end, "to")
    if step is None:
        raise DeclarationError("slices by key need a step", hint="Say how many keys make a slice: --step 100000.")
    _check_stretch(start, end, number=(last - first) / step)
    return by_key(first, last, step)


def _check_stretch(start: str, end: str, *, number: float) -> None:
    if number <= 0:
        raise DeclarationError(
            f"there is nothing from {start} to {end}",
            hint="`to` is later than `from`, and not part of it: the day 2026-01-31 goes to 2026-02-01.",
        )
    if number > MOST:
        raise DeclarationError(
            f"from {start} to {end} are {number:,.0f} slices, more than {MOST:,}", hint="Give a larger step."
        )


def _instant(text: str, option: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        number = text.lstrip("+-").isdigit()
        raise DeclarationError(
            f"{option}={text!r} is no date or time",
            hint="Ranges of numbers are cut by key." if number else "Write 2026-01-31, or 2026-01-31T06:00.",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _integer(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DeclarationError(f"{option}={text!r} is no integer", hint="Dates are cut by day or by hour.") from None


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the beginning of the day, in UTC; where the clock skips midnight, the moment at which it does."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _days_name(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    first, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    if _midnight(first, zone) != start or _midnight(last, zone) != end:
        return _stretch_name(start, end)
    days = f"{first}" if last - first == timedelta(days=1) else f"{first}/{last}"
    return days if zone.key == "UTC" else f"{days} {zone.key}"


def _hours_name(start: datetime, end: datetime) -> str:
    return _short(start) if start.minute == 0 and end - start == _HOUR else _stretch_name(start, end)


def _stretch_name(start: datetime, end: datetime) -> str:
    return f"{_short(start)}/{_short(end)}"


def _short(moment: datetime) -> str:
    exact = bool(moment.second or moment.microsecond)
    return moment.replace(tzinfo=None).isoformat(timespec="auto" if exact else "minutes") + "Z"
