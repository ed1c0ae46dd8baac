"""Airflow runs what ematix declares: `globals().update(to_dags("my_pipelines"))` in a DAG file.

The names are looked up when first used: each of Airflow's processes imports this for the plugin.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ematix_airflow.dags import to_dag, to_dags
    from ematix_airflow.groups import to_task_group
    from ematix_airflow.timetable import EmatixTimetable

_HOME_OF = {
    "EmatixTimetable": "ematix_airflow.timetable",
    "to_dag": "ematix_airflow.dags",
    "to_dags": "ematix_airflow.dags",
    "to_task_group": "ematix_airflow.groups",
}

__all__ = ["EmatixTimetable", "to_dag", "to_dags", "to_task_group"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ematix_airflow.version import check_airflow

    check_airflow()
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
