"""A stream's DAG: one task that consumes it, again and again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset
from ematix_provider.operators import EmatixStreamOperator

if TYPE_CHECKING:
    from ematix_airflow.source import Source
    from ematix_core.orchestration import CompiledStream

TASK = "consume"
SECONDS = 3600.0
"""So long a DagRun consumes: its task then says what it did, and the next one takes what the DAG file has become."""
CONTINUOUS: dict[str, Any] = {
    "schedule": "@continuous",
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    # What cannot go on fails at once, and the next DagRun follows at once.
    "max_consecutive_failed_dag_runs": 3,
}
"""The arguments of a stream's DAG: one DagRun after the other; after three failed ones Airflow pauses it."""
_RETRIES: dict[str, Any] = {
    "retries": 10,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
}


def add_consumer(stream: CompiledStream, source: Source) -> None:
    """Add the stream's task to the DAG that is open."""
    owner: dict[str, Any] = {"owner": stream.owner} if stream.owner else {}
    EmatixStreamOperator(
        task_id=TASK, stream=stream.name, seconds=SECONDS, doc_md=stream.doc,
        outlets=[Asset(uri) for uri in dict.fromkeys(target.uri for target in stream.targets)],
        **source.site, **_RETRIES, **owner,
    )  # fmt: skip
