"""Ticks for an orchestrator: the same that the scheduler fires at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ematix_core.errors import DeclarationError
from ematix_core.orchestration.ticks import TickSource

MIDNIGHT = datetime(2026, 3, 29, tzinfo=UTC)


def test_ticks_are_found_forward_and_backward() -> None:
    daily = TickSource("0 2 * * *", "Europe/London")
    tick = datetime(2026, 1, 5, 2, tzinfo=UTC)
    assert daily.after(tick - timedelta(seconds=1)) == tick
    assert daily.after(tick) == tick + timedelta(days=1)
    assert daily.before(tick) == tick - timedelta(days=1)
    assert daily.up_to(tick) == tick
    assert daily.up_to(tick - timedelta(seconds=1)) == tick - timedelta(days=1)


def test_a_local_time_that_the_clock_skips_comes_right_after_the_gap() -> None:
    assert TickSource("30 2 * * *", "Europe/Berlin").after(MIDNIGHT) == MIDNIGHT + timedelta(hours=1)


def test_a_pattern_that_comes_every_four_years_has_a_tick_before() -> None:
    leap = TickSource("0 0 29 2 *")
    assert leap.before(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2024, 2, 29, tzinfo=UTC)


def test_what_is_no_pattern_is_refused() -> None:
    with pytest.raises(DeclarationError, match="no cron pattern"):
        TickSource("every day")


def test_it_shows_pattern_and_zone() -> None:
    assert str(TickSource("0 2 * * *")) == "0 2 * * * UTC"
