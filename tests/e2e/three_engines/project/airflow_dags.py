"""What Airflow finds in the folder."""

from __future__ import annotations

from ematix_airflow import to_dags

globals().update(to_dags("pipelines.py"))
