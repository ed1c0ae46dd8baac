"""What an explanation says, state by state: it prints what a person needs, and has the same as data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.errors import ProjectError
from ematix_core.model.message import inbox
from ematix_core.model.trigger import all_of, any_of
from ematix_core.store import SCHEDULER_LEASE, open_store
from ematix_core.store.records import EventKind
from tests.unit.scheduler.timeline import Timeline, at, unit

if TYPE_CHECKING:
    from pathlib import Path


def said(line: Timeline, minutes: float, name: str = "w") -> list[str]:
    return str(line.triggers.explain(name, at(minutes))).splitlines()


def test_each_condition_is_met_or_missing_with_the_run_that_met_it() -> None:
    line = Timeline(unit("w", all_of("a", any_of("b", all_of("c", "d"))), "0 13 * * *", "Europe/Berlin")).seen()
    line.job(1, "a")
    line.job(2, "c")
    assert said(line, 3) == [
        "w waits; never succeeded",
        "  missing  all of",
        "    met      a: succeeded at 2026-03-01 12:01:00 UTC (run r2)",
        "    missing  any of",
        "      missing  b: has not succeeded yet",
        "      missing  all of",
        "        met      c: succeeded at 2026-03-01 12:02:00 UTC (run r3)",
        "        missing  d: has not succeeded yet",
        "  missing  schedule 0 13 * * * Europe/Berlin: no tick since 2026-03-01 13:00 CET",
        "next tick: 2026-03-02 13:00 CET",
        "next: it runs when b or d has succeeded and the tick of 2026-03-02 13:00 CET has come",
    ]


def test_what_is_used_up_says_so() -> None:
    line = Timeline(unit("w", all_of("a", "b")))
    line.job(1, "a")
    line.job(1, "b")
    line.run(2, "w")
    assert said(line, 3) == [
        "w waits; its last successful run began at 2026-03-01 12:02:00 UTC",
        "  missing  all of",
        "    missing  a: has not succeeded again since 2026-03-01 12:01:00 UTC (run r1), which is used up",
        "    missing  b: has not succeeded again since 2026-03-01 12:01:00 UTC (run r2), which is used up",
        "next: it runs when a and b have succeeded",
    ]


def test_what_runs_now_says_since_when() -> None:
    line = Timeline(unit("w", "a"))
    line.job(1, "a")
    assert said(line, 5) == [
        "w is due since 2026-03-01 12:01:00 UTC; never succeeded",
        "  met      a: succeeded at 2026-03-01 12:01:00 UTC (run r1)",
        "next: a scheduler starts it as soon as there is a place",
    ]


def test_a_running_one_shows_what_is_there_for_its_next_run() -> None:
    line = Timeline(unit("w", "a", "*/10 * * * *")).seen()
    line.job(1, "a")
    line.start(10, "w", tick=at(10))
    line.job(11, "a")
    assert said(line, 15) == [
        "w is running since 2026-03-01 12:10:00 UTC (run r3); never succeeded",
        "  met      a: succeeded at 2026-03-01 12:11:00 UTC (run r4)",
        "  missing  schedule */10 * * * * UTC: no tick since 2026-03-01 12:10 UTC",
        "next tick: 2026-03-01 12:20 UTC",
        "next: if this run succeeds, it runs again when the tick of 2026-03-01 12:20 UTC has come",
    ]
    assert said(line, 20)[-1] == "next: if this run succeeds, it runs again at once"


def test_one_whose_process_is_gone_says_so_and_who_carries_it_on(tmp_path: Path) -> None:
    line = Timeline(unit("w", "a"), unit("m", messages=inbox("in", connection="drops", path="*.json")))
    with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        lease = store.acquire_lease(SCHEDULER_LEASE, "first", 60)
        assert lease is not None
        runs = [store.begin_workflow("w", unit=True), store.begin_workflow("m", unit=True, token=lease.token)]
    by_hand, scheduled = (run.workflow_run_id for run in runs)
    line.start(10, "w", run_id=by_hand)
    line.start(10, "m", run_id=scheduled)
    assert said(line, 15)[0] == f"w is running since 2026-03-01 12:10:00 UTC (run {by_hand}); never succeeded"
    lost = line.triggers.explain("w", at(15), runs)
    assert (lost.state, lost.run_id, lost.since) == ("lost", by_hand, at(10))
    assert [str(lost).splitlines()[number] for number in (0, -1)] == [
        f"w has a run whose process is gone, begun 2026-03-01 12:10:00 UTC (run {by_hand}); never succeeded",
        (
            f"next: a scheduler records this run as failed, and `flow runs restart {by_hand}` goes on with it at once; "
            "it runs again when a succeeds again"
        ),
    ]
    assert str(line.triggers.explain("m", at(15), runs)).splitlines()[-1] == (
        "next: a scheduler (`flow scheduler`, `flow run-due`) carries the run on, without the jobs that have "
        "succeeded; when this run has ended, it runs again when a message has come"
    )


def test_after_a_failure_it_says_what_it_waits_for() -> None:
    line = Timeline(unit("w", "a", "*/10 * * * *")).seen()
    line.job(1, "a")
    line.run(10, "w", EventKind.FAILED, tick=at(10))
    assert said(line, 15) == [
        "w waits after a run without success since 2026-03-01 12:10:00 UTC (run r3); never succeeded",
        "  met      a: succeeded at 2026-03-01 12:01:00 UTC (run r2)",
        "  met      schedule */10 * * * * UTC: tick 2026-03-01 12:10 UTC",
        "next tick: 2026-03-01 12:20 UTC",
        (
            "next: it runs again when a succeeds again or the tick of 2026-03-01 12:20 UTC comes; "
            "`flow runs rerun` does it now"
        ),
    ]


def test_a_paused_one_says_what_happens_once_it_is_resumed() -> None:
    line = Timeline(unit("w", "a"))
    line.add(1, EventKind.PAUSED, "w", run_id=None)
    assert said(line, 2)[0] == "w is paused since 2026-03-01 12:01:00 UTC; never succeeded"
    assert said(line, 2)[-1] == "next: nothing; once it is resumed (`flow resume w`), it runs when a has succeeded"
    line.job(3, "a")
    assert said(line, 3)[-1] == "next: nothing; once it is resumed (`flow resume w`), it runs at once"


def test_ticks_that_are_let_go_by_make_nothing_due() -> None:
    line = Timeline(unit("w", cron="*/10 * * * *", catchup="none")).seen()
    line.add(15, EventKind.GAP, started_at=at(5), run_id=None)
    assert line.names(16) == []
    assert said(line, 16) == [
        "w waits; never succeeded",
        (
            "  missing  schedule */10 * * * * UTC: tick 2026-03-01 12:10 UTC is let go by, as no scheduler was at "
            "work, or it was paused (catchup='none')"
        ),
        "next tick: 2026-03-01 12:20 UTC",
        "next: it runs when the tick of 2026-03-01 12:20 UTC has come",
    ]


@pytest.mark.parametrize("catchup", ["none", "latest"])
def test_ticks_of_a_pause_count_as_they_will_when_it_is_over(catchup: Any) -> None:  # noqa: ANN401 - a Catchup
    line = Timeline(unit("w", cron="*/10 * * * *", catchup=catchup)).seen()
    line.add(5, EventKind.PAUSED, "w", run_id=None)
    explained = said(line, 15)
    line.add(16, EventKind.RESUMED, "w", run_id=None)
    if catchup == "none":
        assert "tick 2026-03-01 12:10 UTC is let go by, as it is paused" in explained[1]
        assert explained[-1].endswith("it runs when the tick of 2026-03-01 12:20 UTC has come")
        assert line.names(17) == []
    else:
        assert explained[-1].endswith("it runs at once")
        assert line.names(17) == ["w"]


def test_one_that_no_scheduler_has_seen_says_so() -> None:
    line = Timeline(unit("w", cron="0 0 * * *"))
    assert said(line, 0)[1:] == [
        "  missing  schedule 0 0 * * * UTC: no scheduler has seen it yet; its ticks count from then on",
        "next tick: 2026-03-02 00:00 UTC",
        "next: it runs when a scheduler has seen it and a tick has come",
    ]


def test_messages_that_wait_are_counted() -> None:
    line = Timeline(unit("w", messages=inbox("in", connection="drops", path="*.json")))
    assert said(line, 0)[1:] == [
        "  missing  messages of in (*.json): no message waits",
        "next: it runs when a message has come",
    ]
    for number in (1, 2):
        line.add(number, EventKind.MESSAGE, "w", data={"position": f"m{number}", "payload": None})
    line.start(3, "w", data={"position": "m1"})
    assert said(line, 4)[1:] == [
        "  met      messages of in (*.json): 1 waiting since 2026-03-01 12:02:00 UTC",
        "next: when this run has ended, it runs again at once",
    ]


def test_all_missed_ticks_are_counted_from_the_one_that_runs() -> None:
    line = Timeline(unit("w", cron="*/10 * * * *", catchup="all")).seen()
    line.start(35, "w", tick=at(10))
    assert said(line, 36)[1] == "  met      schedule */10 * * * * UTC: tick 2026-03-01 12:20 UTC"


def test_as_data_it_is_json_with_all_there_is() -> None:
    line = Timeline(unit("w", "a", "0 13 * * *", "Europe/Berlin")).seen()
    line.job(1, "a")
    data = line.triggers.explain("w", at(2)).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert (data["state"], data["next_tick"]) == ("waiting", "2026-03-02T13:00:00+01:00")
    assert data["conditions"][0] == {
        "what": "a", "met": True, "why": "succeeded at 2026-03-01 12:01:00 UTC (run r2)",
        "since": "2026-03-01T12:01:00+00:00", "run_id": "r2", "event": 2, "parts": [],
    }  # fmt: skip


def test_an_unknown_name_is_answered_with_the_near_one() -> None:
    with pytest.raises(ProjectError, match="no unit is named 'nightli'\nDid you mean 'nightly'"):
        Timeline(unit("nightly", "a")).triggers.explain("nightli", at(0))
