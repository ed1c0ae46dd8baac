"""The ticks of a schedule: the first after a moment, the last up to one, without those that are let go by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ematix_core.model.schedule import wall_time, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.model.schedule import Schedule
    from ematix_core.scheduler.facts import Span

STEP = timedelta(minutes=1)
"""The shortest time between two ticks."""
_MOMENT = timedelta(microseconds=1)
_REMEMBERED = 4
_EVER = datetime.min.replace(tzinfo=UTC)


class Ticks:
    """The ticks of one schedule. Remembers those near the last questions, so that asking again costs no search.

    `skips` of the methods are stretches of time whose ticks do not count.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._known: dict[datetime, datetime] = {}  # a tick: the moment since which it is known to be the next one
        self._following: Iterator[datetime] = iter(())  # the ticks later than `_reached`
        self._reached = _EVER
        self._named = (_EVER, "")

    def first(self, after: datetime, skips: Sequence[Span] = ()) -> datetime:
        """Return the first tick that counts later than the moment."""
        tick = self._next(after)
        while skips and (span := _covering(tick, skips)):
            tick = self._next(span[1])
        return tick

    def last(self, after: datetime, until: datetime, skips: Sequence[Span] = ()) -> datetime | None:
        """Return the last tick that counts later than `after` and not later than `until`; None when there is none."""
        tick = self._last(after, until)
        while tick is not None and skips and (span := _covering(tick, skips)):
            tick = self._last(after, span[0])
        return tick

    def before(self, tick: datetime) -> datetime | None:
        """Return the tick before this one; None when there was none in the 40 years before, the longest cycle."""
        for days in (1, 8, 32, 400, 4 * 366, 40 * 366):
            found = self._last(tick - timedelta(days=days), tick - _MOMENT)
            if found is not None:
                return found
        return None

    def name(self, tick: datetime) -> str:
        """Return what people are told of a tick, such as `2026-03-29 03:00 Europe/Berlin`."""
        if self._named[0] != tick:
            wall = wall_time(tick, zone_of(self._schedule.timezone), "minutes")
            self._named = (tick, f"{wall} {self._schedule.timezone}")
        return self._named[1]

    def _next(self, after: datetime) -> datetime:
        for known, since in self._known.items():
            if since <= after < known:
                return known
        if self._reached <= after and (tick := next(self._following, None)) is not None and after < tick:
            return self._remember(self._reached, tick)
        self._following = self._schedule.ticks_after(after)
        return self._remember(after, next(self._following))

    def _remember(self, since: datetime, tick: datetime) -> datetime:
        self._reached = tick
        self._known[tick] = min(since, self._known.get(tick, since))
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return tick

    def _last(self, after: datetime, until: datetime) -> datetime | None:
        """Halve the time in question until it is too short for a tick: years are a matter of some twenty steps."""
        low, high = self._next(after), until
        if low > until:
            return None
        if self._next(low) > until:  # the usual case, and remembered for all units with this schedule
            return low
        while high - low >= STEP:
            middle = low + (high - low) / 2
            tick = self._schedule.next_after(middle)
            low, high = (tick, high) if tick <= until else (low, middle)
        return low


def _covering(tick: datetime, skips: Sequence[Span]) -> Span | None:
    return next((span for span in skips if span[0] < tick <= span[1]), None)
