"""EmatixJobOperator: attempts, facts, parameters and errors, in a real DagRun."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import ConnectError
from ematix_core.orchestration import run_attempt
from ematix_core.store import Status
from tests.providers.place import state, xcom

if TYPE_CHECKING:
    from tests.providers.place import Place

PROJECT = """
import os
from pathlib import Path

import pyarrow as pa
import ematix_core as ematix
from ematix_core.errors import ConnectError

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

@ematix.job(target="main.orders", target_connection=warehouse, mode=ematix.merge(keys=["id"]))
def orders():
    return pa.table({"id": [1, 2, 3], "v": [10, 20, 30]})

@ematix.job(target="flaky", target_connection=warehouse)
def flaky(run):
    if run.attempt < 3:
        raise ConnectError(f"attempt {run.attempt} cannot reach it")
    return pa.table({"id": [1]})

@ematix.job(target="broken", target_connection=warehouse)
def broken():
    return "SELECT nothing FROM nowhere"

@ematix.job(target="intervals", target_connection=warehouse)
def intervals():
    at = "CAST(:slice_start AS TIMESTAMPTZ) AS since, CAST(:slice_end AS TIMESTAMPTZ) AS until"
    return f"SELECT {at}, :region AS region"

@ematix.job(target="elsewhere", target_connection="lost")
def elsewhere():
    return pa.table({"id": [1]})

@ematix.job(target="kept", target_connection="cloud")
def kept():
    return pa.table({"id": [1]})
"""
DAG = """
from datetime import timedelta
from airflow.sdk import DAG, Asset
from airflow.timetables.interval import CronDataIntervalTimetable
from ematix_provider.operators import EmatixJobOperator

with DAG("{name}", schedule={schedule}) as dag:
    EmatixJobOperator(task_id="it", {arguments})
"""


def dag(arguments: str, *, name: str = "one_job", schedule: str = "None") -> str:
    return DAG.format(name=name, arguments=arguments, schedule=schedule)


def test_a_run_s_facts_are_in_xcom_and_lead_to_its_page(place: Place) -> None:
    place.write(PROJECT)
    run = place.run(dag("job='orders'"))
    assert run.state == "success"
    assert place.rows("SELECT id, v FROM orders ORDER BY id") == [(1, 10), (2, 20), (3, 30)]
    facts = xcom(run, "it")
    with place.opened() as site:
        (record,) = site.store.runs()
    counts = {name: facts[name] for name in ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")}
    assert counts == {"rows_read": 3, "inserted": 3, "updated": 0, "unchanged": 0, "deleted": 0, "closed": 0}
    assert (facts["run_id"], facts["plan_hash"], facts["attempts"]) == (record.run_id, record.plan_hash, 1)
    assert facts["seconds"] > 0
    assert facts["rows_per_second"] > 0
    assert record.trigger == "airflow"
    assert xcom(run, "it", "_link_EmatixRunLink") == f"https://flow.example.com/runs/{record.run_id}"


def test_retries_of_airflow_are_attempts_of_one_run(place: Place) -> None:
    place.write(PROJECT)
    run = place.run(dag("job='flaky', retries=3, retry_delay=timedelta(0)"))
    assert run.state == "success"
    assert xcom(run, "it")["attempts"] == 3
    with place.opened() as site:
        (record,) = site.store.runs()
        assert (record.status, record.attempts, record.inserted) == (Status.SUCCEEDED, 3, 1)
        attempts = [(one.status, one.error.splitlines()[0]) for one in site.store.attempts(record.run_id)[:2]]
    assert [status for status, _ in attempts] == [Status.FAILED, Status.FAILED]
    assert "attempt 1 cannot reach it" in attempts[0][1]


def test_a_run_fails_with_the_last_try(place: Place) -> None:
    place.write(PROJECT)
    run = place.run(dag("job='flaky', retries=1, retry_delay=timedelta(0)"))
    assert run.state == "failed"
    with place.opened() as site:
        (record,) = site.store.runs()
    assert (record.status, record.attempts) == (Status.FAILED, 2)


def test_a_run_that_waits_for_an_attempt_of_a_dag_run_that_is_gone_does_not_hinder(place: Place) -> None:
    place.write(PROJECT)
    with place.opened() as site:
        with pytest.raises(ConnectError):
            run_attempt(site, "flaky", carrier="airflow:one_job/manual__gone", again=True)
        assert [run.status for run in site.store.runs()] == [Status.RUNNING]
        run = place.run(dag("job='flaky', retries=3, retry_delay=timedelta(0)"))
        runs = site.store.runs()
    assert run.state == "success"
    assert [(one.status, one.attempts) for one in runs] == [(Status.SUCCEEDED, 3), (Status.FAILED, 1)]


def test_what_is_permanent_is_not_tried_again(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.write(PROJECT)
    assert place.run(dag("job='orders'")).state == "success"
    run = place.run(dag("job='broken', retries=5, retry_delay=timedelta(0)"))
    assert run.state == "failed"
    with place.opened() as site:
        (record,) = site.store.runs(job="broken")
    assert (record.status, record.attempts) == (Status.FAILED, 1)
    out, err = capfd.readouterr()
    assert "nowhere" in out + err
    assert "AirflowFailException" in out + err


def test_the_data_interval_and_parameters_are_bound_in_sql(place: Place) -> None:
    place.write(PROJECT)
    assert place.run(dag("job='orders'")).state == "success"
    arguments = "job='intervals', parameters={'region': 'it\\'s {{ ds }}'}"
    schedule = "CronDataIntervalTimetable('0 2 * * *', 'UTC')"
    run = place.run(dag(arguments, schedule=schedule), logical_date=datetime(2026, 3, 1, 2, tzinfo=UTC))
    assert run.state == "success"
    (since, until, region), = place.rows("SELECT * FROM intervals")  # fmt: skip
    assert (since.astimezone(UTC), until.astimezone(UTC)) == (run.data_interval_start, run.data_interval_end)
    assert (until - since).days == 1
    assert region.startswith("it's 2026-0")
    with place.opened() as site:
        assert site.store.runs()[0].slice == ""


def test_an_interval_without_length_binds_nothing_and_the_message_says_so(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.write(PROJECT)
    assert place.run(dag("job='orders'")).state == "success"
    run = place.run(dag("job='intervals', parameters={'region': 'x'}", schedule="'0 2 * * *'"))
    assert run.state == "failed"
    assert "slice_start" in "".join(capfd.readouterr())


def test_a_connection_that_is_nowhere_names_airflow_among_the_places(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.write(PROJECT)
    assert place.run(dag("job='elsewhere'")).state == "failed"
    told = "".join(capfd.readouterr())
    assert "EMATIX_CONNECTION_LOST (not set)" in told
    assert "Airflow was asked, too: it has no connection 'lost'" in told


def test_a_connection_of_airflow_without_a_backend_is_named_with_its_type(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLOUD", "snowflake://user:secret-word@account/schema")
    place.write(PROJECT)
    assert place.run(dag("job='kept'")).state == "failed"
    told = "".join(capfd.readouterr())
    assert "Airflow's connection 'cloud' is of type 'snowflake', which ematix has no backend for" in told
    assert "It can use the types postgres, postgresql, mysql, sqlite, duckdb, fs, file, aws, " in told
    assert "secret-word" not in told


def test_an_unknown_job_and_an_unknown_connection_fail_with_the_remedy(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.write(PROJECT)
    assert place.run(dag("job='order'")).state == "failed"
    assert "Did you mean 'orders'?" in "".join(capfd.readouterr())
    assert place.run(dag("job='orders', ematix_conn_id='prod'")).state == "failed"
    assert "airflow connections add prod --conn-type ematix" in "".join(capfd.readouterr())


def test_the_events_of_assets_carry_the_facts(place: Place) -> None:
    place.write(PROJECT)
    run = place.run("""
from airflow.sdk import DAG, Asset, task
from ematix_provider.operators import EmatixJobOperator

table, other = Asset("ematix://warehouse/main.orders"), Asset("s3://bucket/copy")
with DAG("assets", schedule=None) as dag:
    @task(inlets=[table, other])
    def told(*, inlet_events=None):
        return [dict(inlet_events[asset][-1].extra) for asset in (table, other)]

    EmatixJobOperator(task_id="it", job="orders", outlets=[table, other]) >> told()
""")
    assert run.state == "success"
    of_table, of_other = xcom(run, "told")
    assert of_table == of_other == xcom(run, "it")
    assert state(run, "it") == "success"
