"""Backfills: a run for each slice of a workflow's data, several at a time, going on where the last one stopped."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from ematix_core.engine import run_workflow
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.result import COUNTS
from ematix_core.engine.slices import END, START
from ematix_core.errors import AlreadyRunningError, CancelledError, EmatixError
from ematix_core.interruptible import wait_for
from ematix_core.model.workflow import Workflow
from ematix_core.scheduler.restart import done_in, restart_of
from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ematix_core.config.settings import Settings
    from ematix_core.engine.progress import Progress
    from ematix_core.engine.result import WorkflowResult
    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.job import Job
    from ematix_core.model.slices import Slice
    from ematix_core.store import RunStore, WorkflowRun

TRIGGER = "backfill"
JOBS_AT_ONCE = 4
"""Jobs of one slice that run at one time when no pool has a limit; as `flow run` has it."""
_NOT_STARTED = "not started"


@dataclass(frozen=True)
class Part:
    """A slice, the state of its latest run (None: it has none yet), and whether the backfill is going to run it."""

    slice: Slice
    before: Status | None
    due: bool


@dataclass(frozen=True)
class SliceOutcome:
    """What became of a slice: `succeeded`, `failed`, `cancelled`, `running` (in another process) or `skipped`.

    `result` is that of its workflow run; None when nothing was begun.
    """

    slice: Slice
    status: str
    result: WorkflowResult | None = None
    error: str = ""
    seconds: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what happened to them, over all jobs."""
        runs = [outcome.result for outcome in self.result.outcomes if outcome.result] if self.result else []
        return {name: sum(getattr(run, name) for run in runs) for name in ("rows_read", *COUNTS)}

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain data, for JSON."""
        return {
            **limits(self.slice), "status": self.status,
            "workflow_run_id": self.result.workflow_run_id if self.result else None,
            **self.counts, "seconds": round(self.seconds, 3), "error": self.error,
        }  # fmt: skip


@dataclass(frozen=True)
class BackfillResult:
    """What became of a backfill's slices, in their order; `interrupted`: whether Ctrl-C stopped it."""

    workflow: str
    slices: tuple[SliceOutcome, ...]
    interrupted: bool = False

    @property
    def left(self) -> tuple[SliceOutcome, ...]:
        """The slices that are still to be done."""
        return tuple(one for one in self.slices if one.status not in {"succeeded", "skipped"})

    def count(self, status: str) -> int:
        """Return how many slices ended so."""
        return sum(one.status == status for one in self.slices)


class Watcher(Protocol):
    """Is told how a backfill goes, from the threads that run slices; must return at once and must not raise."""

    def began(self, part: Slice) -> Progress:
        """Tell that the slice starts; return whom its jobs report to."""
        ...

    def ended(self, outcome: SliceOutcome) -> None:
        """Tell what became of a slice that was to run."""
        ...


def limits(part: Slice) -> dict[str, str | int]:
    """Return name and limits of a slice as plain data."""
    return {"slice": part.name, "start": _plain(part.start), "end": _plain(part.end)}


def survey(slices: Iterable[Slice], states: Mapping[str, Status], *, again: bool = False) -> tuple[Part, ...]:
    """Return which slices a backfill would run: all that have not succeeded; with `again` these too.

    `states`: what the store knows of the slices. One that runs in another process is left to it.
    """
    left_alone = {Status.RUNNING} if again else {Status.RUNNING, Status.SUCCEEDED}
    found = ((one, states.get(one.name)) for one in slices)
    return tuple(Part(one, state, state not in left_alone) for one, state in found)


def room(work: Workflow | Job, parallel: int, pools: Mapping[str, int]) -> tuple[int, int]:
    """Return how many slices, and how many jobs in each, run at one time, so that no pool has more than its limit."""
    of_pools = [pools[name] for name in {work.pool, *(job.pool for job in _jobs(work))} if name in pools]
    if not of_pools:
        return parallel, JOBS_AT_ONCE
    limit = min(of_pools)
    at_once = min(parallel, limit)
    return at_once, min(JOBS_AT_ONCE, limit // at_once)


def backfill(
    work: Workflow | Job,
    project: ConnectionLookup,
    parts: Sequence[Part],
    *,
    store: RunStore,
    settings: Settings,
    watcher: Watcher,
    at_once: tuple[int, int] = (1, JOBS_AT_ONCE),
    again: bool = False,
    lock_wait: float = 60.0,
) -> BackfillResult:
    """Run the parts that are due, the earliest first, and return what became of all of them.

    Each is a workflow run of its own, whose jobs' SQL is given `:slice_start` and `:slice_end`. One that failed does
    not stop the others. `at_once`: slices, and jobs in each, that run at one time (see `room`); of jobs that have
    never run, one slice goes ahead alone, since it makes the tables. Unless `again`, what succeeded in an earlier run
    of a slice is not run once more. On Ctrl-C the running slices are rolled back.
    """
    options = {"project": project, "store": store, "settings": settings, "lock_wait": lock_wait, "parallel": at_once[1]}
    ongoing = (
        {} if again else _latest_runs(store, work.name, {one.slice.name for one in parts if one.due and one.before})
    )
    return _Backfill(work, store, options, watcher, ongoing).run(parts, at_once[0])


class _Backfill:
    """One backfill under way."""

    def __init__(
        self,
        work: Workflow | Job,
        store: RunStore,
        options: Mapping[str, Any],
        watcher: Watcher,
        ongoing: Mapping[str, WorkflowRun],
    ) -> None:
        self._work = work
        self._store = store
        self._options = options
        self._watcher = watcher
        self._ongoing = ongoing
        self._lock = threading.Lock()
        self._stopped = False
        self._running: set[Cancellation] = set()

    def run(self, parts: Sequence[Part], at_once: int) -> BackfillResult:
        """Run the parts that are due; return what became of all, and whether that was stopped by Ctrl-C."""
        futures: dict[str, Future[SliceOutcome]] = {}
        interrupted = False
        with ThreadPoolExecutor(at_once, thread_name_prefix="ematix-slice") as pool:
            try:
                ahead = at_once > 1 and self._is_new()
                for part in (one.slice for one in parts if one.due):
                    future = futures[part.name] = pool.submit(self._slice, part)
                    if ahead:
                        wait_for([future])
                        ahead = future.result().status != "succeeded"
                wait_for(futures.values(), FIRST_EXCEPTION)
            except KeyboardInterrupt:
                interrupted = True
            finally:  # also after a fault of ours; when all went well, there is nothing left to stop
                self._stop()
        ended = {name: future.result() for name, future in futures.items()}
        return BackfillResult(
            self._work.name, tuple(ended.get(part.slice.name) or _untouched(part) for part in parts), interrupted
        )

    def _is_new(self) -> bool:
        """Say whether a job has never succeeded: then its table may be missing, and two runs cannot both make it."""
        return any(not self._store.runs(job=job.name, status=Status.SUCCEEDED, limit=1) for job in _jobs(self._work))

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for button in running:
            button.cancel(CancelledError("stopped by Ctrl-C and rolled back"))

    def _slice(self, part: Slice) -> SliceOutcome:
        button = Cancellation()
        with self._lock:
            if self._stopped:
                return SliceOutcome(part, "cancelled", error=_NOT_STARTED)
            self._running.add(button)
        started = time.monotonic()
        try:
            result = self._run(part, button)
            errors = "\n".join(f"job {one.job}: {one.error}" for one in result.outcomes if one.status == "failed")
            outcome = SliceOutcome(part, result.status, result, errors, time.monotonic() - started)
        except AlreadyRunningError as error:
            outcome = SliceOutcome(part, "running", error=str(error))
        except EmatixError as error:
            outcome = SliceOutcome(part, "failed", error=str(error), seconds=time.monotonic() - started)
        finally:
            with self._lock:
                self._running.discard(button)
        self._watcher.ended(outcome)
        return outcome

    def _run(self, part: Slice, button: Cancellation) -> WorkflowResult:
        before = self._ongoing.get(part.name)
        parameters = {START: _plain(part.start), END: _plain(part.end)}
        return run_workflow(
            self._work if isinstance(self._work, Workflow) else _jobs(self._work),
            trigger=restart_of(before.workflow_run_id) if before else TRIGGER,
            cause=[f"backfill of {part.name}"], slice=part.name, parameters=parameters,
            done=done_in(self._store, before) if before else (), progress=self._watcher.began(part),
            cancellation=button, **self._options,
        )  # fmt: skip


def _latest_runs(store: RunStore, workflow: str, names: set[str]) -> dict[str, WorkflowRun]:
    """Return the latest run of each of these slices, where it did not succeed."""
    found: dict[str, WorkflowRun] = {}
    if names:
        for run in store.workflow_runs(workflow=workflow, limit=None):
            if run.slice in names:
                found.setdefault(run.slice, run)
    return {name: run for name, run in found.items() if run.status is not Status.SUCCEEDED}


def _jobs(work: Workflow | Job) -> tuple[Job, ...]:
    return work.jobs if isinstance(work, Workflow) else (work,)


def _untouched(part: Part) -> SliceOutcome:
    if part.due:
        return SliceOutcome(part.slice, "cancelled", error=_NOT_STARTED)
    if part.before is Status.RUNNING:
        return SliceOutcome(part.slice, "running", error="it runs in another process")
    return SliceOutcome(part.slice, "skipped", error="done before")


def _plain(limit: datetime | int) -> str | int:
    return limit.isoformat() if isinstance(limit, datetime) else limit
