"""The scheduler on a real store, with jobs in threads and a clock that stands until it is moved."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.engine.environment import Environment
from ematix_core.errors import StoreError
from ematix_core.model.project import Project
from ematix_core.model.unit import units
from ematix_core.scheduler.due import run_due
from ematix_core.scheduler.forgetting import Forgetting
from ematix_core.scheduler.listening import Listening
from ematix_core.store import Status
from tests.unit.scheduler.world import START, World, fail, job, target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.engine.body import RunContext
    from ematix_core.store import WorkflowRun


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    made = World(tmp_path)
    yield made
    made.close()


def test_a_tick_starts_a_run_once(world: World) -> None:
    scheduler = world.scheduler(ematix.workflow("nightly", jobs=[job("a")], schedule="0 13 * * *"))
    assert scheduler.try_to_lead()
    world.settle(scheduler)
    assert world.statuses("nightly") == []
    world.clock.move(hours=1)
    world.settle(scheduler)
    world.settle(scheduler)
    assert world.statuses("nightly") == ["succeeded"]
    world.clock.move(hours=24)
    world.settle(scheduler)
    assert world.statuses("nightly") == ["succeeded", "succeeded"]


@pytest.mark.parametrize(("minutes", "runs"), [(5, 8), (20, 6), (35, 0)])
def test_passes_that_come_when_they_should_are_no_downtime(world: World, minutes: int, runs: int) -> None:
    declared = ematix.workflow("quarterly", jobs=[job("a")], schedule="*/15 * * * *", catchup="none")
    world.clock.move(minutes=1)
    for _ in range(120 // minutes + 1):
        run_due(world.scheduler(declared, absence_seconds=30 * 60), world.store)
        world.clock.move(minutes=minutes, seconds=7)
    assert world.statuses("quarterly") == ["succeeded"] * runs


def test_a_clock_that_is_set_back_starts_nothing_twice(world: World) -> None:
    scheduler = world.scheduler(ematix.workflow("hourly", jobs=[job("a")], schedule="0 * * * *"))
    scheduler.try_to_lead()
    world.clock.move(hours=1)
    world.settle(scheduler)
    world.clock.move(minutes=-30)
    world.settle(scheduler)
    world.clock.move(minutes=30)
    world.settle(scheduler)
    assert world.statuses("hourly") == ["succeeded"]


def test_a_success_sets_off_what_waits_for_it(world: World) -> None:
    first = ematix.workflow("first", jobs=[job("a")], schedule="0 13 * * *")
    second = ematix.workflow("second", jobs=[job("b")], triggered_by=[first])
    third = ematix.workflow("third", jobs=[job("c")], triggered_by=ematix.all_of(first, "b"))
    scheduler = world.scheduler(first, second, third)
    scheduler.try_to_lead()
    world.clock.move(hours=1)
    world.settle(scheduler)
    started = [name for kind, name in world.history() if kind == "started"]
    assert started == ["first", "second", "third"]
    assert world.statuses("third") == ["succeeded"]


def test_after_a_failure_it_waits_for_a_further_event(world: World) -> None:
    scheduler = world.scheduler(ematix.workflow("hourly", jobs=[job("a", fail), job("b")], schedule="0 * * * *"))
    scheduler.try_to_lead()
    world.clock.move(hours=1)
    world.settle(scheduler)
    world.clock.move(minutes=30)
    world.settle(scheduler)
    assert world.statuses("hourly") == ["failed"]
    world.clock.move(minutes=30)
    world.settle(scheduler)
    assert world.statuses("hourly") == ["failed", "failed"]
    run = world.store.workflow_runs(workflow="hourly")[0]
    assert "broken on purpose" in run.error


def test_what_comes_after_a_failed_job_is_skipped_and_independent_jobs_run(world: World) -> None:
    jobs = [job("a", fail), job("b", depends_on="a"), job("c")]
    scheduler = world.scheduler(ematix.workflow("flow", jobs=jobs, schedule="0 * * * *"))
    scheduler.try_to_lead()
    world.clock.move(hours=1)
    world.settle(scheduler)
    ended = {run.job: run.status.value for run in world.store.runs()}
    assert ended == {"a": "failed", "b": "skipped", "c": "succeeded"}


def test_independent_jobs_run_at_the_same_time(world: World) -> None:
    together = threading.Barrier(2, timeout=10)
    jobs = [job("a", together.wait), job("b", together.wait)]
    scheduler = world.scheduler(ematix.workflow("flow", jobs=jobs, schedule="0 * * * *"))
    scheduler.try_to_lead()
    world.clock.move(hours=1)
    world.settle(scheduler, seconds=20)
    assert world.statuses("flow") == ["succeeded"]


def test_a_pool_limits_how_many_run(world: World) -> None:
    running, most = [0], [0]
    lock = threading.Lock()

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.3)
        with lock:
            running[0] -= 1

    jobs = [job(f"j{n}", work, pool="warehouse") for n in range(5)]
    scheduler = world.scheduler(
        ematix.workflow("flow", jobs=jobs, schedule="0 * * * *"),
        pools={"warehouse": 2},
    )
    scheduler.try_to_lead()
    world.clock.move(hours=1)
    world.settle(scheduler, seconds=20)
    assert world.statuses("flow") == ["succeeded"]
    assert most == [2]


def test_a_paused_workflow_waits_until_it_is_resumed(world: World) -> None:
    scheduler = world.scheduler(ematix.workflow("hourly", jobs=[job("a")], schedule="0 * * * *"))
    scheduler.try_to_lead()
    world.store.pause("hourly")
    world.clock.move(hours=2)
    world.settle(scheduler)
    assert world.statuses("hourly") == []
    world.store.resume("hourly")
    world.settle(scheduler)
    assert world.statuses("hourly") == ["succeeded"]


def test_a_run_that_is_cancelled_stops_its_job_and_rolls_back(world: World) -> None:
    begun = threading.Event()

    def slowly() -> Iterator[pa.RecordBatch]:
        begun.set()
        for number in range(1000):
            yield pa.record_batch({"n": [number]})
            time.sleep(0.01)

    @ematix.job(target="slow", target_connection=ematix.DuckDBConnection("db", path="db.duckdb"))
    def slow() -> Iterator[pa.RecordBatch]:
        return slowly()

    scheduler = world.scheduler(ematix.workflow("flow", jobs=[slow], schedule="0 * * * *"))
    scheduler.try_to_lead()
    world.clock.move(hours=1)
    scheduler.step(0)
    scheduler.step(0)
    assert begun.wait(10)
    world.store.cancel(world.store.workflow_runs()[0].workflow_run_id)
    world.settle(scheduler, seconds=20)
    assert world.statuses("flow") == ["cancelled"]
    assert [run.status.value for run in world.store.runs()] == ["cancelled"]


def test_a_second_scheduler_waits_and_carries_on_what_the_first_left(world: World) -> None:
    gate = threading.Event()
    workflow = ematix.workflow(
        "flow", jobs=[job("a"), job("b", lambda: gate.wait(10), depends_on="a")], schedule="0 * * * *"
    )
    first, second = world.scheduler(workflow), world.scheduler(workflow, holder="second")
    assert first.try_to_lead()
    assert not second.try_to_lead()
    world.clock.move(hours=1)
    first.step(0)
    while not any(run.job == "b" for run in world.store.runs()):
        first.step(0.01)
    first.stop()
    gate.set()
    first.run()  # waits for b, and leaves
    assert second.try_to_lead()
    world.settle(second)
    assert world.statuses("flow") == ["succeeded"]
    assert sorted((run.job, run.status.value) for run in world.store.runs()) == [("a", "succeeded"), ("b", "succeeded")]


def test_a_stopped_scheduler_leaves_what_has_not_started_to_the_next(world: World) -> None:
    begun, gate = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(10)

    workflow = ematix.workflow("flow", jobs=[job("a", work), job("b", depends_on="a")], schedule="0 * * * *")
    first = world.scheduler(workflow)
    first.try_to_lead()
    world.clock.move(hours=1)
    while not begun.is_set():
        first.step(0.01)
    first.stop()
    gate.set()
    first.run()
    assert [(run.job, run.status) for run in world.store.runs()] == [("a", Status.SUCCEEDED)]
    second = world.scheduler(workflow, holder="second")
    second.try_to_lead()
    world.settle(second)
    assert world.statuses("flow") == ["succeeded"]


def test_units_of_a_changed_project_take_the_place_of_the_old_ones(world: World) -> None:
    scheduler = world.scheduler(ematix.workflow("old", jobs=[job("a")], schedule="0 * * * *"))
    scheduler.try_to_lead()
    world.settle(scheduler)
    changed = Project.of(ematix.workflow("new", jobs=[job("a")], schedule="30 * * * *"))
    scheduler.replace_units(units(changed))
    world.settle(scheduler)
    world.clock.move(hours=1)
    world.settle(scheduler)
    assert world.statuses("old") == []
    assert world.statuses("new") == ["succeeded"]


def test_a_run_learns_the_time_that_its_tick_ends(world: World) -> None:
    scheduler = world.scheduler(ematix.workflow("hourly", jobs=[job("a")], schedule="0 * * * *"))
    scheduler.try_to_lead()
    world.clock.move(minutes=61)
    world.settle(scheduler)
    run = world.store.workflow_runs()[0]
    assert run.tick == START + timedelta(hours=1)
    assert run.parameters == {"slice_start": START.isoformat(), "slice_end": run.tick.isoformat()}


def test_one_pass_runs_what_is_due_and_what_that_sets_off(world: World) -> None:
    first = ematix.workflow("first", jobs=[job("a")], schedule="0 13 * * *")
    second = ematix.workflow("second", jobs=[job("b")], triggered_by=[first])
    run_due(world.scheduler(first, second), world.store)
    assert world.history() == []
    world.clock.move(hours=1)
    for _ in range(2):
        run_due(world.scheduler(first, second), world.store)
        assert (world.statuses("first"), world.statuses("second")) == (["succeeded"], ["succeeded"])


def test_one_pass_leaves_everything_to_a_scheduler_that_is_at_work(world: World) -> None:
    workflow = ematix.workflow("first", jobs=[job("a")], schedule="0 13 * * *")
    assert world.scheduler(workflow).try_to_lead()
    with pytest.raises(ematix.EmatixError, match="a scheduler is at work already: first"):
        run_due(world.scheduler(workflow, holder="second"), world.store)


def test_one_pass_runs_for_each_message_and_takes_it_away(world: World, tmp_path: Path) -> None:
    inbox = tmp_path / "lake" / "in"
    inbox.mkdir(parents=True)
    for name in ("a.json", "b.json"):
        (inbox / name).write_text('{"n": 1}')
        os.utime(inbox / name, (0, 0))  # it has not changed for long
    lake = ematix.ObjectStoreConnection("lake", path=str(tmp_path / "lake"))
    source = ematix.inbox("orders_in", connection=lake, path="in/*.json")
    seen: list[object] = []

    @ematix.job(target="a", target_connection=target)
    def load(run: RunContext) -> pa.Table:
        seen.append((run.parameters["path"], run.parameters["message"]))
        return pa.table({"n": [1]})

    listening = Listening(world.store, Environment(), background=False)
    scheduler = world.scheduler(ematix.workflow("on_file", jobs=[load], on_message=source), observers=[listening])
    run_due(scheduler, world.store, listening)
    assert seen == [("in/a.json", {"n": 1}), ("in/b.json", {"n": 1})]
    assert world.statuses("on_file") == ["succeeded", "succeeded"]
    assert sorted(path.name for path in inbox.iterdir()) == ["done"]
    run_due(scheduler, world.store, listening)
    assert len(seen) == 2


def test_old_runs_are_deleted_where_the_settings_say_how_long_they_are_kept(world: World) -> None:
    keep = Forgetting(world.store, timedelta(hours=5))
    workflow = ematix.workflow("hourly", jobs=[job("a")], schedule="0 * * * *")
    scheduler = world.scheduler(workflow, observers=[keep])
    scheduler.try_to_lead()
    for _ in range(8):
        world.clock.move(hours=1)
        world.settle(scheduler)
        keep.rest()
    assert 5 <= len(world.statuses("hourly")) < 8


def test_a_run_by_hand_within_two_looks_uses_up_what_was_decided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = ematix.workflow("hourly", jobs=[job("a")], schedule="0 * * * *")
    scheduler = world.scheduler(workflow)
    scheduler.try_to_lead()
    begin = world.store.begin_workflow

    def begin_too_late(*args: Any, **options: Any) -> WorkflowRun:  # noqa: ANN401 - as the store takes them
        monkeypatch.undo()
        by_hand = begin("hourly", unit=True)
        world.store.finish_workflow(by_hand.workflow_run_id, Status.SUCCEEDED)
        return begin(*args, **options)

    monkeypatch.setattr(world.store, "begin_workflow", begin_too_late)
    world.clock.move(hours=1)
    world.settle(scheduler)
    assert [run.trigger for run in world.store.workflow_runs()] == ["manual"]
    world.clock.move(hours=1)
    world.settle(scheduler)
    assert [run.trigger for run in world.store.workflow_runs()] == ["schedule", "manual"]


def test_a_run_whose_beginning_was_not_heard_of_is_carried_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = world.scheduler(ematix.workflow("hourly", jobs=[job("a")], schedule="0 * * * *"))
    scheduler.try_to_lead()
    begin = world.store.begin_workflow

    def begin_and_lose_the_answer(*args: Any, **options: Any) -> None:  # noqa: ANN401 - as the store takes them
        monkeypatch.undo()
        begin(*args, **options)
        message = "the connection was lost while committing"
        raise StoreError(message)

    monkeypatch.setattr(world.store, "begin_workflow", begin_and_lose_the_answer)
    world.clock.move(hours=1)
    scheduler.step(0)
    assert world.statuses("hourly") == ["running"]
    world.settle(scheduler)
    assert world.statuses("hourly") == ["succeeded"]


def test_a_run_by_hand_whose_process_died_holds_up_nothing(world: World) -> None:
    workflow = ematix.workflow("hourly", jobs=[job("a")], schedule="0 * * * *")
    script = (
        "import os, sys\nfrom datetime import datetime\nfrom ematix_core.store import open_store\n"
        "store = open_store(sys.argv[1], now=lambda: datetime.fromisoformat(sys.argv[2]))\n"
        "store.begin_workflow('hourly', unit=True)\nos._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", script, world.url, START.isoformat()], check=False)
    scheduler = world.scheduler(workflow)
    scheduler.try_to_lead()
    world.clock.move(hours=1)
    world.settle(scheduler)
    assert world.statuses("hourly") == ["interrupted", "succeeded"]
