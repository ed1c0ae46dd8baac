"""Running several jobs in the order of their dependencies, independent ones in parallel, in this process."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ematix_core.config.settings import Settings
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.environment import now
from ematix_core.engine.order import Order
from ematix_core.engine.progress import Silent
from ematix_core.engine.result import JobOutcome, WorkflowResult
from ematix_core.engine.run import run_job
from ematix_core.engine.slots import Slots
from ematix_core.errors import CancelledError, EmatixError
from ematix_core.interruptible import wait_for
from ematix_core.model.names import joined, require_short
from ematix_core.model.workflow import Workflow
from ematix_core.store import Status, beating, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from ematix_core.engine.progress import Progress
    from ematix_core.engine.result import RunResult
    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.job import Job
    from ematix_core.store import RunStore


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
    cause: Sequence[str] = (),
    slice: str = "",  # noqa: A002 - the field's own word
    parameters: Mapping[str, Any] | None = None,
    done: Collection[str] = (),
    lock_wait: float = 60.0,
    cancellation: Cancellation | None = None,
) -> WorkflowResult:
    """Run the jobs of a workflow, or any jobs, and return what became of each.

    A job starts as soon as the jobs among these that it depends on have succeeded, at most `parallel` at a time and as
    many of a pool as the settings say; one whose upstream did not succeed is skipped. Failures do not raise. On Ctrl-C
    the running jobs are rolled back, and the status is `cancelled`. A whole workflow counts for triggers: it is refused
    while another run of it is open. `cause`: why it runs, a line each, for people. `done`: names of jobs that have
    succeeded already and are not run. The other parameters: see `run_job`.
    """
    settings = settings or Settings.load()
    work = work if isinstance(work, Workflow) else tuple(work)
    require_short(trigger=trigger, slice=slice)
    names = [] if isinstance(work, Workflow) else [job.name for job in work]
    name = work.name if isinstance(work, Workflow) else joined(names)
    started = time.monotonic()
    with ExitStack() as stack:
        if store is None:
            store = stack.enter_context(open_store(settings.store))
        record = store.begin_workflow(
            name, trigger=trigger, unit=isinstance(work, Workflow), slice=slice, parameters=parameters, cause=cause,
            jobs=names,
        )  # fmt: skip
        button = cancellation or Cancellation()
        stack.enter_context(beating(store, record.workflow_run_id, cancelled=button.cancel))
        options: dict[str, Any] = {
            "project": project, "store": store, "settings": settings, "progress": progress or Silent(),
            "clock": clock, "trigger": trigger, "workflow_run_id": record.workflow_run_id, "slice": slice,
            "parameters": parameters, "lock_wait": lock_wait,
        }  # fmt: skip
        dag = _Dag(work, store, options, slots=Slots(parallel, settings.pools), button=button, done=done)
        outcomes, status = dag.run()
        store.finish_workflow(record.workflow_run_id, status, error=dag.error)
    seconds = time.monotonic() - started
    return WorkflowResult(name, record.workflow_run_id, status.value, tuple(outcomes), seconds)


class _Dag:
    """The jobs of one workflow run: what waits, what runs, what became of the rest."""

    def __init__(
        self,
        work: Workflow | tuple[Job, ...],
        store: RunStore,
        options: dict[str, Any],
        *,
        slots: Slots[Job],
        button: Cancellation,
        done: Collection[str],
    ) -> None:
        jobs, self._pool = (work.jobs, work.pool) if isinstance(work, Workflow) else (work, "")
        self._jobs = {job.name: job for job in jobs}
        self._order = Order({job.name: job.depends_on for job in jobs}, done)
        self._slots = slots
        self._offered: set[str] = set()
        self._store = store
        self._options = options
        self._running: dict[Future[RunResult], tuple[Job, str]] = {}
        self._button = button
        self._outcomes = {name: JobOutcome(name, "succeeded", error="in an earlier run") for name in self._order.ended}
        self.error = ""
        """The first job that did not succeed, and why; empty when all did."""

    def run(self) -> tuple[list[JobOutcome], Status]:
        """Run all jobs; return their outcomes in the jobs' order, and what the whole came to."""
        with ThreadPoolExecutor(self._slots.total, thread_name_prefix="ematix-job") as threads:
            try:
                self._start_ready(threads)
                while self._running:
                    self._collect(wait_for(self._running, FIRST_COMPLETED))
                    self._start_ready(threads)
            except KeyboardInterrupt:
                self._stop()
        for name in self._order.waiting:  # only after a stop
            self._order.end(name, Status.CANCELLED)
            self._outcomes.setdefault(name, JobOutcome(name, "cancelled", error="not started"))
        return [self._outcomes[name] for name in self._jobs], self._order.status

    def _start_ready(self, threads: ThreadPoolExecutor) -> None:
        if self._button.reason is not None:
            return
        for name in self._order.ready():
            if name not in self._offered:
                self._offered.add(name)
                job = self._jobs[name]
                self._slots.offer(job, pool=job.pool or self._pool, priority=job.priority)
        while (taken := self._slots.take()) is not None:
            job, _ = taken
            self._order.start(job.name)
            button = Cancellation()
            self._button.on_cancel(button.cancel)
            self._running[threads.submit(run_job, job, cancellation=button, **self._options)] = taken

    def _collect(self, done: Iterable[Future[RunResult]]) -> None:
        for future in done:
            job, pool = self._running.pop(future)
            self._slots.release(pool)
            error = future.exception()
            if error is None:
                self._end(JobOutcome(job.name, "succeeded", future.result()))
                continue
            status = "cancelled" if isinstance(error, CancelledError) else "failed"
            self._end(JobOutcome(job.name, status, error=str(error)))
            if not isinstance(error, EmatixError):
                raise error
            self._options["progress"].failed(job.name, error, retry_in=None)

    def _end(self, outcome: JobOutcome) -> None:
        self._outcomes[outcome.job] = outcome
        if outcome.status != "succeeded" and not self.error:
            self.error = f"job {outcome.job}: {outcome.error}"
        for job, reason in self._order.end(outcome.job, Status(outcome.status)):
            if self._button.reason is not None:  # the whole is stopped: it is nothing that a job's failure did
                self._outcomes[job] = JobOutcome(job, "cancelled", error="not started")
                continue
            self._store.skip(job, reason, workflow_run_id=self._options["workflow_run_id"])
            self._options["progress"].skipped(job, reason)
            self._outcomes[job] = JobOutcome(job, "skipped", error=reason)

    def _stop(self) -> None:
        """Stop the running jobs, and wait until they are rolled back."""
        self._button.cancel()
        self._collect(wait_for(self._running))
