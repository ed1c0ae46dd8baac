"""DagRuns as ematix knows them: each carries runs of ours, under a name that tells it from all others."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

_PREFIX = "airflow:"
_OVER = frozenset({"success", "failed"})


def carrier(context: Context) -> str:
    """Return the name under which ematix knows the DagRun."""
    run = context["dag_run"]
    return f"{_PREFIX}{run.dag_id}/{run.run_id}"


def is_over(context: Context, carrier: str) -> bool:
    """Say whether another DagRun has ended, or was deleted; False for what is none of this Airflow's."""
    from airflow.sdk.exceptions import AirflowRuntimeError
    from httpx import HTTPStatusError

    dag_id, _, run_id = carrier.removeprefix(_PREFIX).partition("/")
    if not carrier.startswith(_PREFIX) or not run_id:
        return False
    try:
        return str(context["ti"].get_dagrun_state(dag_id, run_id)) in _OVER
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") != HTTPStatus.NOT_FOUND:
            raise
    except HTTPStatusError as error:  # the same in the one process of `airflow dags test`
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
    return True


def woken_for(context: Context) -> datetime | None:
    """Return the tick that woke the DAG; None when none did."""
    run = context["dag_run"]
    return (run.data_interval_end or run.run_after) if run_type(context) == "scheduled" else None


def run_type(context: Context) -> str:
    """Return what brought the DagRun about: `scheduled`, `asset_triggered`, `manual`, `backfill`, ..."""
    kind = context["dag_run"].run_type
    return str(getattr(kind, "value", kind))
