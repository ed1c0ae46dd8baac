"""A whole workflow in one process of an orchestrator, which starts it again when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.engine import run_workflow
from ematix_core.engine.progress import Silent
from ematix_core.scheduler.restart import done_in, restart_of
from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.engine.cancel import Cancellation
    from ematix_core.engine.progress import Progress
    from ematix_core.engine.result import WorkflowResult
    from ematix_core.orchestration.site import OpenSite
    from ematix_core.store import RunStore, WorkflowRun

_LATEST = 100
"""A further try comes soon after the one before."""


def run_whole(
    site: OpenSite,
    workflow: str,
    *,
    carrier: str,
    trigger: str = "manual",
    slice: str = "",  # noqa: A002 - the field's own word
    parameters: Mapping[str, Any] | None = None,
    cancellation: Cancellation | None = None,
    progress: Progress | None = None,
) -> WorkflowResult:
    """Run the workflow's jobs in the project's folder, in their order, and return what became of each.

    A further run for the same `carrier` does what the one before left undone, unless that has succeeded. Jobs make
    their own retries. Blocks. Failures of jobs do not raise. Raises ProjectError for an unknown workflow,
    AlreadyRunningError while another run of it is open.
    """
    with site.entered():
        before = _before(site.store, workflow, carrier)
        again = before is not None and before.status is not Status.SUCCEEDED
        return run_workflow(
            site.project.workflow(workflow), site.project, store=site.store, settings=site.settings,
            trigger=restart_of(before.workflow_run_id) if before and again else trigger,
            done=done_in(site.store, before) if before and again else (), cause=[f"asked by {carrier}"], slice=slice,
            parameters=parameters, cancellation=cancellation, progress=progress or Silent(),
        )  # fmt: skip


def _before(store: RunStore, workflow: str, carrier: str) -> WorkflowRun | None:
    runs = store.workflow_runs(workflow=workflow, limit=_LATEST)
    return next((run for run in runs if f"asked by {carrier}" in run.cause), None)
