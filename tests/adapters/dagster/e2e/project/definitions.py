"""What `dagster dev` loads."""

from __future__ import annotations

from dagster import DailyPartitionsDefinition
from ematix_dagster import to_definitions

defs = to_definitions("pipelines.py", partitions={"daily": DailyPartitionsDefinition("2026-01-01")}, interval=1)
