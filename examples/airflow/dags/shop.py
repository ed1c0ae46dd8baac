"""The DAG file: a DAG for each workflow of pipelines.py."""

from ematix_airflow import to_dags

globals().update(to_dags("pipelines"))
