"""What a store of revision 0001 may hold when it is brought up, and what has to be there afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.store import SCHEDULER_LEASE, Attempt, EventKind, LogLine, Status

if TYPE_CHECKING:
    from ematix_core.store import SchedulerStore

BEGUN = datetime(2026, 10, 25, 0, 30, 0, 123457, tzinfo=UTC)
"""An hour that occurs twice in Berlin."""
_OWNER = {"host": "gone", "machine": "gone", "pid": 1, "process_started": 0.5}
_COUNTS = {"rows_read": 5, "inserted": 1, "updated": 2, "unchanged": 2, "deleted": 0, "closed": 0}
_TIMES = {"started_at", "finished_at", "heartbeat_at", "at"}


def fill(engine: sa.Engine) -> None:
    """Write runs that ended, one that failed once, one that was left open at its second attempt, and a workflow run."""
    later = BEGUN + timedelta(minutes=1)
    with engine.begin() as connection:
        _insert(
            connection, "workflow_runs", workflow_run_id="w1", workflow="nightly", trigger="manual", status="running",
            started_at=BEGUN, error="", heartbeat_at=BEGUN, **_OWNER,
        )  # fmt: skip
        for run_id, job, status, attempts in (
            ("r1", "orders", "succeeded", 2), ("r2", "customers", "failed", 1), ("r3", "orders", "running", 2),
        ):  # fmt: skip
            ended = status != "running"
            _insert(
                connection, "runs", run_id=run_id, job=job, active_job=None if ended else job, workflow_run_id="w1",
                trigger="größe 🚲", status=status, load_id=run_id, started_at=BEGUN,
                finished_at=later if ended else None, attempts=attempts, **_COUNTS, seconds=1.5, plan_hash="abc",
                error="no" if status == "failed" else "", targets='[{"target": "x"}]', heartbeat_at=later, **_OWNER,
            )  # fmt: skip
        for run_id, number, status in (
            ("r1", 1, "failed"), ("r1", 2, "succeeded"), ("r2", 1, "failed"), ("r3", 1, "failed"), ("r3", 2, "running"),
        ):  # fmt: skip
            _insert(
                connection, "attempts", run_id=run_id, number=number, status=status,
                started_at=BEGUN + timedelta(seconds=number), finished_at=None if status == "running" else later,
                error="no" if status == "failed" else "",
            )  # fmt: skip
        _insert(connection, "log_lines", run_id="r1", at=BEGUN, level="INFO", message="a line")


def check(store: SchedulerStore) -> None:
    """Assert that all of it is there, and goes on as runs of today do."""
    orders, customers, left = (store.run(run_id) for run_id in ("r1", "r2", "r3"))
    assert {name: getattr(orders, name) for name in _COUNTS} == _COUNTS
    assert (orders.trigger, orders.started_at, orders.targets) == ("größe 🚲", BEGUN, ({"target": "x"},))
    assert (orders.slice, orders.token, orders.cancel_requested) == ("", None, False)
    assert (customers.status, customers.error, left.status) == (Status.FAILED, "no", Status.INTERRUPTED)
    assert store.logs("r1") == [LogLine("r1", BEGUN, "INFO", "a line")]
    assert [(one.number, one.status) for one in store.attempts("r1")] == [(1, Status.FAILED), (2, Status.SUCCEEDED)]
    assert [one.status for one in store.attempts("r2")] == [Status.FAILED]
    second = BEGUN + timedelta(seconds=2)
    assert store.attempts("r3")[1] == Attempt("r3", 2, Status.INTERRUPTED, second, None, "")
    (group,) = store.workflow_runs()
    assert (group.unit, group.slice, group.key, group.parameters, group.cause) == (False, "", None, {}, ())
    assert (store.events(), store.last_event(), store.slices("nightly")) == ([], 0, {})

    again = store.begin("orders")
    assert (again.run_id, again.load_id, again.attempts) == ("r3", "r3", 3)
    store.finish("r3", Status.SUCCEEDED, seconds=0)
    assert [one.status for one in store.attempts("r3")] == [Status.FAILED, Status.INTERRUPTED, Status.SUCCEEDED]
    assert store.attempts("r3")[1].started_at == second
    run = store.begin_workflow("nightly", unit=True)
    assert store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED).event == 2
    assert [event.kind for event in store.events()] == [
        EventKind.JOB_SUCCEEDED, EventKind.STARTED, EventKind.SUCCEEDED,
    ]  # fmt: skip
    assert store.acquire_lease(SCHEDULER_LEASE, "first", 60) is not None


def _insert(connection: sa.Connection, table: str, **values: Any) -> None:  # noqa: ANN401 - columns by name
    plain = {
        name: value.replace(tzinfo=None) if name in _TIMES and value is not None else value
        for name, value in values.items()
    }
    kinds = [sa.column(name, sa.DateTime() if name in _TIMES else None) for name in plain]
    connection.execute(sa.insert(sa.table(f"ematix_{table}", *kinds)).values(plain))
