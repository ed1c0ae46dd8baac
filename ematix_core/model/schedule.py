"""Schedules: a cron pattern in a time zone, and its next tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

_CRON_FIELDS = 5
_CRON_HINT = "Five fields: minute hour day-of-month month day-of-week, such as '0 2 * * *' for 02:00 every day."
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)


@dataclass(frozen=True)
class Schedule:
    """A cron pattern of five fields, read as local time of `timezone` (an IANA name).

    When the clock changes, Debian's cron rules hold: a fixed local time that is skipped fires right after the gap, one
    that occurs twice fires once, and an interval pattern (`*/30`) keeps its interval.
    """

    cron: str
    timezone: str = "UTC"

    @classmethod
    def of(cls, cron: str | None, timezone: str | None) -> Schedule | None:
        """Return the schedule for the options `schedule=` and `timezone=`; None when neither is given.

        Raises DeclarationError for a bad pattern or zone, and for a zone without a pattern.
        """
        if cron is None and timezone is not None:
            raise DeclarationError(
                f"timezone={timezone!r} without schedule", hint="Add schedule='...' or remove timezone."
            )
        return None if cron is None else cls(cron, "UTC" if timezone is None else timezone)

    def __post_init__(self) -> None:
        """Check pattern and zone."""
        zone_of(self.timezone)
        self._check_cron()

    def _check_cron(self) -> None:
        from cronsim import CronSim, CronSimError

        problem = "" if len(self.cron.split()) == _CRON_FIELDS else "it has not five fields"
        try:
            if not problem and next(CronSim(self.cron, datetime(2024, 1, 1, tzinfo=UTC)), None) is None:
                problem = "it never comes"
        except CronSimError as error:
            problem = str(error)
        if problem:
            raise DeclarationError(f"schedule={self.cron!r} is no cron pattern: {problem}", hint=_CRON_HINT)

    def local(self, instant: datetime) -> datetime:
        """Return an instant as local time of the schedule's zone."""
        return instant.astimezone(zone_of(self.timezone))

    def next_after(self, instant: datetime) -> datetime:
        """Return the first tick later than `instant`, in UTC. Raises ValueError for an instant without a zone."""
        return next(self.ticks_after(instant))

    def ticks_after(self, instant: datetime) -> Iterator[datetime]:
        """Yield the ticks later than `instant`, in UTC, each later than the one before."""
        if instant.tzinfo is None:
            message = "ticks need an instant with a time zone"
            raise ValueError(message)
        minute, hour, *_ = self.cron.split()
        by_interval = minute.startswith("*") or hour.startswith("*")
        return self._by_interval(instant) if by_interval else self._by_time_of_day(instant)

    def _by_time_of_day(self, instant: datetime) -> Iterator[datetime]:
        from cronsim import CronSim

        last = instant
        for local in CronSim(self.cron, self.local(instant)):
            tick = local.astimezone(UTC)
            # A local time that occurs twice counts as its first occurrence, which may lie before the instant; several
            # that the clock skips all become the moment after the gap.
            if tick > last:
                yield tick
                last = tick

    def _by_interval(self, instant: datetime) -> Iterator[datetime]:
        """Yield the ticks of a pattern whose minute or hour begins with a star: when the clock on the wall fits.

        cronsim is given one stretch between clock changes after the other, as a clock that never changes. Across
        them it may miss an hour (`*/15 1 * * SUN` in America/Santiago) and need not end (`*/15 3 * * *` in
        Pacific/Chatham).
        """
        from cronsim import CronSim

        zone = zone_of(self.timezone)
        begin, offset = instant, _offset(zone, instant)
        while True:
            last, change = instant, None
            for wall in CronSim(self.cron, (begin.astimezone(UTC) + offset).replace(tzinfo=None)):
                tick = (wall - offset).replace(tzinfo=UTC)
                change = _first_change(zone, last, tick)
                if change is not None:
                    break
                yield tick
                last = tick
            if change is None:
                return
            instant, begin, offset = change, change - timedelta(seconds=1), _offset(zone, change)

    def __str__(self) -> str:
        """Return pattern and zone, such as `0 2 * * * Europe/London`."""
        return f"{self.cron} {self.timezone}"


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name. Raises DeclarationError with the nearest known name."""
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        matches = get_close_matches(name, available_timezones(), n=1)
        guess = f"Did you mean {matches[0]!r}? " if matches else ""
        raise DeclarationError(
            f"unknown time zone {name!r}", hint=f"{guess}Zones are IANA names, such as 'Europe/London' or 'UTC'."
        ) from None


def wall_time(instant: datetime, zone: ZoneInfo | None, timespec: str) -> str:
    """Return what clocks show in the zone, or with None in this machine's, to "minutes" or "seconds".

    In an hour that comes twice, as in autumn, with the offset from UTC: `2026-10-25 02:30+01:00`.
    """
    local = instant.astimezone(zone)
    wall = local.replace(tzinfo=None)
    meant = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return (local if len(meant) > 1 else wall).isoformat(" ", timespec)


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 - every zone has one
    return offset


def _first_change(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """Return the first minute in a stretch of time with another offset than before; None when there is none."""
    offset, low = _offset(zone, after), after
    while low < until:
        high = min(low + _DAY, until)  # no two changes are as near to each other
        if _offset(zone, high) != offset:
            while high - low > _MINUTE:
                middle = low + (high - low) / 2
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            return high.replace(second=0, microsecond=0)
        low = high
    return None
