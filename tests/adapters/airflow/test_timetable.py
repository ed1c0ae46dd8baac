"""The timetable: which tick the next run is for, and which missed ones have a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction
from ematix_airflow.timetable import EmatixTimetable

from ematix_core.errors import DeclarationError

HOUR = timedelta(hours=1)
FREE = TimeRestriction(None, None, catchup=False)


def at(text: str) -> pendulum.DateTime:
    return pendulum.instance(datetime.fromisoformat(text).replace(tzinfo=UTC))


def timetable(cron: str, zone: str = "UTC", catchup: str = "latest", now: str = "2026-01-05T09:30") -> EmatixTimetable:
    return EmatixTimetable(cron, zone, catchup, clock=lambda: datetime.fromisoformat(f"{now}Z"))  # type: ignore[arg-type]  # names of the table


def interval(start: str, end: str) -> DataInterval:
    return DataInterval(at(start), at(end))


def ticks(found: EmatixTimetable, restriction: TimeRestriction, last: DataInterval | None = None) -> list[str]:
    """Return the next three runs, each asked for after the one before."""
    shown: list[str] = []
    while len(shown) < 3 and (
        info := found.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
    ):
        assert info.data_interval is not None
        assert info.run_after == info.data_interval.end
        last = info.data_interval
        shown.append(f"{info.run_after:%d %H:%M}")
    return shown


def test_the_first_run_is_for_the_first_tick_after_the_dag_was_seen() -> None:
    assert ticks(timetable("0 * * * *"), FREE) == ["05 10:00", "05 11:00", "05 12:00"]


def test_a_tick_that_the_scheduler_is_just_late_for_is_not_lost_to_a_parse_in_between() -> None:
    assert ticks(timetable("0 * * * *", now="2026-01-05T10:00:40"), FREE)[0] == "05 10:00"


@pytest.mark.parametrize(
    ("catchup", "expected"),
    [
        ("latest", ["05 09:00", "05 10:00", "05 11:00"]),
        ("all", ["05 04:00", "05 05:00", "05 06:00"]),
        ("none", ["05 10:00", "05 11:00", "05 12:00"]),
    ],
)
def test_ticks_missed_in_a_downtime(catchup: str, expected: list[str]) -> None:
    last = interval("2026-01-05T02:00", "2026-01-05T03:00")
    assert ticks(timetable("0 * * * *", catchup=catchup), FREE, last) == expected


@pytest.mark.parametrize("catchup", ["latest", "all", "none"])
def test_a_backfill_has_every_tick_of_its_stretch(catchup: str) -> None:
    stretch = TimeRestriction(at("2025-12-01"), at("2025-12-02T12:00"), catchup=True)
    assert ticks(timetable("0 2 * * *", catchup=catchup), stretch) == ["02 02:00", "03 02:00"]


def test_nothing_runs_before_the_start_date_nor_after_the_end_date() -> None:
    ahead = TimeRestriction(at("2026-01-07"), at("2026-01-07T12:00"), catchup=False)
    assert ticks(timetable("0 8 * * *"), ahead) == ["08 08:00"]


def test_a_start_date_in_the_past_makes_no_runs_for_ticks_before_the_dag_was_seen() -> None:
    assert ticks(timetable("0 * * * *"), TimeRestriction(at("2020-01-01"), None, catchup=False))[0] == "05 10:00"


def test_data_intervals_follow_each_other_and_survive_a_change_of_the_pattern() -> None:
    hourly = interval("2026-01-05T08:00", "2026-01-05T09:00")
    info = timetable("0 0 * * *").next_dagrun_info(last_automated_data_interval=hourly, restriction=FREE)
    assert info is not None
    assert info.data_interval == interval("2026-01-05T09:00", "2026-01-06T00:00")


def test_a_manual_run_has_the_last_interval_that_was_over() -> None:
    found = timetable("0 2 * * *").infer_manual_data_interval(run_after=at("2026-01-05T09:30"))
    assert found == interval("2026-01-04T02:00", "2026-01-05T02:00")


@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", "2026-03-29", ["01:00"]),
        ("30 2 * * *", "2026-10-25", ["00:30"]),
        ("*/30 2 * * *", "2026-10-25", ["00:00", "00:30", "01:00", "01:30"]),
        ("0 * * * *", "2026-10-25", [f"{hour:02}:00" for hour in range(23)]),
    ],
)
def test_clock_changes_in_berlin_are_those_of_the_native_scheduler(cron: str, day: str, expected: list[str]) -> None:
    found = EmatixTimetable(cron, "Europe/Berlin", "all")
    last = DataInterval.exact(at(day).subtract(minutes=1))
    shown = []
    while True:
        info = found.next_dagrun_info(last_automated_data_interval=last, restriction=FREE)
        assert info is not None
        assert info.data_interval is not None
        last = info.data_interval
        if last.end > at(day) + 22.5 * HOUR:
            break
        shown.append(f"{last.end:%H:%M}")
    assert shown == expected


def test_it_comes_back_from_airflows_database_as_it_was() -> None:
    before = timetable("30 2 * * *", "Europe/Berlin", "none")
    after = EmatixTimetable.deserialize(before.serialize())
    assert after.serialize() == {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "catchup": "none"}
    assert after.summary == "30 2 * * * Europe/Berlin"


def test_a_bad_pattern_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(DeclarationError, match="no cron pattern"):
        EmatixTimetable("often")
