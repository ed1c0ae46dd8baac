"""What `dagster dev` loads."""

from __future__ import annotations

from ematix_dagster import StreamConfig, to_definitions

defs = to_definitions("pipelines.py", streams=StreamConfig(report_seconds=2), interval=1)
