"""What Airflow calls things of ours: ids of DAGs and tasks, URIs of assets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from ematix_core.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ematix_core.orchestration import Unit

GATE, CLOSE = "trigger", "close"
"""The ids of the first and the last task of a workflow's DAG."""

_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]")
_FOREIGN_IN_GROUPS = re.compile(r"[^A-Za-z0-9_-]")


def dag_ids(names: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Return the DAG's id for each unit: its name, with `_` for what Airflow does not allow in an id.

    Raises ProjectError for two units that would get the same one.
    """
    return _distinct({name: _FOREIGN.sub("_", prefix + name) for name in names}, "DAG")


def task_ids(jobs: Iterable[str]) -> dict[str, str]:
    """Return the task's id for each job of a workflow. A job named as the first or last task is followed by `_`.

    Raises ProjectError for two jobs that would get the same one.
    """
    found = {job: _FOREIGN_IN_GROUPS.sub("_", job) for job in jobs}
    return _distinct({job: f"{name}_" if name in {GATE, CLOSE} else name for job, name in found.items()}, "task")


def workflow_uri(name: str) -> str:
    """Return the URI of the asset that a workflow's success updates."""
    return f"ematix://workflow/{quote(name, safe='')}"


def job_uri(name: str) -> str:
    """Return the URI of the asset that a job's success updates."""
    return f"ematix://job/{quote(name, safe='')}"


def message_uri(workflow: str) -> str:
    """Return the URI of the asset that a message for the workflow updates."""
    return f"ematix://message/{quote(workflow, safe='')}"


def again_uri(unit: Unit) -> str | None:
    """Return the URI of the asset by which the end of a run wakes the unit's own DAG; None where nothing needs that.

    With `catchup="all"` each missed tick has a run, also one whose wake-up came to nothing because a run had failed.
    """
    return f"ematix://again/{quote(unit.name, safe='')}" if unit.schedule and unit.catchup == "all" else None


def _distinct(ids: dict[str, str], kind: str) -> dict[str, str]:
    owners: dict[str, str] = {}
    for name, made in ids.items():
        if made in owners:
            raise ProjectError(
                f"{owners[made]!r} and {name!r} would have the same {kind} id in Airflow, {made!r}",
                hint="Letters, digits, '_' and '-' are kept; rename one of them.",
            )
        owners[made] = name
    return ids
