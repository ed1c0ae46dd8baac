"""When people are told of a failure, a recovery, a late success and a long run; and that a restart changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.model.unit import Unit, UnitJob
from ematix_core.observe.alert import Alert, AlertKind
from ematix_core.scheduler.watching import Watch, failed_job, unknown_alerters
from ematix_core.store import Event, EventKind, Status, open_store

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = datetime(2026, 1, 31, tzinfo=UTC)
NIGHTLY = Unit(name="nightly", jobs=(UnitJob("orders"),), alerts=("oncall",), tags=("crm",), owner="ann")
FRESH = replace(NIGHTLY, freshness=3600)
LONG = replace(NIGHTLY, long_run=600)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def watch(*units: Unit, since: float = 0) -> Watch:
    return Watch(units, since=at(since), failed_job=lambda run_id: ("orders", f"no such column in {run_id}"))


class Log:
    """Makes events with ids and times that count up."""

    def __init__(self, name: str = "nightly") -> None:
        self.name = name
        self.events: list[Event] = []

    def add(self, kind: EventKind, seconds: float, run: str = "", **more: Any) -> Event:  # noqa: ANN401 - of Event
        event = Event(len(self.events) + 1, kind, more.pop("name", self.name), at(seconds), run_id=run or None, **more)
        self.events.append(event)
        return event

    def run(self, kind: EventKind, begin: float, end: float, run: str = "") -> list[Event]:
        run = run or f"r{len(self.events)}"
        return [self.add(EventKind.STARTED, begin, run), self.add(kind, end, run)]


def told(seen: Watch, events: list[Event]) -> list[Alert]:
    return [alert for event in events for alert in seen.apply(event)]


def kinds(alerts: list[Alert]) -> list[str]:
    return [str(alert.kind) for alert in alerts]


def test_a_failure_is_told_with_job_error_and_run() -> None:
    log = Log()
    log.add(EventKind.SEEN, 0)
    log.run(EventKind.FAILED, 10, 20, "r1")
    (alert,) = told(watch(NIGHTLY), log.events)
    assert alert == Alert(
        kind=AlertKind.FAILURE, unit="nightly", at=at(20), title="nightly failed", text="no such column in r1",
        run_id="r1", job="orders", to=("oncall",), tags=("crm",), owner="ann",
    )  # fmt: skip


def test_failures_are_told_once_until_a_success_which_is_told_too() -> None:
    log = Log()
    log.add(EventKind.SEEN, 0)
    for begin in (10, 20, 30):
        log.run(EventKind.FAILED, begin, begin + 1)
    log.run(EventKind.CANCELLED, 40, 41)
    for begin in (50, 60):
        log.run(EventKind.SUCCEEDED, begin, begin + 1)
    log.run(EventKind.FAILED, 70, 71)
    alerts = told(watch(NIGHTLY), log.events)
    assert [(alert.kind, alert.at) for alert in alerts] == [
        (AlertKind.FAILURE, at(11)), (AlertKind.RECOVERY, at(51)), (AlertKind.FAILURE, at(71)),
    ]  # fmt: skip
    recovery = alerts[1]
    assert recovery.ends == (AlertKind.FAILURE,)
    assert (recovery.title, recovery.text) == (
        "nightly has recovered", "It had failed since 2026-01-31 00:00:11 UTC.",
    )  # fmt: skip


def test_a_success_that_follows_no_failure_is_not_told() -> None:
    log = Log()
    log.add(EventKind.SEEN, 0)
    log.run(EventKind.SUCCEEDED, 10, 20)
    assert told(watch(NIGHTLY), log.events) == []


def test_a_failure_before_any_scheduler_knew_the_unit_was_told_by_nobody() -> None:
    log = Log()
    log.run(EventKind.FAILED, 1, 2)
    log.add(EventKind.SEEN, 10)
    log.run(EventKind.FAILED, 11, 12)
    log.run(EventKind.SUCCEEDED, 13, 14)
    assert kinds(told(watch(NIGHTLY, since=10), log.events)) == ["failure", "recovery"]
    quiet = Log()
    quiet.run(EventKind.FAILED, 1, 2)
    quiet.add(EventKind.SEEN, 10)
    quiet.run(EventKind.SUCCEEDED, 13, 14)
    assert told(watch(NIGHTLY, since=10), quiet.events) == []


def test_each_success_of_a_job_that_is_a_unit_counts() -> None:
    single = replace(NIGHTLY, name="orders", single=True)
    log = Log("orders")
    log.add(EventKind.SEEN, 0)
    log.run(EventKind.FAILED, 10, 11)
    log.add(EventKind.JOB_SUCCEEDED, 20, "job-run")
    log.add(EventKind.SUCCEEDED, 21, "r9")
    alerts = told(watch(single), log.events)
    assert [(alert.kind, alert.at) for alert in alerts] == [(AlertKind.FAILURE, at(11)), (AlertKind.RECOVERY, at(20))]
    assert kinds(told(watch(replace(single, single=False)), log.events)) == ["failure", "recovery"]


def test_a_success_is_late_once_and_its_arrival_is_told() -> None:
    log, seen = Log(), watch(FRESH)
    assert seen.next_moment() is None
    assert told(seen, [log.add(EventKind.SEEN, 0), *log.run(EventKind.SUCCEEDED, 100, 200)]) == []
    assert seen.due(at(3799)) == []
    assert seen.next_moment() == at(3800)
    (alert,) = seen.due(at(3801))
    assert (alert.kind, alert.at, alert.title) == (AlertKind.LATE, at(3800), "nightly is late")
    assert alert.text == "The last success was at 2026-01-31 00:03:20 UTC. One is expected every 1 hour."
    assert seen.next_moment() is None
    assert seen.due(at(99_999)) == []
    (recovery,) = told(seen, log.run(EventKind.SUCCEEDED, 4000, 4001))
    assert (recovery.kind, recovery.ends, recovery.text) == (AlertKind.RECOVERY, (AlertKind.LATE,), "")
    assert kinds(seen.due(at(4001 + 3600))) == ["late"]


def test_a_unit_that_never_succeeded_is_late_counted_from_when_it_was_seen() -> None:
    log, seen = Log(), watch(FRESH, since=50)
    log.run(EventKind.SUCCEEDED, 1, 2)
    told(seen, [*log.events, log.add(EventKind.SEEN, 50)])
    assert seen.next_moment() == at(50 + 3600)
    other = watch(FRESH, since=50)
    other.apply(Event(1, EventKind.SEEN, "nightly", at(50)))
    (alert,) = other.due(at(50 + 3600))
    assert alert.text == "It has not succeeded yet. One is expected every 1 hour."


def test_a_late_success_that_fails_is_told_as_both_and_both_are_over_together() -> None:
    log, seen = Log(), watch(FRESH)
    log.add(EventKind.SEEN, 0)
    log.run(EventKind.FAILED, 5000, 5001)
    log.run(EventKind.SUCCEEDED, 6000, 6001)
    alerts = told(seen, log.events)
    assert kinds(alerts) == ["late", "failure", "recovery"]
    assert alerts[-1].ends == (AlertKind.FAILURE, AlertKind.LATE)


def test_a_long_run_is_told_once_while_it_runs() -> None:
    log, seen = Log(), watch(LONG)
    told(seen, [log.add(EventKind.SEEN, 0), log.add(EventKind.STARTED, 100, "r1")])
    assert seen.next_moment() == at(700)
    (alert,) = seen.due(at(705))
    assert (alert.kind, alert.at, alert.run_id) == (AlertKind.LONG_RUN, at(700), "r1")
    assert alert.text == "It runs since 2026-01-31 00:01:40 UTC, longer than 10 minutes."
    assert seen.due(at(99_999)) == []
    (recovery,) = seen.apply(log.add(EventKind.SUCCEEDED, 100_000, "r1"))
    assert recovery.ends == (AlertKind.LONG_RUN,)


def test_a_run_that_ends_in_time_is_not_told() -> None:
    log, seen = Log(), watch(LONG)
    told(seen, [log.add(EventKind.SEEN, 0), *log.run(EventKind.SUCCEEDED, 100, 699)])
    assert seen.due(at(99_999)) == []
    assert seen.next_moment() is None


def test_what_the_scheduler_before_has_told_is_not_told_again() -> None:
    log = Log()
    both = replace(FRESH, long_run=600)
    log.add(EventKind.SEEN, 0)
    log.run(EventKind.FAILED, 10, 20)
    log.add(EventKind.STARTED, 30, "r9")
    after = watch(both, since=10_000)
    assert told(after, log.events) == []
    assert after.due(at(10_000)) == []
    (recovery,) = after.apply(log.add(EventKind.SUCCEEDED, 10_001, "r9"))
    assert recovery.ends == (AlertKind.FAILURE, AlertKind.LATE, AlertKind.LONG_RUN)


def test_what_happened_while_no_scheduler_was_at_work_is_told() -> None:
    log = Log()
    log.add(EventKind.SEEN, 0)
    log.run(EventKind.FAILED, 5000, 5010)
    after = watch(FRESH, since=100)
    alerts = told(after, log.events)
    assert [(alert.kind, alert.at) for alert in alerts] == [(AlertKind.LATE, at(3600)), (AlertKind.FAILURE, at(5010))]


def test_limits_that_a_reload_brings_hold_for_what_is_under_way() -> None:
    log, seen = Log(), watch(NIGHTLY, since=5000)
    told(seen, [log.add(EventKind.SEEN, 0), *log.run(EventKind.SUCCEEDED, 10, 20), log.add(EventKind.STARTED, 30, "r")])
    assert seen.due(at(6000)) == []
    seen.replace([replace(NIGHTLY, freshness=3600, long_run=600), replace(NIGHTLY, name="other")])
    assert kinds(seen.due(at(6000))) == ["long_run", "late"]
    seen.replace([])
    assert seen.apply(log.add(EventKind.FAILED, 6001, "r")) == []


def test_an_upstream_that_is_no_unit_changes_nothing() -> None:
    log, seen = Log("elsewhere"), watch(FRESH)
    log.add(EventKind.SEEN, 0)
    log.run(EventKind.FAILED, 1, 2)
    log.add(EventKind.GAP, 3, name="")
    log.add(EventKind.PAUSED, 4)
    assert told(seen, log.events) == []
    assert seen.next_moment() is None


def test_a_clock_set_back_tells_nothing_twice() -> None:
    log, seen = Log(), watch(FRESH)
    seen.apply(log.add(EventKind.SEEN, 0))
    assert kinds(seen.due(at(4000))) == ["late"]
    assert seen.due(at(0)) == []
    assert seen.due(at(4000)) == []


def test_ten_thousand_units_are_looked_at_only_when_one_may_be_due() -> None:
    units = [replace(FRESH, name=f"u{number}", long_run=60) for number in range(10_000)]
    seen = watch(*units)
    for number, unit in enumerate(units):
        seen.apply(Event(number + 1, EventKind.SEEN, unit.name, at(0)))
    began = datetime.now(UTC)
    for second in range(3000):
        assert seen.due(at(second)) == []
    assert datetime.now(UTC) - began < timedelta(seconds=1)


ENDS = st.sampled_from([EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED, EventKind.JOB_SUCCEEDED])


@given(
    steps=st.lists(st.tuples(ENDS, st.integers(1, 90), st.integers(1, 90)), max_size=12),
    cuts=st.lists(st.integers(0, 2000), max_size=3),
    single=st.booleans(),
)
def test_a_restart_at_any_time_changes_no_alert(
    steps: list[tuple[EventKind, int, int]], cuts: list[int], *, single: bool
) -> None:
    unit = replace(NIGHTLY, freshness=100, long_run=30, single=single)
    log, now = Log(), 0
    log.add(EventKind.SEEN, 0)
    for kind, pause, length in steps:
        if kind is EventKind.JOB_SUCCEEDED:
            log.add(kind, now + pause, f"job{now}")
            length = 0  # noqa: PLW2901 - it has no beginning
        else:
            log.run(kind, now + pause, now + pause + length)
        now += pause + length
    end = now + 500.0
    undisturbed = watch(unit)
    expected = [*told(undisturbed, log.events), *undisturbed.due(at(end))]
    found: list[Alert] = []
    since = 0.0
    for until in [*sorted(cut + 0.5 for cut in set(cuts) if cut < end), end]:
        one = watch(since=since)
        one.replace([unit])
        found += told(one, [event for event in log.events if event.at <= at(until)])
        found += one.due(at(until))
        since = until
    assert found == expected


def test_an_alerter_that_the_settings_do_not_have_is_named_with_the_near_one() -> None:
    assert unknown_alerters([NIGHTLY, replace(NIGHTLY, alerts=())], ["on_call", "mail"]) == [
        (
            "nightly names the alerter 'oncall', which the settings do not have. "
            "Did you mean 'on_call'? Known: mail, on_call."
        )
    ]
    assert unknown_alerters([NIGHTLY], ["oncall"]) == []


def test_the_job_that_failed_first_and_its_error_come_from_the_store(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/runs.db") as store:
        workflow = store.begin_workflow("nightly")
        for job in ("orders", "revenue"):
            run = store.begin(job, workflow_run_id=workflow.workflow_run_id)
            store.finish(run.run_id, Status.FAILED, seconds=1, error=f"{job}: no such column")
        assert failed_job(store, workflow.workflow_run_id) == ("orders", "orders: no such column")
        lone = store.begin_workflow("lone")
        store.finish_workflow(lone.workflow_run_id, Status.FAILED, error="its process died")
        assert failed_job(store, lone.workflow_run_id) == ("", "its process died")
        job, error = failed_job(store, "no-such-run")
        assert job == ""
        assert error.startswith("The store does not say why: ")


@pytest.mark.parametrize(
    ("seconds", "words"), [(86_400, "1 day"), (7200, "2 hours"), (5400, "90 minutes"), (1.5, "1.5 seconds")]
)
def test_lengths_of_time_are_said_in_the_largest_unit(seconds: float, words: str) -> None:
    seen = watch(replace(NIGHTLY, freshness=seconds))
    seen.apply(Event(1, EventKind.SEEN, "nightly", at(0)))
    (alert,) = seen.due(at(seconds))
    assert alert.text.endswith(f"One is expected every {words}.")
