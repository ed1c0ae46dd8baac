"""How long a member without partitions waits, by a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ematix_core.streaming import waiting
from ematix_core.streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [100.0]

    def after(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return after


def test_it_waits_for_as_long_as_a_killed_member_holds_its_partitions(
    go_on: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    alone = Waiting("stream clicks", 45, lambda: False)
    for _ in range(50):
        assert not alone.over()
        go_on(1)
    assert caplog.text.count("one that was killed holds them for up to 50 s more") == 1
    go_on(6)
    assert alone.over()
    assert "no partitions came in 56 s" in caplog.text


def test_it_is_over_when_nothing_is_left_and_that_is_asked_every_five_seconds(go_on: Callable[[float], None]) -> None:
    asked: list[int] = []

    def done() -> bool:
        asked.append(1)
        return len(asked) == 3

    alone = Waiting("stream clicks", 45, done)
    told = []
    for _ in range(16):
        told.append(alone.over())
        go_on(1)
    assert told == [False] * 15 + [True]


def test_partitions_that_came_begin_it_anew(go_on: Callable[[float], None]) -> None:
    alone = Waiting("stream clicks", 45, lambda: False)
    go_on(54)
    alone.begin()
    go_on(54)
    assert not alone.over()
    go_on(2)
    assert alone.over()
