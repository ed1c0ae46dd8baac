"""Runs that an orchestrator carries: attempts in processes of its own are attempts of one run, and it says the end."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import AlreadyRunningError, CancelledError, EmatixError, ProjectError
from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import Event as Success
from ematix_core.model.unit import Unit, UnitJob
from ematix_core.orchestration import Announcement, Busy, Cancellation, Declined, Gate, Opened, Site, close, run_attempt
from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.orchestration import OpenSite

CARRIER = "test:nightly/1"
PIPELINES = """
import os, pathlib, signal
import pyarrow as pa
import ematix_core as ematix
from ematix_core.errors import SourceError, Transient

class Flaky(SourceError, Transient):
    pass

warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")

@ematix.job(target="numbers", target_connection=warehouse, retries=2)
def numbers(run):
    tried = pathlib.Path("tried")
    tried.write_text(tried.read_text() + "x" if tried.exists() else "x")
    plan = pathlib.Path("plan").read_text().split() if pathlib.Path("plan").exists() else []
    what = plan[len(tried.read_text()) - 1] if len(tried.read_text()) <= len(plan) else "well"
    if what == "flaky":
        raise Flaky("the network is down")
    if what == "wrong":
        raise ValueError("a mistake")
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return pa.table({"n": [1, 2, 3]})

@ematix.job(target="doubled", target_connection=warehouse, depends_on=[numbers])
def doubled():
    return "SELECT n * 2 AS n FROM numbers"

nightly = ematix.workflow("nightly", jobs=[numbers, doubled], triggered_by="orders")
orders = ematix.workflow("orders", jobs=[doubled], schedule="0 2 * * *")
"""
UNIT = Unit(name="nightly", jobs=(UnitJob("numbers"), UnitJob("doubled", ("numbers",))), trigger=Success("orders"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "pipelines.py").write_text(PIPELINES)
    return Site(modules=("pipelines.py",), directory=str(tmp_path), store=f"sqlite:///{tmp_path}/runs.db")


@pytest.fixture
def opened(site: Site) -> Iterator[OpenSite]:
    with site.opened() as one:
        yield one


def plan(site: Site, *what: str) -> None:
    Path(site.directory, "plan").write_text(" ".join(what))


def begin(site: OpenSite, carrier: str = CARRIER) -> str:
    answer = Gate(site.store, UNIT, carrier=carrier).begin()
    assert isinstance(answer, Opened)
    return answer.run.workflow_run_id


def attempt_elsewhere(site: Site, run_id: str) -> None:
    with site.opened() as opened:
        run_attempt(opened, "numbers", carrier=CARRIER, again=True, workflow_run_id=run_id)


def test_attempts_in_several_processes_are_attempts_of_one_run(site: Site, opened: OpenSite) -> None:
    plan(site, "flaky", "killed", "flaky", "well")
    run_id = begin(opened)
    spawning = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    codes = []
    for _ in range(4):
        process = spawning.Process(target=attempt_elsewhere, args=(site, run_id))
        process.start()
        process.join()
        codes.append(process.exitcode)
    assert codes == [1, -signal.SIGKILL, 1, 0]
    (run,) = opened.store.runs(job="numbers")
    assert (run.status, run.attempts, run.inserted, run.error) == (Status.SUCCEEDED, 4, 3, "")
    attempts = opened.store.attempts(run.run_id)
    assert [one.status for one in attempts] == ["failed", "interrupted", "failed", "succeeded"]
    assert "the network is down" in attempts[0].error


def test_the_last_attempt_closes_the_run_as_failed(site: Site, opened: OpenSite) -> None:
    plan(site, "flaky", "flaky")
    run_id = begin(opened)
    with pytest.raises(EmatixError, match="the network is down"):
        run_attempt(opened, "numbers", carrier=CARRIER, again=True, workflow_run_id=run_id)
    assert opened.store.runs(job="numbers")[0].status is Status.RUNNING
    with pytest.raises(EmatixError, match="the network is down"):
        run_attempt(opened, "numbers", carrier=CARRIER, again=False, workflow_run_id=run_id)
    (run,) = opened.store.runs(job="numbers")
    assert (run.status, run.attempts) == (Status.FAILED, 2)


def test_an_error_that_is_not_transient_closes_the_run_at_once(site: Site, opened: OpenSite) -> None:
    plan(site, "wrong")
    with pytest.raises(EmatixError, match="a mistake"):
        run_attempt(opened, "numbers", carrier=CARRIER, again=True, workflow_run_id=begin(opened))
    assert opened.store.runs(job="numbers")[0].status is Status.FAILED


def test_a_run_that_waits_for_its_next_attempt_is_nobody_elses(site: Site, opened: OpenSite) -> None:
    plan(site, "flaky")
    with pytest.raises(EmatixError):
        run_attempt(opened, "numbers", carrier=CARRIER, again=True, workflow_run_id=begin(opened))
    with pytest.raises(AlreadyRunningError, match=CARRIER):
        opened.store.begin("numbers")
    with pytest.raises(AlreadyRunningError):
        opened.store.begin("numbers", carrier="test:nightly/2")


def test_the_workflow_run_is_closed_with_what_became_of_its_jobs(opened: OpenSite) -> None:
    run_id = begin(opened)
    for job in ("numbers", "doubled"):
        run_attempt(opened, job, carrier=CARRIER, workflow_run_id=run_id)
    closed = close(opened.store, UNIT, run_id, carrier=CARRIER, states={})
    assert (closed.status, closed.error) == (Status.SUCCEEDED, "")
    assert [event.kind for event in opened.store.events(names=["nightly"])] == ["started", "succeeded"]
    assert close(opened.store, UNIT, run_id, carrier=CARRIER, states={}) == opened.store.workflow_run(run_id)


def test_a_failed_attempt_that_is_not_followed_by_another_is_closed_and_skips_what_depends_on_it(
    site: Site, opened: OpenSite
) -> None:
    plan(site, "flaky")
    run_id = begin(opened)
    with pytest.raises(EmatixError):
        run_attempt(opened, "numbers", carrier=CARRIER, again=True, workflow_run_id=run_id)
    closed = close(opened.store, UNIT, run_id, carrier=CARRIER, states={"numbers": "failed"})
    assert closed.status is Status.FAILED
    assert "job numbers" in closed.error
    assert "the network is down" in closed.error
    found = {run.job: (run.status, run.attempts) for run in opened.store.runs(workflow_run_id=run_id)}
    assert found == {"numbers": (Status.FAILED, 1), "doubled": (Status.SKIPPED, 0)}


def test_the_run_of_a_killed_process_is_closed_as_failed(site: Site, opened: OpenSite) -> None:
    plan(site, "killed")
    run_id = begin(opened)
    process = multiprocessing.get_context("spawn").Process(target=attempt_elsewhere, args=(site, run_id))
    process.start()
    process.join()
    assert close(opened.store, UNIT, run_id, carrier=CARRIER, states={}).status is Status.FAILED
    assert [run.status for run in opened.store.runs(job="numbers")] == [Status.FAILED]


def test_a_job_that_somebody_marked_as_successful_counts_as_done(opened: OpenSite) -> None:
    run_id = begin(opened)
    closed = close(
        opened.store, UNIT, run_id, carrier=CARRIER, states={"numbers": "success", "doubled": "success"}
    )  # fmt: skip
    assert closed.status is Status.SUCCEEDED


def test_a_job_that_was_never_started_fails_the_workflow_run(opened: OpenSite) -> None:
    closed = close(opened.store, UNIT, begin(opened), carrier=CARRIER, states={})
    assert (closed.status, closed.error) == (Status.FAILED, "job numbers: it was not started")


def test_asked_again_the_gate_gives_the_open_run_and_restarts_the_failed_one(opened: OpenSite) -> None:
    run_id = begin(opened)
    assert begin(opened) == run_id
    close(opened.store, UNIT, run_id, carrier=CARRIER, states={})
    again = begin(opened)
    assert again != run_id
    assert opened.store.workflow_run(again).trigger == f"restart of {run_id}"


def test_two_processes_of_one_run_that_ask_at_once_get_the_same_run(
    opened: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(opened)
    late = Gate(opened.store, UNIT, carrier=CARRIER)
    monkeypatch.setattr(late, "_again", lambda: None)  # as if it had looked before the other one began
    answer = late.begin()
    assert isinstance(answer, Opened)
    assert answer.run.workflow_run_id == run_id


def test_a_restart_counts_the_jobs_of_the_run_before_as_done(opened: OpenSite) -> None:
    run_id = begin(opened)
    run_attempt(opened, "numbers", carrier=CARRIER, workflow_run_id=run_id)
    assert close(opened.store, UNIT, run_id, carrier=CARRIER, states={}).status is Status.FAILED
    again = begin(opened)
    run_attempt(opened, "doubled", carrier=CARRIER, workflow_run_id=again)
    assert close(opened.store, UNIT, again, carrier=CARRIER, states={}).status is Status.SUCCEEDED


def test_the_gate_declines_with_the_conditions_and_opens_once_they_hold(opened: OpenSite) -> None:
    gate = Gate(opened.store, UNIT, carrier=CARRIER)
    declined = gate.ask()
    assert isinstance(declined, Declined)
    assert "orders: has not succeeded yet" in declined.reason
    opened.store.announce("orders", "1")
    answer = gate.ask()
    assert isinstance(answer, Opened)
    assert answer.run.trigger == "upstream"
    assert (answer.run.host, answer.run.pid) == (CARRIER, 0)


def test_an_announcement_counts_once(opened: OpenSite) -> None:
    told = [Announcement("orders", "event 1")]
    first = Gate(opened.store, UNIT, carrier="test:nightly/1").ask(announced=told)
    assert isinstance(first, Opened)
    done = {"numbers": "success", "doubled": "success"}
    close(opened.store, UNIT, first.run.workflow_run_id, carrier="test:nightly/1", states=done)
    assert isinstance(Gate(opened.store, UNIT, carrier="test:nightly/2").ask(announced=told), Declined)
    further = [Announcement("orders", "event 2")]
    assert isinstance(Gate(opened.store, UNIT, carrier="test:nightly/3").ask(announced=further), Opened)


def test_a_unit_counts_as_seen_before_the_first_tick_that_woke_the_orchestrator(opened: OpenSite) -> None:
    schedule = Schedule("* * * * *")
    unit = Unit(name="pulse", jobs=(UnitJob("numbers"),), schedule=schedule)
    run = opened.store.begin_workflow("clock")  # gives the time by the store
    tick = schedule.next_after(run.started_at)
    gate = Gate(opened.store, unit, carrier="test:pulse/1", clock=lambda: tick)
    answer = gate.ask(tick=tick)
    assert isinstance(answer, Opened)
    assert answer.run.tick == tick


def test_the_run_of_another_is_waited_for_and_one_that_is_over_is_closed(opened: OpenSite) -> None:
    first = begin(opened, "test:nightly/1")
    busy = Gate(opened.store, UNIT, carrier="test:nightly/2").begin()
    assert isinstance(busy, Busy)
    assert busy.run_id == first
    opened.store.announce("orders", "1")
    asked = Gate(opened.store, UNIT, carrier="test:nightly/2").ask()
    assert isinstance(asked, Busy)
    answer = Gate(
        opened.store, UNIT, carrier="test:nightly/2", is_over=lambda carrier: carrier == "test:nightly/1"
    ).ask()
    assert isinstance(answer, Opened)
    assert opened.store.workflow_run(first).status is Status.FAILED


def test_slices_overlap_and_make_no_events(opened: OpenSite) -> None:
    for number, part in enumerate(("2026-01-01", "2026-01-02")):
        answer = Gate(opened.store, UNIT, carrier=f"test:nightly/{number}").begin(
            trigger="backfill", slice=part, parameters={"slice_start": part}
        )
        assert isinstance(answer, Opened)
        assert answer.run.slice == part
    assert opened.store.events() == []


def test_a_cancelled_attempt_is_recorded_as_cancelled(opened: OpenSite) -> None:
    run_id = begin(opened)
    button = Cancellation()
    button.cancel()
    with pytest.raises(CancelledError):
        run_attempt(opened, "numbers", carrier=CARRIER, workflow_run_id=run_id, cancellation=button)
    assert close(opened.store, UNIT, run_id, carrier=CARRIER, states={}).status is Status.CANCELLED


def test_somebody_can_cancel_a_run_between_two_attempts(site: Site, opened: OpenSite) -> None:
    plan(site, "flaky")
    run_id = begin(opened)
    with pytest.raises(EmatixError):
        run_attempt(opened, "numbers", carrier=CARRIER, again=True, workflow_run_id=run_id)
    (run,) = opened.store.runs(job="numbers")
    assert opened.store.cancel(run.run_id)
    with pytest.raises(CancelledError):
        run_attempt(opened, "numbers", carrier=CARRIER, again=True, workflow_run_id=run_id)
    assert opened.store.runs(job="numbers")[0].status is Status.CANCELLED


def test_an_unknown_job_is_named_with_the_nearest_one(opened: OpenSite) -> None:
    with pytest.raises(ProjectError, match="numbers"):
        run_attempt(opened, "nubmers", carrier=CARRIER)


def test_work_is_done_in_the_projects_folder_and_not_after_it(site: Site, opened: OpenSite) -> None:
    here = os.getcwd()  # noqa: PTH109 - the text, as the process has it
    run_attempt(opened, "numbers", carrier=CARRIER)
    assert Path(site.directory, "warehouse.duckdb").exists()
    assert os.getcwd() == here  # noqa: PTH109 - see above


def test_a_tick_of_before_a_backfill_does_not_count_for_a_unit_that_was_new_then(opened: OpenSite) -> None:
    unit = Unit(name="hourly", jobs=(UnitJob("numbers"),), schedule=Schedule("0 * * * *"))
    tick = unit.schedule.next_after(opened.store.begin_workflow("clock").started_at) if unit.schedule else None
    assert tick is not None

    def gate(carrier: str) -> Gate:
        return Gate(opened.store, unit, carrier=carrier, clock=lambda: tick + timedelta(minutes=1))

    assert isinstance(gate("test:hourly/1").begin(trigger="backfill", slice="2026-01-01"), Opened)
    assert isinstance(gate("test:hourly/2").ask(tick=tick), Declined)


def test_projects_whose_modules_have_one_name_do_not_see_each_other(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same_name.py").write_text(PIPELINES.replace('"nightly"', f'"{name}"'))
    found = []
    for name in ("one", "other", "one"):
        folder = tmp_path / name
        with Site(modules=("same_name",), directory=str(folder), store="memory:").opened() as opened:
            found.append(set(opened.project.workflows) - {"orders"})
    assert found == [{"one"}, {"other"}, {"one"}]
