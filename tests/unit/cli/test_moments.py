"""Moments as a user types them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from ematix_core.cli.moments import parse_moment


def moment(text: str) -> datetime:
    converted = parse_moment(text)
    assert converted.tzinfo is UTC
    return converted


def test_a_time_with_a_zone_is_that_instant() -> None:
    assert moment("2026-01-31T06:00+02:00") == datetime(2026, 1, 31, 4, tzinfo=UTC)


def test_a_time_without_a_zone_is_this_machines() -> None:
    assert moment("2026-01-31T06:00") == datetime(2026, 1, 31, 6).astimezone()
    assert moment("2026-01-31") == datetime(2026, 1, 31).astimezone()


@pytest.mark.parametrize("text", ["2 hours ago", "2 hours", " 120 minutes ago "])
def test_a_length_of_time_counts_back_from_now(text: str) -> None:
    assert abs(datetime.now(UTC) - timedelta(hours=2) - moment(text)) < timedelta(seconds=10)


@pytest.mark.parametrize("text", ["", "yesterday", "2 fortnights ago", "2026-02-30", "99999999999 weeks ago"])
def test_what_is_no_moment_is_said(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is no moment\. Write 2026-01-31"):
        moment(text)
