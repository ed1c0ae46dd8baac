"""One attempt of a job in a process of an orchestrator, which starts the next one itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.progress import Silent
from ematix_core.engine.run import run_job
from ematix_core.errors import AlreadyRunningError
from ematix_core.orchestration.carried import close_left

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ematix_core.engine.progress import Progress
    from ematix_core.engine.result import RunResult
    from ematix_core.orchestration.site import OpenSite

_LOOK_SECONDS = 1.0


def run_attempt(
    site: OpenSite,
    job: str,
    *,
    carrier: str,
    again: bool = False,
    workflow_run_id: str | None = None,
    trigger: str = "manual",
    slice: str = "",  # noqa: A002 - the field's own word
    parameters: Mapping[str, Any] | None = None,
    is_over: Callable[[str], bool] | None = None,
    cancellation: Cancellation | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Run one attempt of the job in the project's folder and return its result. Blocks.

    Attempts of one carrier and job are attempts of one run, under one load id: what an earlier one has committed is
    not loaded again. `again`: whether the orchestrator starts another one after a Transient failure; the run stays
    open for it. While another run of the job is open, or the process of an earlier attempt may still be alive, it
    waits, without a limit of its own. `is_over`: says of the carrier of another run, which waits for an attempt,
    whether the orchestrator has ended that; then the run is closed.
    Raises the attempt's EmatixError: `ematix_core.errors.is_transient` tells whether to try again. CancelledError
    when `cancellation` is pressed or `flow runs cancel` asks for it; ProjectError for an unknown job.
    """
    button, teller, told = cancellation or Cancellation(), progress or Silent(), ""
    with site.entered():
        declared = site.job(job)
        while True:
            try:
                return run_job(
                    declared, site.project, store=site.store, settings=site.settings, progress=teller, trigger=trigger,
                    workflow_run_id=workflow_run_id, slice=slice, parameters=parameters, carrier=carrier, again=again,
                    cancellation=button, redactor=site.redactor,
                )  # fmt: skip
            except AlreadyRunningError as error:
                if told != error.what:
                    told = error.what
                    teller.waiting(job, told)
                if is_over is None or not close_left(site.store, job, slice, is_over):
                    time.sleep(_LOOK_SECONDS)
                button.check()
