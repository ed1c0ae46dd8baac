"""What sets a unit off, one rule of DESIGN 7 after the other; tests/property holds all of them together."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from ematix_core.model.message import inbox
from ematix_core.model.trigger import all_of, any_of
from ematix_core.scheduler.triggers import Triggers
from ematix_core.store.records import Event, EventKind
from tests.unit.scheduler.timeline import Timeline, at, unit

FAILED, CANCELLED = EventKind.FAILED, EventKind.CANCELLED


def test_it_fires_at_once_when_the_last_condition_becomes_true() -> None:
    line = Timeline(unit("w", ["a", "b"]))
    line.job(1, "a")
    assert line.names(2) == []
    line.job(3, "b")
    (decision,) = line.due(3)
    assert (decision.since, decision.key) == (at(3), "w@0")
    assert decision.cause == (
        "a succeeded at 2026-03-01 12:01:00 UTC (run r1)",
        "b succeeded at 2026-03-01 12:03:00 UTC (run r2)",
    )


def test_before_the_first_success_any_earlier_one_counts() -> None:
    line = Timeline(unit("w", "a"))
    line.job(1, "a")
    line.seen(600)
    assert line.names(600) == ["w"]


def test_what_happens_during_a_run_is_kept_for_the_next() -> None:
    line = Timeline(unit("w", "a"))
    line.job(1, "a")
    line.start(2, "w")
    line.job(3, "a")
    assert line.names(3) == [], "its runs do not overlap"
    line.end(4, "w")
    assert line.names(4) == ["w"]


def test_a_success_counts_once() -> None:
    line = Timeline(unit("w", "a"))
    line.job(1, "a")
    line.run(2, "w")
    assert line.names(3) == []


@pytest.mark.parametrize("ending", [FAILED, CANCELLED])
def test_after_a_run_without_success_it_waits_for_a_further_event(ending: EventKind) -> None:
    line = Timeline(unit("w", all_of("a", "b")))
    line.job(1, "a")
    line.job(1, "b")
    line.run(2, "w", ending)
    assert line.names(3) == []
    line.job(4, "a")
    (decision,) = line.due(4)
    assert decision.key == "w@3", "another key than that of the failed run"


def test_a_further_event_may_come_during_the_failing_run() -> None:
    line = Timeline(unit("w", "a"))
    line.job(1, "a")
    line.start(2, "w")
    line.job(3, "a")
    line.end(4, "w", FAILED)
    assert line.names(4) == ["w"]


def test_after_a_failed_run_the_next_tick_is_a_further_event() -> None:
    line = Timeline(unit("w", cron="*/10 * * * *")).seen()
    line.run(10.5, "w", FAILED, tick=at(10))
    assert line.names(19) == []
    assert [decision.tick for decision in line.due(20)] == [at(20)]


def test_any_of_needs_one_and_fires_again_for_the_other() -> None:
    line = Timeline(unit("w", any_of("a", "b")))
    line.job(1, "b")
    assert line.names(1) == ["w"]
    line.run(2, "w")
    line.job(3, "a")
    assert line.names(3) == ["w"]


def test_a_tick_and_a_success_must_both_have_come() -> None:
    line = Timeline(unit("w", "a", "0 13 * * *")).seen()
    assert line.names(61) == []
    line.job(90, "a")
    (decision,) = line.due(90)
    assert (decision.tick, decision.since) == (at(60), at(90))
    assert decision.cause[1] == "tick 2026-03-01 13:00 UTC"
    line.run(90, "w", tick=at(60))
    line.job(91, "a")
    assert line.names(91) == []
    assert line.triggers.next_tick() == at(60 + 24 * 60)


def test_ticks_count_from_when_a_scheduler_first_saw_it() -> None:
    line = Timeline(unit("w", cron="* * * * *"))
    assert line.names(5) == []
    line.seen(5)
    assert line.names(5) == []
    assert line.names(6) == ["w"]


@pytest.mark.parametrize(("catchup", "expected"), [("latest", [30]), ("all", [10, 20, 30]), ("none", [])])
def test_ticks_missed_in_a_downtime_are_made_up_for_as_declared(catchup: Any, expected: list[int]) -> None:  # noqa: ANN401 - a Catchup
    line = Timeline(unit("w", cron="*/10 * * * *", catchup=catchup)).seen()
    line.add(35, EventKind.GAP, started_at=at(5))
    found = []
    while due := line.due(35):
        found.append(due[0].tick)
        line.run(35, "w", tick=due[0].tick)
    assert found == [at(minutes) for minutes in expected]
    assert [decision.tick for decision in line.due(40)] == [at(40)]


def test_a_tick_that_is_run_again_by_hand_brings_no_later_one_back() -> None:
    line = Timeline(unit("w", cron="*/10 * * * *", catchup="all")).seen()
    for minutes in (10, 20, 10):
        line.run(25, "w", tick=at(minutes))
    assert line.names(25) == []
    assert [decision.tick for decision in line.due(30)] == [at(30)]


def test_a_paused_unit_does_not_fire_and_makes_up_for_it_as_declared() -> None:
    latest, none = unit("latest", cron="*/10 * * * *"), unit("none", cron="*/10 * * * *", catchup="none")
    line = Timeline(latest, none).seen()
    for name in ("latest", "none"):
        line.add(5, EventKind.PAUSED, name)
    assert line.names(25) == []
    for name in ("latest", "none"):
        line.add(26, EventKind.RESUMED, name)
    assert line.names(26) == ["latest"]
    assert line.names(30) == ["latest", "none"]


def test_each_message_has_a_run_in_order_and_a_failed_one_does_not_hold_up_the_next() -> None:
    line = Timeline(unit("w", messages=inbox("in", connection="c")))
    for number in (1, 2):
        line.add(number, EventKind.MESSAGE, "w", data={"position": f"m{number}", "payload": {"n": number}})
    (first,) = line.due(2)
    assert (first.message, first.payload, first.key) == ("m1", {"n": 1}, "w/message/m1")
    assert first.cause == ("message m1 came at 2026-03-01 12:01:00 UTC",)
    line.start(3, "w", data={"position": "m1"})
    assert line.names(3) == [], "one at a time"
    line.end(4, "w", FAILED)
    (second,) = line.due(4)
    assert second.message == "m2"


def test_a_job_by_itself_takes_each_success_of_the_job_for_one_of_its_own() -> None:
    line = Timeline(unit("j", "a", single=True))
    line.job(1, "a")
    line.job(2, "j")
    assert line.names(3) == []


def test_a_job_of_its_own_sets_off_others_once_a_run() -> None:
    line = Timeline(unit("j", cron="0 0 * * *", single=True), unit("w", "j"))
    line.start(1, "j")
    line.job(2, "j", since=1)
    assert line.names(2) == ["w"]
    line.run(2, "w")
    line.end(3, "j")
    assert line.names(3) == ["w"], "the job ran again within the run of its unit"
    line.run(4, "w")
    assert line.names(5) == []


def test_a_workflow_is_waited_for_by_its_own_success_and_its_jobs_by_theirs() -> None:
    line = Timeline(unit("up", "x"), unit("after_job", "up_job"), unit("after", "up"))
    line.start(1, "up")
    line.job(2, "up_job")
    assert line.names(2) == ["after_job"]
    line.end(3, "up")
    assert line.names(3) == ["after_job", "after"]


def test_a_name_that_was_a_jobs_and_is_a_workflows_now_is_waited_for_as_a_workflow() -> None:
    line = Timeline(unit("up", "x"), unit("w", "up"))
    line.job(1, "up")
    assert line.names(1) == []
    line.run(2, "up")
    assert line.names(2) == ["w"]


def test_higher_priority_comes_first_then_what_was_due_earlier() -> None:
    line = Timeline(unit("late", "b"), unit("early", "a"), unit("urgent", "b", priority=1))
    line.job(1, "a")
    line.job(2, "b")
    assert line.names(2) == ["urgent", "early", "late"]


def test_another_project_keeps_what_happened_to_its_names() -> None:
    line = Timeline(unit("w", "a", "* * * * *"), unit("v", "a")).seen()
    line.job(0, "a")
    line.run(2, "w", tick=at(2))
    line.units = (unit("w", any_of("a", "b")), unit("u", "a"))
    line.triggers.replace(line.units)
    assert line.names(3) == ["u"], "v is gone, and w has used the success of a up"
    line.job(4, "b")
    assert line.names(4) == ["u", "w"]


def test_a_start_that_comes_back_takes_the_decision_away() -> None:
    line = Timeline(unit("w", "a"))
    line.job(1, "a")
    assert line.names(1) == line.names(1) == ["w"]
    line.start(1, "w")
    assert line.names(1) == []


def test_the_latest_tick_takes_the_place_of_one_that_nobody_started() -> None:
    line = Timeline(unit("w", cron="*/10 * * * *")).seen()
    assert [one.tick for one in line.due(10)] == [at(10)]
    assert line.triggers.next_tick() == at(20)
    assert [one.tick for one in line.due(20)] == [at(20)]
    assert line.due(20)[0].key == "w@0", "it is the same run"


def test_a_downtime_of_years_costs_no_look_at_each_tick() -> None:
    line = Timeline(unit("w", cron="* * * * *")).seen()
    begun = process_time()
    assert [one.tick for one in line.due(5 * 365 * 24 * 60)] == [at(5 * 365 * 24 * 60)]
    assert process_time() - begun < 0.1


def test_ten_thousand_units_cost_what_changes() -> None:
    count = 10_000
    units = [unit(f"u{n}", cron=f"{n % 60} {n % 24} * * *", zone="Europe/London") for n in range(count)]
    triggers = Triggers(units)
    for n in range(count):
        triggers.apply(Event(n + 1, EventKind.SEEN, f"u{n}", at(0)))
    triggers.due(at(0))
    begun = process_time()
    found = triggers.due(at(24 * 60))
    seconds = process_time() - begun
    assert len(found) == count, "a day later all of them are due"
    assert seconds < 2, "0.2 on a quiet machine"
    begun = process_time()
    for _ in range(100):
        triggers.due(at(24 * 60))
        triggers.next_tick()
    assert process_time() - begun < seconds, "asking again costs next to nothing"
