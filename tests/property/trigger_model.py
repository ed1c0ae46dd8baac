"""DESIGN section 7 in plain Python, without a thought for speed: which units run now, from all events that there were.

Shares nothing with the evaluator but the records. Ticks are found by looking at every minute.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from ematix_core.model.trigger import AllOf, AnyOf
from ematix_core.store.records import EventKind as Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ematix_core.model.trigger import Trigger
    from ematix_core.model.unit import Unit
    from ematix_core.store.records import Event

MINUTE = timedelta(minutes=1)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class Due(NamedTuple):
    """What is compared with the evaluator's decision."""

    unit: str
    key: str
    tick: datetime | None
    message: str | None


class Span(NamedTuple):
    """The time in which a model looks for ticks; no event lies outside."""

    first: datetime
    last: datetime


def due(units: Sequence[Unit], events: Sequence[Event], now: datetime, span: Span) -> set[Due]:
    """Return what runs now. `units` may be fewer than there once were."""
    workflows = {unit.name for unit in units if not unit.single}
    return {found for unit in units if (found := _due(unit, workflows, events, now, span))}


def _due(unit: Unit, workflows: set[str], events: Sequence[Event], now: datetime, span: Span) -> Due | None:
    own = [event for event in events if event.name == unit.name]
    starts = [event for event in own if event.kind is Kind.STARTED]
    ends = {event.since: event for event in own if event.kind in {Kind.SUCCEEDED, Kind.FAILED, Kind.CANCELLED}}
    if any(start.id not in ends for start in starts):
        return None  # its runs do not overlap
    if [event.kind for event in own if event.kind in {Kind.PAUSED, Kind.RESUMED}][-1:] == [Kind.PAUSED]:
        return None
    if unit.messages is not None:
        return _for_message(unit, own, starts)
    successes = {name: _successes(name, workflows, events) for name in unit.waits_for()}
    since, begun = _last_success(unit, own, starts, ends)
    ticks = [] if unit.schedule is None else _ticks_that_count(unit, own, events, now, span)
    after = _after(unit, own, begun)
    fresh = [tick for tick in ticks if after < tick]
    failed = bool(starts) and ends[starts[-1].id].kind is not Kind.SUCCEEDED
    if (
        (unit.trigger is not None and not _holds(unit.trigger, successes, since))
        or (unit.schedule is not None and not fresh)
        or (failed and not _happened_since(starts[-1], successes, ticks))
    ):
        return None
    tick = None if not fresh else fresh[0] if unit.catchup == "all" else fresh[-1]
    return Due(unit.name, f"{unit.name}@{starts[-1].id if starts else 0}", tick, None)


def _for_message(unit: Unit, own: list[Event], starts: list[Event]) -> Due | None:
    consumed = [start.data["position"] for start in starts if start.data]
    for event in own:
        if event.kind is Kind.MESSAGE and event.data and event.data["position"] not in consumed:
            position = event.data["position"]
            return Due(unit.name, f"{unit.name}/message/{position}", None, position)
    return None


def _happened_since(start: Event, successes: dict[str, list[int]], ticks: list[datetime]) -> bool:
    """Return whether something that the unit waits for has happened since a run began."""
    again = any(event > start.id for found in successes.values() for event in found)
    return again or any(tick > max(start.at, start.tick or start.at) for tick in ticks)


def _successes(name: str, workflows: set[str], events: Sequence[Event]) -> list[int]:
    """Return the ids of the successes of a workflow or job. The end of a job that is a unit by itself is the job's."""
    of_job = [event.id for event in events if event.name == name and event.kind is Kind.JOB_SUCCEEDED]
    of_unit = [event.id for event in events if event.name == name and event.kind is Kind.SUCCEEDED]
    return of_unit if name in workflows else of_job or of_unit


def _last_success(
    unit: Unit, own: list[Event], starts: list[Event], ends: dict[int | None, Event]
) -> tuple[int, datetime | None]:
    """Return at which event the last successful run began, and when; 0 and None before the first.

    For a single job each of its runs counts, unless it was part of a run of the unit that succeeded.
    """
    runs = [(end.id, start.id, max(start.at, start.tick or start.at)) for start in starts
            if (end := ends[start.id]).kind is Kind.SUCCEEDED]  # fmt: skip
    if unit.single:
        within = [(start, end) for end, start, _ in runs]
        runs += [
            (event.id, event.since or 0, event.started_at or event.at)
            for event in own
            if event.kind is Kind.JOB_SUCCEEDED and not any(start < event.id < end for start, end in within)
        ]
    if not runs:
        return 0, None
    _, since, begun = max(runs)
    return since, begun


def _holds(trigger: Trigger, successes: dict[str, list[int]], since: int) -> bool:
    match trigger:
        case AllOf():
            return all(_holds(part, successes, since) for part in trigger.parts)
        case AnyOf():
            return any(_holds(part, successes, since) for part in trigger.parts)
    return any(event > since for event in successes[trigger.name])


def _after(unit: Unit, own: list[Event], begun: datetime | None) -> datetime:
    """Return the moment after which ticks count."""
    seen = next((event.at for event in own if event.kind is Kind.SEEN), datetime.max.replace(tzinfo=UTC))
    if unit.catchup == "all":
        return max((event.tick for event in own if event.kind is Kind.SUCCEEDED and event.tick), default=seen)
    return seen if begun is None else begun


def _ticks_that_count(
    unit: Unit, own: list[Event], events: Sequence[Event], now: datetime, span: Span
) -> list[datetime]:
    assert unit.schedule is not None
    ticks = ticks_between(unit.schedule.cron, unit.schedule.timezone, span)
    ticks = ticks[: bisect_right(ticks, now)]
    if unit.catchup != "none":
        return ticks
    lost = [(event.started_at or event.at, event.at) for event in events if event.kind is Kind.GAP]
    paused = None
    for event in own:
        if event.kind is Kind.PAUSED:
            paused = event.at
        elif event.kind is Kind.RESUMED and paused is not None:
            lost.append((paused, event.at))
            paused = None
    return [tick for tick in ticks if not any(begun < tick <= ended for begun, ended in lost)]


@cache
def ticks_between(cron: str, zone: str, span: Span) -> list[datetime]:
    """Return the ticks of a pattern by looking at each minute.

    A pattern whose minute or hour begins with a star follows the elapsed time: it fires when the clock on the wall
    fits. Any other one names times of day: one that the clock skips fires when it goes on, one that comes twice fires
    the first time.
    """
    fits = _pattern(cron)
    minute, hour, *_ = cron.split()
    by_interval = minute.startswith("*") or hour.startswith("*")
    found, before = [], None
    for moment, wall, again in _clock(zone, span):
        passed = [wall] if by_interval or before is None else _minutes(before, wall)
        if any(map(fits, passed)) and (by_interval or not again):
            found.append(moment)
        before = wall
    return found


@cache
def _clock(zone: str, span: Span) -> list[tuple[datetime, datetime, bool]]:
    """Return each minute with what the clock on the wall shows, and whether it shows that for the second time."""
    minutes = (span.first + MINUTE * number for number in range((span.last - span.first) // MINUTE + 1))
    local = [(minute, minute.astimezone(ZoneInfo(zone))) for minute in minutes]
    return [(minute, wall.replace(tzinfo=None), wall.fold == 1) for minute, wall in local]


def _minutes(before: datetime, wall: datetime) -> list[datetime]:
    """Return the minutes of the wall clock after one up to another; just the other one when it was set back."""
    return [before + MINUTE * step for step in range(1, (wall - before) // MINUTE + 1)] or [wall]


def _pattern(cron: str) -> Callable[[datetime], bool]:
    fields = cron.split()
    either = not (fields[2].startswith("*") or fields[4].startswith("*"))
    minutes, hours, days, months, weekdays = (
        _values(field, low, high) for field, (low, high) in zip(fields, RANGES, strict=True)
    )

    def fits(wall: datetime) -> bool:
        if wall.minute not in minutes or wall.hour not in hours or wall.month not in months:
            return False
        by_day, by_weekday = wall.day in days, wall.isoweekday() in weekdays or wall.isoweekday() % 7 in weekdays
        return by_day or by_weekday if either else by_day and by_weekday

    return fits


def _values(field: str, low: int, high: int) -> frozenset[int]:
    """Return what a field of a pattern allows: `*`, `*/n`, `a`, `a-b`, and lists of these."""
    found: set[int] = set()
    for part in field.split(","):
        reach, _, step = part.partition("/")
        begin, _, end = (f"{low}-{high}" if reach == "*" else reach).partition("-")
        found |= set(range(int(begin), int(end or begin) + 1, int(step or 1)))
    return frozenset(found)
