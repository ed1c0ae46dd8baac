"""The DAG file of the project, and two DAGs as others write them."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, task
from ematix_airflow import to_dags, to_task_group

the_drop = Asset(name="the drop", uri="s3://lake/drop")
globals().update(to_dags("shop", assets={"s3://lake/drop/": the_drop}))

with DAG("drop", schedule=None):

    @task(outlets=[the_drop])
    def drop() -> None:
        """Say that something has come."""

    drop()

with DAG("own", schedule=None, start_date=datetime(2026, 1, 1)):  # noqa: DTZ001 - as people write it
    EmptyOperator(task_id="before") >> to_task_group("stock", "shop") >> EmptyOperator(task_id="behind")
