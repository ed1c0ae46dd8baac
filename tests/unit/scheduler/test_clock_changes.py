"""What a schedule does where clocks change: the evaluator is asked at given instants, so no clock is involved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ematix_core.model.schedule import Schedule
from ematix_core.model.unit import Unit, UnitJob
from ematix_core.scheduler.ticks import Ticks
from ematix_core.scheduler.triggers import Triggers
from ematix_core.store.records import Event, EventKind
from tests.property.trigger_model import Span, ticks_between

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# Gaps at night, at midnight and on a Sunday; changes by half an hour; quarter hours from UTC; the other way round.
ZONES = (
    "Africa/Cairo", "Africa/Casablanca", "America/Havana", "America/New_York", "America/Santiago",
    "Australia/Lord_Howe", "Europe/Berlin", "Europe/Dublin", "Europe/London", "Pacific/Chatham",
)  # fmt: skip


def runs(schedule: Schedule, first: datetime, last: datetime) -> list[datetime]:
    """Return when a workflow with this schedule, first seen at `first`, runs; each run ends at once, with success."""
    triggers = Triggers([Unit(name="w", jobs=(UnitJob("j"),), schedule=schedule)])
    triggers.apply(Event(1, EventKind.SEEN, "w", first))
    assert triggers.due(first) == []
    started: list[datetime] = []
    while (now := triggers.next_tick()) is not None and now <= last:
        assert triggers.due(now - MINUTE) == []
        (decision,) = triggers.due(now)
        assert decision.tick == now
        number = 2 * len(started) + 2
        triggers.apply(Event(number, EventKind.STARTED, "w", now, tick=now))
        triggers.apply(Event(number + 1, EventKind.SUCCEEDED, "w", now, since=number, started_at=now, tick=now))
        assert triggers.due(now) == []
        started.append(now)
    return started


@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", "2026-03-29", ["01:00"]),
        ("30 2 * * *", "2026-10-25", ["00:30"]),
        ("*/30 2 * * *", "2026-10-25", ["00:00", "00:30", "01:00", "01:30"]),
        ("0 * * * *", "2026-10-25", [f"{hour:02}:00" for hour in range(23)]),
    ],
)
def test_berlin_2026_as_the_table_of_engines_has_it(cron: str, day: str, expected: list[str]) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=UTC)
    found = runs(Schedule(cron, "Europe/Berlin"), midnight - MINUTE, midnight + 22.5 * HOUR)
    assert [f"{tick:%H:%M}" for tick in found] == expected


def test_ticks_of_the_hour_that_comes_twice_are_told_apart() -> None:
    ticks = Ticks(Schedule("*/30 * * * *", "Europe/Berlin"))
    utc = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    assert [ticks.name(utc + number * 30 * MINUTE) for number in range(6)] == [
        "2026-10-25 01:30 Europe/Berlin",
        "2026-10-25 02:00+02:00 Europe/Berlin",
        "2026-10-25 02:30+02:00 Europe/Berlin",
        "2026-10-25 02:00+01:00 Europe/Berlin",
        "2026-10-25 02:30+01:00 Europe/Berlin",
        "2026-10-25 03:00 Europe/Berlin",
    ]
    assert ticks.name(datetime(2026, 3, 29, 1, tzinfo=UTC)) == "2026-03-29 03:00 Europe/Berlin"


def changes(zone: str) -> list[datetime]:
    """Return the instants at which the zone's clocks change in 2025, 2026 and 2027."""
    instant, found = datetime(2025, 1, 1, tzinfo=UTC), []
    while instant.year < 2028:
        following = instant + timedelta(minutes=15)
        if following.astimezone(ZoneInfo(zone)).utcoffset() != instant.astimezone(ZoneInfo(zone)).utcoffset():
            found.append(following)
        instant = following
    return found


def wall(instant: datetime, zone: str) -> datetime:
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@pytest.mark.parametrize("zone", ZONES)
def test_every_change_of_three_years_fires_what_looking_at_each_minute_finds(zone: str) -> None:
    found = changes(zone)
    assert len(found) == 6
    for change in found:
        span = Span(change - 26 * HOUR, change + 26 * HOUR)
        for cron in patterns(wall(change - MINUTE, zone) + MINUTE, wall(change, zone)):
            expected = [tick for tick in ticks_between(cron, zone, span) if tick > span.first]
            assert runs(Schedule(cron, zone), span.first, span.last) == expected, f"{cron} around {change}"


def patterns(expected: datetime, shown: datetime) -> set[str]:
    """Return patterns about the time that the clock was about to show, the one that it shows, and around."""
    made = {"*/30 * * * *", "0 * * * *", "0 0 * * *"}
    for moment in (expected, shown, expected + HOUR / 4, shown + HOUR / 4, min(expected, shown) - HOUR):
        time_of_day, weekday = f"{moment.minute} {moment.hour}", moment.isoweekday() % 7
        made |= {
            f"{time_of_day} * * *",
            f"{time_of_day} {moment.day} {moment.month} *",
            f"{moment.minute},59 {moment.hour} * * *",
            f"*/15 {moment.hour} * * *",
            f"*/15 {moment.hour} * * {weekday}",
            f"{moment.minute} * {moment.day} * *",
        }
    return made


@pytest.mark.parametrize("zone", ZONES)
def test_a_time_of_day_that_is_skipped_fires_right_after_the_gap_and_one_that_comes_twice_fires_once(zone: str) -> None:
    for change in changes(zone):
        before, after = wall(change - MINUTE, zone) + MINUTE, wall(change, zone)
        moment = min(before, after) + abs(after - before) / 2
        first = change - 12 * HOUR
        daily = runs(Schedule(f"{moment.minute} {moment.hour} * * *", zone), first, first + 24 * HOUR)
        assert daily == [change if after > before else change - abs(after - before) / 2]


@pytest.mark.parametrize("zone", ZONES)
def test_an_interval_keeps_its_length_through_every_change(zone: str) -> None:
    for change in changes(zone):
        found = runs(Schedule("*/15 * * * *", zone), change - 5 * HOUR, change + 5 * HOUR)
        assert found == [change - 5 * HOUR + number * HOUR / 4 for number in range(1, 41)]


def test_a_clock_that_is_set_back_fires_nothing_twice() -> None:
    tick = datetime(2026, 3, 1, 12, tzinfo=UTC)
    triggers = Triggers([Unit(name="w", jobs=(UnitJob("j"),), schedule=Schedule("0 12 * * *"))])
    triggers.apply(Event(1, EventKind.SEEN, "w", tick - HOUR))
    assert [one.tick for one in triggers.due(tick)] == [tick]
    # The store's clock is behind: by its time the run begins before the tick that it is for.
    started = tick - 3 * MINUTE
    triggers.apply(Event(2, EventKind.STARTED, "w", started, tick=tick))
    triggers.apply(Event(3, EventKind.SUCCEEDED, "w", started, since=2, started_at=started, tick=tick))
    minutes = [tick - HOUR + number * MINUTE for number in range(120)]
    assert [one for minute in minutes for one in triggers.due(minute)] == []
    assert triggers.next_tick() == tick + 24 * HOUR
