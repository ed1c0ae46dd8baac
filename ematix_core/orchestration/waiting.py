"""Waiting for a run to end, by somebody who looks at the store now and then."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.errors import UnknownRunError
from ematix_core.store import Status, WorkflowRun

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ematix_core.store import Run, RunStore

_OVER = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.SKIPPED})
_LATEST = 20


@dataclass(frozen=True)
class RunEnd:
    """How a run has ended: `status` is `succeeded`, `failed`, `cancelled`, `skipped`, `interrupted`, or `unknown`.

    `unknown`: there is no such run, or none any more.
    """

    run_id: str
    status: str
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class RunWatch:
    """What is waited for: the end of one run, or a success of a workflow or job that has ended at or after `since`."""

    run_id: str = ""
    workflow: str = ""
    job: str = ""
    since: datetime | None = None

    def look(self, store: RunStore) -> RunEnd | None:
        """Return the end; None while there is something to wait for. Raises StoreError."""
        return _of_run(store, self.run_id) if self.run_id else self._success(store)

    def __str__(self) -> str:
        """Return it in words, such as `a success of workflow nightly since 2026-01-31 02:00 UTC`."""
        if self.run_id:
            return f"the end of run {self.run_id}"
        name = f"workflow {self.workflow}" if self.workflow else f"job {self.job}"
        return f"a success of {name}" + (f" since {self.since:%Y-%m-%d %H:%M %Z}" if self.since else "")

    def _success(self, store: RunStore) -> RunEnd | None:
        runs: Sequence[Run | WorkflowRun] = (
            store.workflow_runs(workflow=self.workflow, status=Status.SUCCEEDED, limit=_LATEST)
            if self.workflow
            else store.runs(job=self.job, status=Status.SUCCEEDED, limit=_LATEST)
        )
        for run in runs:  # a slice of a backfill is no success of the whole
            if not run.slice and run.finished_at and (self.since is None or run.finished_at >= self.since):
                return RunEnd(_id(run), str(run.status))
        return None


def _of_run(store: RunStore, run_id: str) -> RunEnd | None:
    run = _found(store, run_id)
    if run is None:
        return RunEnd(run_id, "unknown", f"there is no run {run_id!r}")
    # A scheduler carries on what the one before it has left; what others leave behind, nobody ends.
    left = run.status is Status.INTERRUPTED and (run.finished_at is not None or run.token is None)
    return RunEnd(run_id, str(run.status), run.error) if left or run.status in _OVER else None


def _found(store: RunStore, run_id: str) -> Run | WorkflowRun | None:
    with suppress(UnknownRunError):
        return store.workflow_run(run_id)
    with suppress(UnknownRunError):
        return store.run(run_id)
    return None


def _id(run: Run | WorkflowRun) -> str:
    return run.workflow_run_id if isinstance(run, WorkflowRun) else run.run_id
