"""The gate, the jobs and the end of a workflow, put together by hand; and a whole workflow in one task."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ematix_core.store import EventKind, Status
from tests.providers.place import state, xcom

if TYPE_CHECKING:
    import pytest

    from tests.providers.place import Place

PROJECT = """
from pathlib import Path

import pyarrow as pa
import ematix_core as ematix

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

@ematix.job(target="orders", target_connection=warehouse)
def orders(run):
    return pa.table({"id": [1, 2], "region": [run.parameters.get("region", "")] * 2})

@ematix.job(target="daily", target_connection=warehouse, mode="truncate", depends_on=[orders])
def daily():
    if not Path("ready").exists():
        raise ValueError("not ready")
    return "SELECT count(*) AS orders FROM orders"

@ematix.job(target="weekly", target_connection=warehouse, mode="truncate", depends_on=[daily])
def weekly():
    return "SELECT sum(orders) AS orders FROM daily"

nightly = ematix.workflow("nightly", jobs=[orders, daily, weekly], schedule="0 2 * * *")
"""
DAG = """
from airflow.sdk import DAG, Asset, task
from ematix_provider.operators import EmatixCloseOperator, EmatixGateOperator, EmatixJobOperator

done = Asset("ematix://workflow/nightly")
with DAG("nightly", schedule=None) as dag:
    gate = EmatixGateOperator(task_id="gate", workflow="nightly")
    jobs = {name: EmatixJobOperator(task_id=f"run_{name}", job=name, gate_task_id="gate")
            for name in ("orders", "daily", "weekly")}
    tasks = {name: task.task_id for name, task in jobs.items()}
    end = EmatixCloseOperator(task_id="end", workflow="nightly", gate_task_id="gate", tasks=tasks, outlets=[done])
    gate >> jobs["orders"] >> jobs["daily"] >> jobs["weekly"] >> end.as_teardown(setups=gate)

    @task(inlets=[done])
    def told(*, inlet_events=None):
        return [dict(event.extra) for event in inlet_events[done]]

    end >> told()
"""
TOLD = DAG.replace("EmatixGateOperator(", "Gate(").replace(
    "\n\ndone",
    """
import pathlib

class Gate(EmatixGateOperator):
    def defer(self, **options):
        pathlib.Path("FOLDER", "deferred").touch()
        super().defer(**options)

done""",
    1,
)
WHOLE = """
from datetime import timedelta
from airflow.sdk import DAG
from ematix_provider.operators import EmatixWorkflowOperator

with DAG("whole", schedule=None) as dag:
    EmatixWorkflowOperator(task_id="it", workflow="nightly", retries={retries}, retry_delay=timedelta(0))
"""


def test_a_workflow_runs_as_one_run_of_the_store_and_its_success_is_announced(place: Place) -> None:
    place.write(PROJECT)
    (place.folder / "ready").touch()
    run = place.run(DAG, run_conf={"region": "north"})
    assert run.state == "success"
    with place.opened() as site:
        (record,) = site.store.workflow_runs()
        jobs = {one.job: one.status for one in site.store.runs(workflow_run_id=record.workflow_run_id)}
        kinds = [event.kind for event in site.store.events(names=["nightly"])]
    assert (record.status, record.trigger, record.parameters) == (Status.SUCCEEDED, "manual", {"region": "north"})
    assert record.cause == (f"Airflow's {run.run_id}",)
    assert jobs == dict.fromkeys(("orders", "daily", "weekly"), Status.SUCCEEDED)
    assert kinds == [EventKind.SEEN, EventKind.STARTED, EventKind.SUCCEEDED]
    assert place.rows("SELECT DISTINCT region FROM orders") == [("north",)]
    assert place.rows("SELECT * FROM weekly") == [(2,)]
    assert xcom(run, "told") == [xcom(run, "end")]
    assert xcom(run, "end") == {"workflow_run_id": record.workflow_run_id, "status": "succeeded"}


def test_a_failed_job_ends_the_run_as_failed_and_announces_nothing(place: Place) -> None:
    place.write(PROJECT)
    run = place.run(DAG)
    assert run.state == "failed"
    states = {task: state(run, task) for task in ("gate", "run_orders", "run_daily", "run_weekly", "end")}
    assert states == {
        "gate": "success", "run_orders": "success", "run_daily": "failed", "run_weekly": "upstream_failed",
        "end": "skipped",
    }  # fmt: skip
    with place.opened() as site:
        (record,) = site.store.workflow_runs()
        jobs = {one.job: one.status for one in site.store.runs(workflow_run_id=record.workflow_run_id)}
    assert record.status is Status.FAILED
    assert "raised ValueError: not ready (job daily" in record.error
    assert jobs == {"orders": Status.SUCCEEDED, "daily": Status.FAILED, "weekly": Status.SKIPPED}


def test_the_gate_waits_deferred_while_another_run_of_the_workflow_is_open(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.write(PROJECT)
    (place.folder / "ready").touch()
    with place.opened() as site:
        other = site.store.begin_workflow("nightly", unit=True)

        def end() -> None:
            while not (place.folder / "deferred").exists():
                time.sleep(0.1)
            site.store.finish_workflow(other.workflow_run_id, Status.SUCCEEDED)

        thread = threading.Thread(target=end)
        thread.start()
        run = place.run(TOLD.replace("FOLDER", str(place.folder)))
        thread.join()
        runs = site.store.workflow_runs()
    assert run.state == "success"
    assert [one.status for one in runs] == [Status.SUCCEEDED, Status.SUCCEEDED]
    told = "".join(capfd.readouterr())
    assert f"waits: run {other.workflow_run_id} of nightly is open" in told
    assert "the run that was waited for has ended: succeeded" in told


def test_an_unknown_workflow_is_named_with_the_near_one(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.write(PROJECT)
    assert place.run(DAG.replace('workflow="nightly"', 'workflow="nighty"')).state == "failed"
    assert "unknown workflow 'nighty'" in (told := "".join(capfd.readouterr()))
    assert "Did you mean 'nightly'?" in told


def test_a_whole_workflow_in_one_task_says_what_became_of_each_job(place: Place) -> None:
    place.write(PROJECT)
    (place.folder / "ready").touch()
    run = place.run(WHOLE.format(retries=0))
    assert run.state == "success"
    told = xcom(run, "it")
    assert {job: facts["inserted"] for job, facts in told["jobs"].items()} == {"orders": 2, "daily": 1, "weekly": 1}
    with place.opened() as site:
        (record,) = site.store.workflow_runs()
    assert (record.workflow_run_id, record.trigger) == (told["workflow_run_id"], "airflow")


def test_a_further_try_of_a_whole_workflow_runs_only_what_is_left(place: Place) -> None:
    place.write(PROJECT.replace("raise ValueError", 'Path("ready").touch(); raise ValueError'))
    run = place.run(WHOLE.format(retries=1))
    assert run.state == "success"
    assert place.rows("SELECT count(*) FROM orders") == [(2,)]
    with place.opened() as site:
        second, first = site.store.workflow_runs()
    assert (first.status, second.status) == (Status.FAILED, Status.SUCCEEDED)
    assert second.trigger == f"restart of {first.workflow_run_id}"
