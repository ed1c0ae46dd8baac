"""Running several jobs in the order of their dependencies, independent ones in parallel, in this process."""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ematix_core.config.settings import Settings
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.environment import now
from ematix_core.engine.progress import Silent
from ematix_core.engine.result import JobOutcome, WorkflowResult
from ematix_core.engine.run import run_job
from ematix_core.errors import CancelledError, EmatixError
from ematix_core.model.workflow import Workflow
from ematix_core.store import Status, beating, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from ematix_core.engine.progress import Progress
    from ematix_core.engine.result import RunResult
    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.job import Job
    from ematix_core.store import RunStore

_log = logging.getLogger(__name__)


def run_workflow(
    work: Workflow | Iterable[Job],
    project: ConnectionLookup | None = None,
    *,
    store: RunStore | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    clock: Callable[[], datetime] = now,
    parallel: int = 4,
    trigger: str = "manual",
    lock_wait: float = 60.0,
) -> WorkflowResult:
    """Run the jobs of a workflow, or any jobs, and return what became of each.

    A job starts as soon as the jobs among these that it depends on have succeeded, at most `parallel` at a time; one
    whose upstream did not succeed is skipped. Failures do not raise. On Ctrl-C the running jobs are rolled back, and
    the status is `cancelled`. The other parameters: see `run_job`.
    """
    settings = settings or Settings.load()
    jobs = work.jobs if isinstance(work, Workflow) else tuple(work)
    name = work.name if isinstance(work, Workflow) else ", ".join(job.name for job in jobs)
    started = time.monotonic()
    with ExitStack() as stack:
        if store is None:
            store = stack.enter_context(open_store(settings.store))
        record = store.begin_workflow(name, trigger=trigger)
        stack.enter_context(beating(store, record.workflow_run_id))
        options: dict[str, Any] = {
            "project": project, "store": store, "settings": settings, "progress": progress or Silent(),
            "clock": clock, "trigger": trigger, "workflow_run_id": record.workflow_run_id, "lock_wait": lock_wait,
        }  # fmt: skip
        dag = _Dag(jobs, parallel, store, options)
        outcomes = dag.run()
        status = _status(outcomes)
        store.finish_workflow(record.workflow_run_id, Status(status))
    seconds = time.monotonic() - started
    return WorkflowResult(name, record.workflow_run_id, status, tuple(outcomes), seconds)


def _status(outcomes: Iterable[JobOutcome]) -> str:
    states = {outcome.status for outcome in outcomes}
    if "cancelled" in states:
        return "cancelled"
    return "succeeded" if states <= {"succeeded"} else "failed"


class _Dag:
    """The jobs of one workflow run: what waits, what runs, what became of the rest."""

    def __init__(self, jobs: tuple[Job, ...], parallel: int, store: RunStore, options: dict[str, Any]) -> None:
        names = {job.name for job in jobs}
        self._jobs = jobs
        self._upstream = {job.name: {name for name in job.depends_on if name in names} for job in jobs}
        self._waiting = {job.name: job for job in jobs}
        self._parallel = parallel
        self._store = store
        self._options = options
        self._running: dict[Future[RunResult], Job] = {}
        self._buttons: dict[str, Cancellation] = {}
        self._outcomes: dict[str, JobOutcome] = {}

    def run(self) -> list[JobOutcome]:
        """Run all jobs and return their outcomes in the jobs' order."""
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="ematix-job") as pool:
            try:
                self._start_ready(pool)
                while self._running:
                    done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                    self._collect(done)
                    self._start_ready(pool)
            except KeyboardInterrupt:
                self._cancel()
        unknown = JobOutcome("", "cancelled", error="stopped before its outcome was known")
        return [self._outcomes.get(job.name) or replace(unknown, job=job.name) for job in self._jobs]

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        self._skip()
        succeeded = {name for name, outcome in self._outcomes.items() if outcome.status == "succeeded"}
        ready = [job for job in self._waiting.values() if self._upstream[job.name] <= succeeded]
        for job in sorted(ready, key=lambda job: -job.priority):
            del self._waiting[job.name]
            button = self._buttons[job.name] = Cancellation()
            self._running[pool.submit(run_job, job, cancellation=button, **self._options)] = job

    def _skip(self) -> None:
        """Skip what can no longer run, until nothing more follows from it."""
        while True:
            lost = [
                (job, name)
                for job in self._waiting.values()
                for name in sorted(self._upstream[job.name])
                if name in self._outcomes and self._outcomes[name].status != "succeeded"
            ]
            if not lost:
                return
            job, upstream = lost[0]
            reason = f"upstream {upstream} {self._outcomes[upstream].status}"
            del self._waiting[job.name]
            self._store.skip(job.name, reason, workflow_run_id=self._options["workflow_run_id"])
            self._options["progress"].skipped(job.name, reason)
            self._outcomes[job.name] = JobOutcome(job.name, "skipped", error=reason)

    def _collect(self, done: Iterable[Future[RunResult]]) -> None:
        for future in done:
            job = self._running.pop(future)
            error = future.exception()
            if error is None:
                self._outcomes[job.name] = JobOutcome(job.name, "succeeded", future.result())
                continue
            status = "cancelled" if isinstance(error, CancelledError) else "failed"
            self._outcomes[job.name] = JobOutcome(job.name, status, error=str(error))
            if isinstance(error, EmatixError):
                self._options["progress"].failed(job.name, error, retry_in=None)
            else:
                raise error

    def _cancel(self) -> None:
        """Stop the running jobs, wait until they are rolled back, and give up the waiting ones."""
        for button in self._buttons.values():
            button.cancel()
        done, _ = wait(self._running)
        self._collect(done)
        for job in self._waiting.values():
            self._outcomes[job.name] = JobOutcome(job.name, "cancelled", error="not started")
        self._waiting.clear()
