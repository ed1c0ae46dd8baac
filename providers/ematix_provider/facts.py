"""What Airflow keeps of a run of ours: a small dictionary for XCom, and for the events of assets."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import Context

    from ematix_core import RunResult
    from ematix_core.orchestration import StreamResult

STREAM_COUNTS = (
    "records", "batches", "inserted", "updated", "unchanged", "deleted", "closed", "dead", "dropped", "restarts",
)  # fmt: skip
COUNTS = ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")


def facts(result: RunResult) -> dict[str, Any]:
    """Return id, counts, seconds, rows a second, the plan's hash and the number of attempts."""
    return {
        "run_id": result.run_id,
        **{name: getattr(result, name) for name in COUNTS},
        "seconds": round(result.seconds, 3),
        "rows_per_second": round(result.rows_per_second, 1),
        "plan_hash": result.plan.hash() if result.plan else "",
        "attempts": result.attempts,
    }


def stream_facts(result: StreamResult, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a stream's consumer did: seconds at work, counts, positions by target, added to those `before`.

    Where a position is more than numbers, these are told.
    """
    found: dict[str, Any] = {"stream": result.stream, "seconds": round(before.get("seconds", 0) + result.seconds, 3)}
    for name in STREAM_COUNTS:
        found[name] = before.get(name, 0) + sum(getattr(one, name) for one in result.targets)
    known = before.get("positions", {})
    found["positions"] = {
        one.target: known.get(one.target, {}) | {part: _numbers(place) for part, place in one.positions.items()}
        for one in result.targets
    }
    return found


def attach_to_all(context: Context, outlets: Iterable[Any], known: Mapping[str, Any]) -> None:
    """Let the events of all of the task's assets carry the facts."""
    from airflow.sdk import Asset

    for outlet in outlets:
        if isinstance(outlet, Asset):
            context["outlet_events"][outlet].extra = dict(known)


def attach(context: Context, outlets: Iterable[Any], result: RunResult) -> None:
    """Let the events of the task's assets carry the facts: of its own target for an asset of a table of ours."""
    from airflow.sdk import Asset

    whole = facts(result)
    for outlet in outlets:
        if isinstance(outlet, Asset):
            context["outlet_events"][outlet].extra = whole | _of_target(outlet.uri, result)


def _of_target(uri: str, result: RunResult) -> dict[str, Any]:
    from urllib.parse import quote

    for target in result.targets:
        if uri.startswith("ematix://") and uri.endswith(f"/{quote(str(target.target), safe='')}"):
            return {name: getattr(target, name) for name in COUNTS}
    return {}


def _numbers(place: int | list[Any]) -> int | list[int]:
    return place if isinstance(place, int) else list(takewhile(lambda part: isinstance(part, int), place))
