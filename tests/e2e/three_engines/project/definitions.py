"""What Dagster loads."""

from __future__ import annotations

from dagster import DailyPartitionsDefinition
from ematix_dagster import to_definitions

days = DailyPartitionsDefinition("2026-03-27", timezone="Europe/Berlin")
defs = to_definitions("pipelines.py", partitions={"daily": days}, interval=1)
