"""The data interval of a DagRun as the parameters and the slice of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context


def parameters(context: Context) -> dict[str, Any]:
    """Return `slice_start` and `slice_end` in ISO 8601 (UTC), and a `partition_key` if the DagRun has one.

    An interval without a length, as the timetables of Airflow 3 have it by default, says nothing about the data: then
    there are none, and SQL that uses them says so.
    """
    run = context["dag_run"]
    found: dict[str, Any] = {}
    start, end = run.data_interval_start, run.data_interval_end
    if start is not None and end is not None and start < end:
        found |= {"slice_start": _instant(start), "slice_end": _instant(end)}
    if partition := getattr(run, "partition_key", None):  # since Airflow 3.2
        found["partition_key"] = partition
    return found


def slice_name(parameters: dict[str, Any]) -> str:
    """Return the name of the slice between these limits, `<start>/<end>`; empty without them."""
    if "slice_start" not in parameters:
        return ""
    return f"{parameters['slice_start']}/{parameters['slice_end']}"


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
