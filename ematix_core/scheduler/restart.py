"""Starting a workflow run again: how the new run says so, and what it takes as done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.errors import StoreError
from ematix_core.store import Status

if TYPE_CHECKING:
    from ematix_core.store import RunStore, WorkflowRun

_RERUN = "rerun of "
_RESTART = "restart of "


def rerun_of(run_id: str) -> str:
    """Return the trigger of a run that does all that another one did once more."""
    return f"{_RERUN}{run_id}"


def restart_of(run_id: str) -> str:
    """Return the trigger of a run that does what another one left undone."""
    return f"{_RESTART}{run_id}"


def done_in(store: RunStore, record: WorkflowRun) -> frozenset[str]:
    """Return the names of the jobs that succeeded in a workflow run, or in the one that it is a restart of, and so on.

    They have loaded: a restart that ran them again would append their rows twice.
    """
    done: set[str] = set()
    while True:
        runs = store.runs(workflow_run_id=record.workflow_run_id, status=Status.SUCCEEDED, limit=None)
        done |= {run.job for run in runs}
        if not record.trigger.startswith(_RESTART):
            return frozenset(done)
        try:
            record = store.workflow_run(record.trigger.removeprefix(_RESTART))
        except StoreError:  # it is so old that it has been pruned
            return frozenset(done)
