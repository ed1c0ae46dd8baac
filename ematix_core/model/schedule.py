"""Schedules: a cron pattern in a time zone, and its next tick."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

_CRON_FIELDS = 5
_CRON_HINT = "Five fields: minute hour day-of-month month day-of-week, such as '0 2 * * *' for 02:00 every day."


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
        from cronsim import CronSim

        if instant.tzinfo is None:
            message = "ticks need an instant with a time zone"
            raise ValueError(message)
        last = instant
        for local in CronSim(self.cron, self.local(instant)):
            tick = local.astimezone(UTC)
            # A local time that occurs twice counts as its first occurrence, which may lie before the instant; several
            # that the clock skips all become the moment after the gap.
            if tick > last:
                yield tick
                last = tick

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
