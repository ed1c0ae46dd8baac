"""Airflow's plugin of ematix: each of Airflow's processes learns of the timetable by it."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from ematix_airflow.timetable import EmatixTimetable


class EmatixPlugin(AirflowPlugin):
    """What Airflow finds by the entry point `airflow.plugins` of the distribution."""

    name = "ematix"
    timetables = [EmatixTimetable]  # noqa: RUF012 - Airflow's own class has it as a plain list
