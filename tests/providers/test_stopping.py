"""A task that is stopped: by Airflow's signal, by its time limit, by `flow runs cancel`. Nothing of it stays."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from ematix_core.store import Status
from tests.providers.place import state, xcom

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.providers.place import Place

PROJECT = """
from pathlib import Path

import pyarrow as pa
import ematix_core as ematix

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

@ematix.job(target="kept", target_connection=warehouse)
def kept():
    return pa.table({"id": [1]})

@ematix.job(target="sums", target_connection=warehouse)
def sums(run):
    Path(f"started-{run.attempt}").touch()
    rows = 1_000_000_000_000 if run.attempt == 1 and not Path("quick").exists() else 10
    return f"SELECT sum(a.range * b.range) AS total FROM range({rows}) a, range(1000) b"

slow = ematix.workflow("slow", jobs=[kept, sums], schedule="0 2 * * *")
"""
DAG = """
from datetime import timedelta
from airflow.sdk import DAG
from ematix_provider.operators import EmatixJobOperator, EmatixWorkflowOperator

with DAG("stopped", schedule=None) as dag:
    kept = EmatixJobOperator(task_id="kept", job="kept")
    kept >> EmatixJobOperator(task_id="it", job="sums", {arguments})
"""
WHOLE = """
from airflow.sdk import DAG
from ematix_provider.operators import EmatixWorkflowOperator

with DAG("stopped_whole", schedule=None) as dag:
    EmatixWorkflowOperator(task_id="it", workflow="slow")
"""


def once_started(place: Place, act: Callable[[], object]) -> threading.Thread:
    """Act half a second after the job's first attempt has begun."""

    def wait() -> None:
        limit = time.monotonic() + 60
        while not (place.folder / "started-1").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        time.sleep(0.5)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_airflow_s_signal_rolls_the_load_back_while_the_database_is_busy(place: Place) -> None:
    place.write(PROJECT)
    begun = time.monotonic()
    thread = once_started(place, terminate)
    run = place.run(DAG.format(arguments=""))
    thread.join()
    assert time.monotonic() - begun < 40
    assert (run.state, state(run, "it")) == ("failed", "failed")
    with place.opened() as site:
        (record,) = site.store.runs(job="sums")
    assert record.status is Status.CANCELLED
    assert place.rows("SELECT table_name FROM duckdb_tables() WHERE table_name = 'sums'") == []


def test_a_try_after_the_signal_loads_once(place: Place) -> None:
    place.write(PROJECT)

    def act() -> None:
        (place.folder / "quick").touch()
        terminate()

    thread = once_started(place, act)
    run = place.run(DAG.format(arguments="retries=1, retry_delay=timedelta(0)"))
    thread.join()
    assert run.state == "success"
    assert place.rows("SELECT count(*) FROM sums") == [(1,)]
    with place.opened() as site:
        statuses = [one.status for one in site.store.runs(job="sums")]
    assert statuses == [Status.SUCCEEDED, Status.CANCELLED]


def test_a_time_limit_of_airflow_fails_the_attempt_and_the_next_one_is_of_the_same_run(place: Place) -> None:
    place.write(PROJECT)
    run = place.run(DAG.format(arguments="retries=1, retry_delay=timedelta(0), execution_timeout=timedelta(seconds=3)"))
    assert run.state == "success"
    assert xcom(run, "it")["attempts"] == 2
    with place.opened() as site:
        (record,) = site.store.runs(job="sums")
        first = site.store.attempts(record.run_id)[0]
    assert (record.status, first.status) == (Status.SUCCEEDED, Status.FAILED)
    assert "Airflow stopped the attempt" in first.error
    assert place.rows("SELECT count(*) FROM sums") == [(1,)]


def test_flow_runs_cancel_stops_the_task_and_it_is_not_tried_again(place: Place) -> None:
    place.write(PROJECT)

    def cancel() -> None:
        with place.opened() as site:
            site.store.cancel(site.store.runs(job="sums")[0].run_id)

    thread = once_started(place, cancel)
    run = place.run(DAG.format(arguments="retries=3, retry_delay=timedelta(0)"))
    thread.join()
    assert run.state == "failed"
    with place.opened() as site:
        (record,) = site.store.runs(job="sums")
    assert (record.status, record.attempts) == (Status.CANCELLED, 1)


def test_a_whole_workflow_is_stopped_by_the_signal(place: Place) -> None:
    place.write(PROJECT)
    thread = once_started(place, terminate)
    run = place.run(WHOLE)
    thread.join()
    assert run.state == "failed"
    with place.opened() as site:
        (record,) = site.store.workflow_runs()
        statuses = {one.job: one.status for one in site.store.runs()}
    assert record.status is Status.CANCELLED
    assert statuses["sums"] is Status.CANCELLED
