"""Airflow's side of the scheduler's figures: tasks that do nothing, ten one after another and forty at once."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

CHAIN = 10
WIDE = 40
START = datetime(2026, 1, 1, tzinfo=UTC)


def nothing() -> None:
    """Do nothing."""


with DAG("chain", start_date=START, schedule=None):
    tasks = [PythonOperator(task_id=f"chain{n}", python_callable=nothing) for n in range(CHAIN)]
    for earlier, later in pairwise(tasks):
        earlier >> later

with DAG("wide", start_date=START, schedule=None):
    for number in range(WIDE):
        PythonOperator(task_id=f"wide{number}", python_callable=nothing)
