"""How a stretch is cut: without gaps, at the midnights of a zone, at full hours, or by number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.errors import DeclarationError
from ematix_core.model.slices import by_day, by_hour, by_key, slices

ZONES = ["UTC", "Europe/London", "America/New_York", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe"]
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds that hypothesis wants without a zone


def hours(day: str, zone: str) -> float:
    """Return how long a day is in a zone."""
    after = (datetime.fromisoformat(day) + timedelta(days=1)).date().isoformat()
    (only,) = slices("day", day, after, zone=zone)
    assert isinstance(only.start, datetime)
    assert isinstance(only.end, datetime)
    return (only.end - only.start) / timedelta(hours=1)


@given(
    start=MOMENTS, length=st.timedeltas(timedelta(seconds=1), timedelta(days=40)), step=st.integers(1, 9),
    by=st.sampled_from(["day", "hour"]), zone=st.sampled_from(ZONES),
)  # fmt: skip
def test_slices_are_the_whole_stretch_in_order_and_have_names_of_their_own(
    start: datetime, length: timedelta, step: int, by: Literal["day", "hour"], zone: str
) -> None:
    end = start + length
    cut = by_hour(start, end, step) if by == "hour" else by_day(start, end, ZoneInfo(zone), step)
    assert (cut[0].start, cut[-1].end) == (start, end)
    assert all(one.end == following.start for one, following in pairwise(cut))
    assert sorted({one.start for one in cut}, key=str) == [one.start for one in cut]
    assert len({one.name for one in cut}) == len(cut)


@given(start=st.integers(-1000, 1000), length=st.integers(1, 500), step=st.integers(1, 100))
def test_ranges_of_numbers_are_the_whole_range(start: int, length: int, step: int) -> None:
    cut = by_key(start, start + length, step)
    assert [n for one in cut for n in range(int(str(one.start)), int(str(one.end)))] == [*range(start, start + length)]


@pytest.mark.parametrize(
    ("day", "zone", "expected"),
    [
        ("2026-03-29", "UTC", 24),
        ("2026-03-29", "Europe/Paris", 23),
        ("2026-10-25", "Europe/Paris", 25),
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
        ("2026-03-08", "America/Havana", 23),  # midnight itself is skipped
        ("2026-11-01", "America/Havana", 25),  # midnight comes twice
    ],
)
def test_a_day_is_as_long_as_it_is_in_its_zone(day: str, zone: str, expected: float) -> None:
    assert hours(day, zone) == expected


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"by": "day", "start": "2026-01-30", "end": "2026-02-01"}, ["2026-01-30", "2026-01-31"]),
        (
            {"by": "day", "start": "2026-01-01", "end": "2026-01-11", "step": 7},
            ["2026-01-01/2026-01-08", "2026-01-08/2026-01-11"],
        ),
        (
            {"by": "day", "start": "2026-03-29", "end": "2026-03-30", "zone": "Europe/Paris"},
            ["2026-03-29 Europe/Paris"],
        ),
        (
            {"by": "day", "start": "2026-01-01T12:00", "end": "2026-01-03"},
            ["2026-01-01T12:00Z/2026-01-02T00:00Z", "2026-01-02"],
        ),
        (
            {"by": "day", "start": "2011-12-29", "end": "2012-01-01", "zone": "Pacific/Apia"},  # without the 30th
            ["2011-12-29/2011-12-31 Pacific/Apia", "2011-12-31 Pacific/Apia"],
        ),
        (
            {"by": "hour", "start": "2026-01-01T05:30", "end": "2026-01-01T07:00:30"},
            ["2026-01-01T05:30Z/2026-01-01T06:00Z", "2026-01-01T06:00Z", "2026-01-01T07:00Z/2026-01-01T07:00:30Z"],
        ),
        (
            {"by": "hour", "start": "2026-01-01T00:00+01:00", "end": "2026-01-01T05:00+01:00", "step": 4},
            ["2025-12-31T23:00Z/2026-01-01T03:00Z", "2026-01-01T03:00Z"],
        ),
        ({"by": "key", "start": "0", "end": "25", "step": 10}, ["0..10", "10..20", "20..25"]),
    ],
)
def test_a_name_says_what_the_slice_is(options: dict[str, Any], names: list[str]) -> None:
    assert [one.name for one in slices(**options)] == names


def test_limits_are_instants_in_utc() -> None:
    (day,) = slices("day", "2026-07-01", "2026-07-02", zone="Europe/Paris")
    assert day.start == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert isinstance(day.start, datetime)
    assert day.start.tzinfo is UTC


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"by": "day", "start": "2026-13-01", "end": "2026-02-01"}, "from='2026-13-01' is no date or time"),
        ({"by": "day", "start": "1", "end": "9"}, "cut by key"),
        ({"by": "key", "start": "2026-01-01", "end": "9", "step": 1}, "from='2026-01-01' is no integer"),
        ({"by": "key", "start": "1", "end": "9"}, "need a step"),
        ({"by": "day", "start": "2026-01-31", "end": "2026-01-31"}, "nothing from 2026-01-31 to 2026-01-31"),
        ({"by": "hour", "start": "2026-01-31", "end": "2026-01-30"}, "not part of it"),
        ({"by": "key", "start": "0", "end": "1_000_000", "step": 1}, "1,000,000 slices, more than 100,000"),
        ({"by": "day", "start": "2026-01-30", "end": "2026-01-31", "step": 0}, "step=0"),
        ({"by": "day", "start": "2026-01-30", "end": "2026-01-31", "zone": "Europe/Pariss"}, "Europe/Paris"),
        ({"by": "day", "start": "9999-12-01", "end": "9999-12-31T23:59", "zone": "America/Lima"}, "no calendar"),
    ],
)
def test_what_cannot_be_cut_is_said(options: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        slices(**options)
    assert says in str(caught.value)
