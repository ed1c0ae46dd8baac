"""A kill before and after each commit leaves a known state; what waits for the disk, and what need not."""

from __future__ import annotations

import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.redact import Redactor
from ematix_core.errors import AlreadyRunningError, StoreError
from ematix_core.store import SCHEDULER_LEASE, EventKind, Status, open_store
from ematix_core.store.database import Database

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from ematix_core.store import SchedulerStore

    Start = Callable[..., subprocess.Popen[str]]

ROOT = Path(__file__).parents[3]
# Every write of a scheduler's life, in an order in which each has something to do.
LIFE = """
old = store.acquire_lease(SCHEDULER_LEASE, 'first', 60)
store.see(['nightly'], token=old.token)
left = [store.begin_workflow(name, unit=True, token=old.token) for name in ('nightly', 'hourly')]
store.release_lease(old)
token = store.acquire_lease(SCHEDULER_LEASE, 'second', 60).token
store.gap(left[0].started_at, token=token)
store.adopt(left[0].workflow_run_id, token=token)
store.abandon(left[1].workflow_run_id, 'gone', token=token)
store.add_message('mail', 'p', {}, token=token)
job = store.begin('orders', workflow_run_id=left[0].workflow_run_id, token=token)
store.attempt_failed(job.run_id, 'no')
store.finish(job.run_id, Status.SUCCEEDED, seconds=0)
store.skip('late', 'no')
store.cancel(left[0].workflow_run_id)
store.finish_workflow(left[0].workflow_run_id, Status.SUCCEEDED)
store.pause('nightly')
store.resume('nightly')
from datetime import datetime, timedelta, UTC
store.prune(datetime.now(UTC) + timedelta(days=1))
"""
# Each write by the failpoint around it, and what is there when it was made.
MADE: dict[str, Callable[[SchedulerStore], object]] = {
    "acquire_lease": lambda store: store.lease(SCHEDULER_LEASE),
    "see": lambda store: store.last_event() > 0,
    "begin_workflow": lambda store: store.workflow_runs(),
    "release_lease": lambda store: store.lease(SCHEDULER_LEASE) is None,
    "gap": lambda store: happened(store, EventKind.GAP),
    "adopt": lambda store: store.workflow_runs(workflow="nightly")[0].token == 2,
    "abandon": lambda store: happened(store, EventKind.FAILED),
    "add_message": lambda store: happened(store, EventKind.MESSAGE),
    "begin": lambda store: store.runs(),
    "attempt_failed": lambda store: store.runs()[0].attempts == 2,
    "finish": lambda store: happened(store, EventKind.JOB_SUCCEEDED),
    "skip": lambda store: store.latest("late"),
    "cancel": lambda store: happened(store, EventKind.CANCEL),
    "finish_workflow": lambda store: happened(store, EventKind.SUCCEEDED),
    "pause": lambda store: happened(store, EventKind.PAUSED),
    "resume": lambda store: happened(store, EventKind.RESUMED),
    "prune": lambda store: not store.latest("late"),
}


def happened(store: SchedulerStore, kind: EventKind) -> bool:
    return any(event.kind is kind for event in store.events())


@pytest.mark.parametrize("point", MADE)
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_kill_beside_a_commit_leaves_all_of_it_or_nothing(
    store: SchedulerStore, start: Start, point: str, side: str
) -> None:
    assert start(LIFE, EMATIX_FAILPOINT=f"store.{point}.{side}").wait() == -signal.SIGKILL
    assert bool(MADE[point](store)) == (side == "after")
    events = store.events()
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert store.last_event() == len(events)


def test_every_failpoint_of_the_store_is_on_the_page(start: Start, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    assert start(LIFE, EMATIX_FAILPOINT_TRACE=str(trace)).wait() == 0
    reached = {name.rpartition(".")[0] for name in trace.read_text().split()}
    assert reached == {f"store.{point}" for point in MADE}
    page = (ROOT / "docs" / "reference" / "failpoints.md").read_text(encoding="utf-8")
    assert [name for name in sorted(reached) if f"`{name}`" not in page] == []


def test_the_disk_is_waited_for_unless_a_scheduler_would_do_it_again(url: str) -> None:
    with closing(Database(url)) as database:
        database.upgrade()
        for quick, level in ((False, 2), (True, 1), (False, 2)):  # FULL and NORMAL, on one connection
            with database.transaction(quick=quick) as connection:
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level


def test_a_run_whose_beginning_was_not_confirmed_is_continued_by_the_next_try(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

    def commit(_: object, connection: sqlite3.Connection) -> None:
        connection.commit()
        raise sqlite3.OperationalError("disk I/O error")

    with open_store(url) as store:
        with monkeypatch.context() as patch:
            patch.setattr(SQLiteDialect_pysqlite, "do_commit", commit)
            with pytest.raises(StoreError, match="disk I/O error"):
                store.begin("orders")
        (lost,) = store.runs()
        again = store.begin("orders")
        assert (again.run_id, again.attempts) == (lost.run_id, 2)
        with pytest.raises(AlreadyRunningError):
            store.begin("orders")


def test_threads_take_turns_without_sleeping(url: str) -> None:
    ready = threading.Barrier(8)

    def work(number: int) -> None:
        ready.wait()
        for _ in range(5):
            run = store.begin(f"job {number}")
            store.finish(run.run_id, Status.SUCCEEDED, seconds=0)

    with open_store(url) as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
        assert [event.id for event in store.events()] == list(range(1, 41))


def test_what_people_read_is_masked_and_what_jobs_work_with_is_not(url: str) -> None:
    redactor = Redactor()
    redactor.learn("hunter2")
    with open_store(url, redactor=redactor) as store:
        run = store.begin_workflow(
            "nightly", unit=True, cause=["asked by hunter2"], parameters={"name": "hunter2"}, message="m"
        )
        assert run.cause == store.workflow_run(run.workflow_run_id).cause == ("asked by ***",)
        assert store.workflow_run(run.workflow_run_id).parameters == {"name": "hunter2"}
