"""Ending a workflow run that an orchestrator carried, with what it says of the jobs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ematix_core.engine.order import Order
from ematix_core.errors import AlreadyRunningError
from ematix_core.scheduler.restart import done_in
from ematix_core.store import Status
from ematix_core.store.process import is_carried

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ematix_core.model.unit import Unit
    from ematix_core.store import Run, RunStore, SchedulerStore, WorkflowRun

_LOOK_SECONDS = 0.5
_PATIENCE = 90.0
"""Seconds that the process of a job may take to roll back before the workflow run is closed without it."""


def close(
    store: SchedulerStore, unit: Unit, workflow_run_id: str, *, carrier: str, states: Mapping[str, str]
) -> WorkflowRun:
    """End the workflow run, and return it.

    `states`: what the orchestrator says of each job by name, such as `success`. It counts only for a job that has no
    run: one that somebody has marked as successful is taken to be done. A run that was to have another attempt is
    closed as failed, one whose process is lost too; a job that could not start is recorded as skipped. Blocks while the
    process of a job is still rolling back. What has been closed already is returned as it is. Raises StoreError.
    """
    record = store.workflow_run(workflow_run_id)
    if record.status is not Status.RUNNING:
        return record
    ends = {run.job: run for run in _ended(store, record, carrier)}
    done = done_in(store, record) | {job for job, state in states.items() if state == "success" and job not in ends}
    order = Order({job.name: job.depends_on for job in unit.jobs}, done & {job.name for job in unit.jobs})
    error = ""
    while ready := order.ready():
        for job in ready:
            status, why = (ends[job].status, ends[job].error) if job in ends else _without_run(record)
            if status is not Status.SUCCEEDED and not error:
                error = f"job {job}: {why}"
            for lost, reason in order.end(job, status):
                if lost not in ends:
                    store.skip(lost, reason, workflow_run_id=record.workflow_run_id, trigger=record.trigger)
    return store.finish_workflow(workflow_run_id, order.status, error=error, carrier=carrier)


def close_left(store: RunStore, job: str, part: str, is_over: Callable[[str], bool]) -> bool:
    """Close the job's run that waits for an attempt of an orchestrator which has ended; return whether there was one.

    `part`: the slice. `is_over`: says of a carrier whether the orchestrator has ended it.
    """
    for run in store.runs(job=job, status=Status.RUNNING, limit=None):
        if run.slice == part and is_carried(run) and is_over(run.host):
            store.finish(run.run_id, Status.FAILED, seconds=0.0, error=run.error, carrier=run.host)
            return True
    return False


def _without_run(record: WorkflowRun) -> tuple[Status, str]:
    """Return what becomes of a job that never began: somebody stopped it before that."""
    status = Status.CANCELLED if record.cancel_requested else Status.FAILED
    return status, "it was not started"


def _ended(store: SchedulerStore, record: WorkflowRun, carrier: str) -> list[Run]:
    """Return the latest run of each job of the workflow run, all of them closed."""
    latest: dict[str, Run] = {}
    for run in store.runs(workflow_run_id=record.workflow_run_id, limit=None):
        latest.setdefault(run.job, run)
    return [run if run.finished_at is not None else _closed(store, run, carrier) for run in latest.values()]


def _closed(store: SchedulerStore, run: Run, carrier: str) -> Run:
    """Wait for the job's process to end the run; else take it over and end it."""
    patience = time.monotonic() + _PATIENCE
    while (run := store.run(run.run_id)).status is Status.RUNNING and not is_carried(run):
        if time.monotonic() >= patience:
            raise AlreadyRunningError(f"job {run.job} is still running: run {run.run_id} on {run.host}")
        time.sleep(_LOOK_SECONDS)
    status = Status.CANCELLED if run.cancel_requested else Status.FAILED
    if run.status is Status.RUNNING:  # it failed, and was set aside for an attempt that does not come
        return store.finish(run.run_id, status, seconds=0.0, error=run.error, carrier=carrier)
    if run.status is Status.INTERRUPTED and run.finished_at is None:
        taken = store.begin(run.job, workflow_run_id=run.workflow_run_id, trigger=run.trigger, slice=run.slice)
        return store.finish(taken.run_id, status, seconds=0.0, error="its process ended without a result")
    return run
