"""Ticks in a zone, above all where its clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.errors import DeclarationError
from ematix_core.model.schedule import Schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 2 * * *", "UTC", "2024-01-01T02:00Z", "2024-01-02T02:00Z"),
        ("0 2 * * *", "Europe/London", "2024-07-01T00:59Z", "2024-07-01T01:00Z"),
        ("0 0 29 2 *", "UTC", "2024-03-01T00:00Z", "2028-02-29T00:00Z"),
        # 2024-03-31 01:00 to 02:00 does not exist in London, 2024-10-27 01:00 to 02:00 comes twice.
        ("30 1 * * *", "Europe/London", "2024-03-31T00:00Z", "2024-03-31T01:00Z"),
        ("30 1 * * *", "Europe/London", "2024-03-31T01:00Z", "2024-04-01T00:30Z"),
        ("30 1 * * *", "Europe/London", "2024-10-27T00:00Z", "2024-10-27T00:30Z"),
        ("30 1 * * *", "Europe/London", "2024-10-27T00:30Z", "2024-10-28T01:30Z"),
        ("30 1 * * *", "Europe/London", "2024-10-27T01:15Z", "2024-10-28T01:30Z"),
        ("*/30 * * * *", "Europe/London", "2024-10-27T00:30Z", "2024-10-27T01:00Z"),
        ("*/30 * * * *", "Europe/London", "2024-10-27T01:00Z", "2024-10-27T01:30Z"),
    ],
)
def test_next_tick_is_the_one_that_debians_cron_would_make(cron: str, zone: str, after: str, expected: str) -> None:
    tick = Schedule(cron, zone).next_after(at(after))
    assert tick == at(expected)
    assert tick.tzinfo is UTC


@given(
    cron=st.sampled_from(
        ["30 1 * * *", "15,45 1,2 * * *", "*/20 * * * *", "0 */6 * * *", "59 23 * * SUN", "0 3 L * *"]
    ),
    zone=st.sampled_from(["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    instant=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds that hypothesis wants without a zone
)
def test_ticks_go_forward_and_none_is_skipped(cron: str, zone: str, instant: datetime) -> None:
    schedule = Schedule(cron, zone)
    tick = schedule.next_after(instant)
    assert tick > instant
    assert schedule.next_after(tick - timedelta(seconds=1)) == tick
    assert schedule.next_after(instant + (tick - instant) / 2) == tick


def test_no_options_make_no_schedule() -> None:
    assert Schedule.of(None, None) is None


def test_zone_is_utc_unless_given() -> None:
    assert str(Schedule.of("0 2 * * *", None)) == "0 2 * * * UTC"


def test_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="need an instant with a time zone"):
        Schedule("0 2 * * *").next_after(datetime(2024, 1, 1))  # noqa: DTZ001 - the subject


FIELDS = "Five fields: minute hour day-of-month month day-of-week, such as '0 2 * * *' for 02:00 every day."
ZONES = "Zones are IANA names, such as 'Europe/London' or 'UTC'."


@pytest.mark.parametrize(
    ("cron", "zone", "message"),
    [
        (None, "UTC", "timezone='UTC' without schedule\nAdd schedule='...' or remove timezone."),
        ("0 25 * * *", None, f"schedule='0 25 * * *' is no cron pattern: Bad hour\n{FIELDS}"),
        ("@daily", None, f"schedule='@daily' is no cron pattern: it has not five fields\n{FIELDS}"),
        ("0 0 2 * * *", None, f"schedule='0 0 2 * * *' is no cron pattern: it has not five fields\n{FIELDS}"),
        ("0 0 30 2 *", None, f"schedule='0 0 30 2 *' is no cron pattern: Bad day-of-month\n{FIELDS}"),
        ("0 2 * * *", "Europe/Lundon", f"unknown time zone 'Europe/Lundon'\nDid you mean 'Europe/London'? {ZONES}"),
        ("0 2 * * *", "", f"unknown time zone ''\n{ZONES}"),
        ("0 2 * * *", "../etc/passwd", f"unknown time zone '../etc/passwd'\n{ZONES}"),
    ],
)
def test_bad_schedule_is_refused_with_a_hint(cron: str | None, zone: str | None, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        Schedule.of(cron, zone)
    assert str(caught.value) == message
