"""Waiting for runs by looking at the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ematix_core.orchestration import RunWatch
from ematix_core.store import Status, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.store import SchedulerStore


class Clock:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Iterator[SchedulerStore]:
    with open_store("memory:", now=lambda: clock.now) as opened:
        yield opened


def test_the_end_of_a_job_s_run_is_told_with_its_error(store: SchedulerStore) -> None:
    run = store.begin("orders")
    watch = RunWatch(run_id=run.run_id)
    assert watch.look(store) is None
    store.finish(run.run_id, Status.FAILED, seconds=1.0, error="it is broken")
    end = watch.look(store)
    assert end is not None
    assert (end.run_id, end.status, end.error) == (run.run_id, "failed", "it is broken")


def test_the_end_of_a_workflow_s_run_is_told(store: SchedulerStore) -> None:
    run = store.begin_workflow("nightly", unit=True)
    watch = RunWatch(run_id=run.workflow_run_id)
    assert watch.look(store) is None
    store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
    end = watch.look(store)
    assert end is not None
    assert end.status == "succeeded"


def test_a_run_that_an_orchestrator_carries_is_waited_for_though_no_process_has_it(store: SchedulerStore) -> None:
    run = store.begin_workflow("nightly", unit=True, carrier="airflow:nightly/1")
    assert RunWatch(run_id=run.workflow_run_id).look(store) is None


def test_what_is_not_there_is_not_waited_for(store: SchedulerStore) -> None:
    end = RunWatch(run_id="nothing").look(store)
    assert end is not None
    assert (end.status, end.error) == ("unknown", "there is no run 'nothing'")


def test_a_success_counts_by_its_end_and_slices_do_not_count(store: SchedulerStore, clock: Clock) -> None:
    start = clock.now
    store.finish(store.begin("orders").run_id, Status.SUCCEEDED, seconds=1.0)
    watch = RunWatch(job="orders", since=start + timedelta(minutes=5))
    assert RunWatch(job="orders").look(store) is not None
    assert watch.look(store) is None
    clock.now = start + timedelta(minutes=4)
    part, whole = store.begin("orders", slice="2026-01-30"), store.begin("orders")
    clock.now = start + timedelta(minutes=6)
    store.finish(part.run_id, Status.SUCCEEDED, seconds=120.0)
    assert watch.look(store) is None
    store.finish(whole.run_id, Status.SUCCEEDED, seconds=120.0)
    end = watch.look(store)
    assert end is not None
    assert end.run_id == whole.run_id


def test_what_is_waited_for_is_told_in_words() -> None:
    assert str(RunWatch(run_id="r1")) == "the end of run r1"
    since = datetime(2026, 1, 31, 2, tzinfo=UTC)
    assert str(RunWatch(workflow="nightly", since=since)) == "a success of workflow nightly since 2026-01-31 02:00 UTC"
