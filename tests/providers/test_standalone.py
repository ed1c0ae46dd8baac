"""DAGs that are written by hand, under a real scheduler, triggerer and workers: waits, messages, a killed worker."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from ematix_core.orchestration import Site
from ematix_core.store import Status
from tests.adapters.airflow.standalone import standalone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.orchestration import OpenSite
    from tests.adapters.airflow.standalone import Airflow


PROJECT = """
import os
from pathlib import Path

import pyarrow as pa
import ematix_core as ematix

@ematix.connection
class drop:
    kind = "objects"
    path = "drop"

@ematix.connection
class warehouse:
    kind = "duckdb"
    path = "warehouse.duckdb"

@ematix.connection
class ledger:
    kind = "duckdb"
    path = "ledger.duckdb"

@ematix.job(target="texts", target_connection=warehouse)
def texts(run):
    return pa.table({"text": [run.parameters["message"]]})

@ematix.job(target="killed", target_connection=ledger)
def killed(run):
    Path(f"pid-{run.attempt}").write_text(str(os.getpid()))
    def rows():
        for number in range(2_000):
            yield pa.record_batch({"id": [number]})
            if run.attempt == 1:
                __import__("time").sleep(0.05)
    return rows()

imports = ematix.workflow("imports", jobs=[texts], on_message=ematix.inbox("drops", connection=drop, path="*.txt"))
"""
DAGS = """
from datetime import timedelta
from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
from airflow.sdk import DAG, Asset, AssetWatcher
from ematix_provider.operators import EmatixCloseOperator, EmatixGateOperator, EmatixJobOperator
from ematix_provider.sensors import EmatixRunSensor

PROJECT = {"modules": ["pipelines.py"], "directory": FOLDER}

with DAG("killed", schedule=None):
    EmatixJobOperator(task_id="it", job="killed", retries=2, retry_delay=timedelta(seconds=1), **PROJECT)

with DAG("waits", schedule=None):
    EmatixRunSensor(task_id="it", job="others", directory=FOLDER, poke_interval=0.5)

trigger = MessageQueueTrigger(scheme="ematix", workflow="imports", **PROJECT)
with DAG("imports", schedule=Asset("drops", watchers=[AssetWatcher("drops", trigger)]), max_active_runs=1):
    gate = EmatixGateOperator(task_id="gate", workflow="imports", **PROJECT)
    job = EmatixJobOperator(task_id="texts", job="texts", gate_task_id="gate", **PROJECT)
    end = EmatixCloseOperator(
        task_id="end", workflow="imports", gate_task_id="gate", tasks={"texts": "texts"}, **PROJECT
    )
    gate >> job >> end.as_teardown(setups=gate)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("airflow") / "dags"
    (made / "drop").mkdir(parents=True)
    (made / "pipelines.py").write_text(PROJECT)
    (made / "by_hand.py").write_text(f"FOLDER = {str(made)!r}\n{DAGS}")
    return made


@pytest.fixture(scope="module")
def airflow(folder: Path) -> Iterator[Airflow]:
    with standalone(folder.parent, folder) as running:
        running.wait(lambda: len(running.get("dags?limit=100")["dags"]) == 3, "the DAGs do not come")
        yield running


@contextmanager
def opened(folder: Path) -> Iterator[OpenSite]:
    with Site(directory=str(folder), modules=("pipelines.py",)).opened() as site:
        yield site


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_a_worker_that_is_killed_leaves_one_run_with_two_attempts_and_the_exact_rows(
    airflow: Airflow, folder: Path
) -> None:
    run = airflow.start("killed")
    airflow.wait((folder / "pid-1").exists, "the job does not begin")
    os.kill(int((folder / "pid-1").read_text()), signal.SIGKILL)
    assert airflow.ended("killed", run) == {"it": "success"}
    with opened(folder) as site:
        (record,) = site.store.runs(job="killed")
    assert (record.status, record.attempts, record.inserted) == (Status.SUCCEEDED, 2, 2_000)
    assert rows(folder / "ledger.duckdb", "SELECT count(*), count(DISTINCT id) FROM killed") == [(2_000, 2_000)]
    assert airflow.result("killed", run, "it")["run_id"] == record.run_id


def test_a_sensor_waits_in_the_triggerer(airflow: Airflow, folder: Path) -> None:
    run = airflow.start("waits")
    airflow.wait(lambda: airflow.states("waits", run) == {"it": "deferred"}, "the sensor is not deferred")
    with opened(folder) as site:
        other = site.store.begin("others")
        site.store.finish(other.run_id, Status.SUCCEEDED, seconds=1.0)
    assert airflow.ended("waits", run) == {"it": "success"}
    assert airflow.result("waits", run, "it") == other.run_id


def test_each_message_of_a_queue_has_a_run_in_order_and_is_taken_away(airflow: Airflow, folder: Path) -> None:
    for name in ("a", "b", "c"):
        (folder / "drop" / f"{name}.txt").write_text(name)
    done = folder / "drop" / "done"
    airflow.wait(lambda: len(list(done.glob("*.txt"))) == 3, "the messages are not taken")
    with opened(folder) as site:
        runs = site.store.workflow_runs(workflow="imports")
    assert [run.status for run in runs] == [Status.SUCCEEDED] * 3
    assert [run.parameters["message"] for run in reversed(runs)] == ["a", "b", "c"]
    assert rows(folder / "warehouse.duckdb", "SELECT text FROM texts ORDER BY text") == [("a",), ("b",), ("c",)]
    airflow.wait(
        lambda: [run["state"] for run in airflow.runs("imports")] == ["success"] * 3,
        "the runs of the DAG do not end as those of the workflow did",
    )
