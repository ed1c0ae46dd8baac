"""The end of a run wakes its own DAG when the workflow is due again and nothing else would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.providers.place import xcom

if TYPE_CHECKING:
    from tests.providers.place import Place

PROJECT = """
import pyarrow as pa
import ematix_core as ematix

warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")

@ematix.job(target="ticks", target_connection=warehouse)
def tick():
    return pa.table({{"n": [1]}})

hourly = ematix.workflow("hourly", jobs=[tick], schedule="0 * * * *", catchup="{catchup}")
"""
DAG = """
from airflow.sdk import DAG, Asset, task
from ematix_provider.operators import EmatixCloseOperator, EmatixGateOperator, EmatixJobOperator

AGAIN = "ematix://again/hourly"
with DAG("hourly", schedule=[Asset(AGAIN)]) as dag:
    gate = EmatixGateOperator(task_id="gate", workflow="hourly")
    job = EmatixJobOperator(task_id="tick", job="tick", gate_task_id="gate")
    end = EmatixCloseOperator(
        task_id="end", workflow="hourly", gate_task_id="gate", tasks={"tick": "tick"}, again=AGAIN,
    )
    gate >> job >> end.as_teardown(setups=gate)

    @task(inlets=[Asset(AGAIN)])
    def told(*, inlet_events=None):
        return len(inlet_events[Asset(AGAIN)])

    end >> told()
"""


@pytest.mark.parametrize(("catchup", "further"), [("all", 1), ("latest", 0)])
def test_ticks_that_were_missed_have_their_runs_one_after_the_other(place: Place, catchup: str, further: int) -> None:
    place.write(PROJECT.format(catchup=catchup))
    dag = DAG.replace("hourly", f"hourly_{catchup}").replace('workflow="hourly_' + catchup, 'workflow="hourly')
    with place.opened() as site:
        site.store.see(["hourly"], at=datetime.now(UTC) - timedelta(hours=5))
    run = place.run(dag)
    assert run.state == "success"
    assert xcom(run, "told") == further
