"""What is recorded about runs, attempts, logs and workflow runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.redact import Redactor
from ematix_core.errors import StoreError
from ematix_core.store import LogLine, Status, open_store

if TYPE_CHECKING:
    from ematix_core.store import RunStore

COUNTS = {"rows_read": 7, "inserted": 1, "updated": 2, "unchanged": 4, "deleted": 0, "closed": 0}


def test_a_run_is_open_until_it_is_finished(store: RunStore) -> None:
    run = store.begin("orders", trigger="schedule")
    assert (run.status, run.attempts, run.load_id, run.trigger) == (Status.RUNNING, 1, run.run_id, "schedule")
    assert abs(datetime.now(UTC) - run.started_at) < timedelta(seconds=30)
    done = store.finish(
        run.run_id, Status.SUCCEEDED, seconds=1.5, counts=COUNTS, plan_hash="abc", targets=[{"target": "a.orders"}]
    )
    assert done.status is Status.SUCCEEDED
    assert {name: getattr(done, name) for name in COUNTS} == COUNTS
    assert (done.seconds, done.plan_hash, done.targets) == (1.5, "abc", ({"target": "a.orders"},))
    assert done.finished_at is not None
    assert store.run(run.run_id) == store.latest("orders") == done
    assert [(a.number, a.status) for a in store.attempts(run.run_id)] == [(1, Status.SUCCEEDED)]


def test_a_record_becomes_plain_data(store: RunStore) -> None:
    run = store.begin("orders")
    assert run.to_dict() | {"status": "running", "started_at": run.started_at.isoformat()} == run.to_dict()


def test_a_new_run_after_a_finished_one_is_a_new_load(store: RunStore) -> None:
    for status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED):
        store.finish(store.begin("orders").run_id, status, seconds=0)
    assert len({run.load_id for run in store.runs()}) == 3


def test_attempts_of_a_run_share_its_load(store: RunStore) -> None:
    run = store.begin("orders")
    again = store.attempt_failed(run.run_id, "connection lost")
    assert (again.run_id, again.load_id, again.attempts) == (run.run_id, run.load_id, 2)
    store.finish(run.run_id, Status.FAILED, seconds=0, error="gave up")
    assert [(a.number, a.status, a.error) for a in store.attempts(run.run_id)] == [
        (1, Status.FAILED, "connection lost"),
        (2, Status.FAILED, "gave up"),
    ]


def test_a_job_that_is_running_does_not_begin_again(store: RunStore) -> None:
    run = store.begin("orders")
    with pytest.raises(StoreError, match=f"job orders is already running: run {run.run_id}, process {run.pid}"):
        store.begin("orders")
    store.begin("customers")


def test_a_run_ends_once(store: RunStore) -> None:
    run = store.begin("orders")
    store.finish(run.run_id, Status.SUCCEEDED, seconds=0)
    with pytest.raises(StoreError, match="not open in this process"):
        store.finish(run.run_id, Status.FAILED, seconds=0)
    with pytest.raises(StoreError, match="not open in this process"):
        store.attempt_failed(run.run_id, "x")
    assert store.run(run.run_id).status is Status.SUCCEEDED


def test_runs_are_listed_latest_first_by_job_status_and_workflow_run(store: RunStore) -> None:
    workflow = store.begin_workflow("nightly")
    first = store.begin("a", workflow_run_id=workflow.workflow_run_id)
    store.finish(first.run_id, Status.FAILED, seconds=0)
    skipped = store.skip("b", "a failed", workflow_run_id=workflow.workflow_run_id)
    last = store.begin("a")
    assert [run.run_id for run in store.runs()] == [last.run_id, skipped.run_id, first.run_id]
    assert [run.run_id for run in store.runs(limit=1)] == [last.run_id]
    assert [run.run_id for run in store.runs(job="a")] == [last.run_id, first.run_id]
    assert [run.run_id for run in store.runs(status=Status.RUNNING)] == [last.run_id]
    assert [run.run_id for run in store.runs(status=Status.FAILED)] == [first.run_id]
    assert not store.runs(status=Status.INTERRUPTED)
    grouped = store.runs(workflow_run_id=workflow.workflow_run_id)
    assert [(run.job, run.status, run.error) for run in grouped] == [("b", "skipped", "a failed"), ("a", "failed", "")]


def test_a_skipped_run_leaves_the_job_free(store: RunStore) -> None:
    store.skip("orders", "customers failed")
    assert store.begin("orders").status is Status.RUNNING


def test_a_workflow_run_is_recorded(store: RunStore) -> None:
    begun = store.begin_workflow("nightly", trigger="schedule")
    assert store.workflow_runs() == [begun]
    done = store.finish_workflow(begun.workflow_run_id, Status.FAILED, error="orders failed")
    assert store.workflow_runs(workflow="nightly") == [done]
    assert (done.status, done.error, done.trigger) == (Status.FAILED, "orders failed", "schedule")
    assert not store.workflow_runs(workflow="other")


def test_a_run_is_found_by_the_beginning_of_its_id(store: RunStore) -> None:
    run = store.begin("a")
    assert store.run(run.run_id[:-1]) == run
    store.begin("b")
    with pytest.raises(StoreError, match=f"several runs begin with '2': .*{run.run_id}"):
        store.run("2")
    with pytest.raises(StoreError, match="no run 'x'"):
        store.run("x")
    with pytest.raises(StoreError, match="no run '%'"):
        store.run("%")


def test_log_lines_keep_their_order(store: RunStore) -> None:
    run = store.begin("orders")
    lines = [LogLine(run.run_id, datetime(2026, 1, 1, tzinfo=UTC), "INFO", f"line {i}") for i in range(250)]
    store.log(lines[:200])
    store.log(lines[200:])
    store.log([])
    assert store.logs(run.run_id) == lines


def test_a_heartbeat_moves_on(store: RunStore) -> None:
    run, workflow = store.begin("orders"), store.begin_workflow("nightly")
    store.heartbeat(run.run_id)
    store.heartbeat(workflow.workflow_run_id)
    assert store.run(run.run_id).heartbeat_at > run.heartbeat_at
    assert store.workflow_runs()[0].heartbeat_at > workflow.heartbeat_at


def test_no_secret_is_written(url: str) -> None:
    redactor = Redactor()
    redactor.learn("hunter2")
    with open_store(url, redactor=redactor) as store:
        run = store.begin("orders")
        store.attempt_failed(run.run_id, "login with hunter2 failed")
        store.log([LogLine(run.run_id, datetime.now(UTC), "INFO", "postgresql://u:other@h/d and hunter2")])
        done = store.finish(
            run.run_id, Status.FAILED, seconds=0, error="hunter2", targets=[{"warnings": ["hunter2"], "rows": 1}]
        )
        workflow = store.begin_workflow("w")
        store.finish_workflow(workflow.workflow_run_id, Status.FAILED, error="hunter2")
        store.skip("b", "hunter2")
        assert done.error == "***"
        assert done.targets == ({"warnings": ["***"], "rows": 1},)
        assert store.logs(run.run_id)[0].message == "postgresql://u:***@h/d and ***"
    content = b"".join(file.read_bytes() for file in _files(url))
    assert b"hunter2" not in content
    assert b"u:other@" not in content


def test_a_memory_store_works_alike_and_ends_with_its_object() -> None:
    with open_store("memory:") as store:
        run = store.begin("orders")
        assert store.runs() == [run]
    with open_store("memory:") as store:
        assert store.runs() == []


def _files(url: str) -> list[Path]:
    return list(Path(url.removeprefix("sqlite:///")).parent.iterdir())
