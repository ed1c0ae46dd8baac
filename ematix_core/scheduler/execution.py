"""Workflow runs that are under way: their jobs start in order as there is room, and their ends are recorded."""

from __future__ import annotations

import heapq
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ematix_core.engine.order import Order
from ematix_core.errors import AlreadyRunningError, EmatixError, StoreError
from ematix_core.scheduler.protocols import Ending, Task
from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ematix_core.engine.slots import Slots
    from ematix_core.model.unit import Unit, UnitJob
    from ematix_core.scheduler.protocols import Executor, Running
    from ematix_core.store import Run, SchedulerStore, WorkflowRun

_log = logging.getLogger(__name__)

MAX_LOSSES = 3
"""So many times a job whose process was lost is started again; a process may be killed for no fault of the job."""
_LOSS_DELAY = 1.0
_ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.SKIPPED})

JobKey = tuple[str, str]
"""A job of a workflow run: the run's id and the job's name."""


@dataclass
class OpenRun:
    """One workflow run that this scheduler carries out."""

    record: WorkflowRun
    unit: Unit
    order: Order
    tasks: dict[str, Running] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)
    losses: dict[str, int] = field(default_factory=dict)
    lost: list[tuple[str, str]] = field(default_factory=list)
    """Jobs that are skipped, each with the reason, and not yet recorded."""
    stopped: set[str] = field(default_factory=set)
    """Jobs that somebody asked to be stopped, one by one."""
    cancelled: bool = False
    error: str = ""

    @property
    def id(self) -> str:
        """The workflow run's id."""
        return self.record.workflow_run_id

    def job(self, name: str) -> UnitJob:
        """Return the unit's job of that name."""
        return next(job for job in self.unit.jobs if job.name == name)


class Executions:
    """All open workflow runs of this scheduler. For one thread; `tell_end` hands endings over to it from any other."""

    def __init__(
        self,
        store: SchedulerStore,
        executor: Executor,
        slots: Slots[JobKey],
        *,
        task_options: Mapping[str, Any],
        tell_end: Callable[[JobKey, Ending], None],
        finished: Callable[[OpenRun, Status], None],
    ) -> None:
        self._store = store
        self._executor = executor
        self._slots = slots
        self._task_options = task_options
        self._tell_end = tell_end
        self._finished = finished
        self._runs: dict[str, OpenRun] = {}
        self._later: list[tuple[float, JobKey]] = []
        self._unsettled: set[str] = set()
        self.token: int | None = None
        """The fencing token under which everything is written."""
        self.draining = False
        """Whether nothing more is started."""

    @property
    def open(self) -> tuple[OpenRun, ...]:
        """The runs that are under way."""
        return tuple(self._runs.values())

    @property
    def busy(self) -> int:
        """How many jobs run at this moment."""
        return sum(len(run.tasks) for run in self._runs.values())

    def next_moment(self) -> float | None:
        """Return the seconds until a job has to be started again."""
        return max(0.0, self._later[0][0] - time.monotonic()) if self._later else None

    def add(self, record: WorkflowRun, unit: Unit) -> None:
        """Carry out a run from its beginning. Raises StoreError."""
        run = OpenRun(record, unit, Order({job.name: job.depends_on for job in unit.jobs}))
        self._runs[run.id] = run
        self._offer_ready(run)

    def adopt(self, record: WorkflowRun, unit: Unit) -> None:
        """Carry on a run that another scheduler began: what ended stays, what was open starts again."""
        run = OpenRun(record, unit, Order({job.name: job.depends_on for job in unit.jobs}))
        self._runs[run.id] = run
        latest: dict[str, Run] = {}
        for one in self._store.runs(workflow_run_id=run.id, limit=None):
            latest.setdefault(one.job, one)
        for name in list(run.order.waiting):
            if name in latest and latest[name].status in _ENDED and name in run.order.waiting:
                self._note_end(run, name, latest[name].status, latest[name].error)
        run.cancelled = record.cancel_requested
        self._offer_ready(run)
        self.settle()

    def dispatch(self) -> None:
        """Start whatever has room."""
        while self._later and self._later[0][0] <= time.monotonic():
            run_id, job = heapq.heappop(self._later)[1]
            if run_id in self._runs:
                self._offer(self._runs[run_id], job)
        while not self.draining and (taken := self._slots.take()) is not None:
            (run_id, job), pool = taken
            run = self._runs.get(run_id)
            if run is None or run.cancelled:
                self._slots.release(pool)
            else:
                self._start(run, job, pool)

    def end(self, key: JobKey, ending: Ending) -> None:
        """Take note of a task's end. Raises StoreError; it is then called again with the same, or `settle` is."""
        run = self._runs.get(key[0])
        job = key[1]
        if run is None or job not in run.tasks:
            return
        status, error = ending.status, ending.reason
        if status is None:
            status, error = self._outcome_of_lost(run, job, ending.reason)
        del run.tasks[job]
        self._slots.release(run.pools.pop(job))
        if status is None:
            self._again(run, job, error)
            return
        self._note_end(run, job, status, error)
        self._offer_ready(run)
        self.settle()

    def settle(self) -> None:
        """Record what is not recorded yet of what became of runs. Raises StoreError; called again after one."""
        for run_id in list(self._unsettled):
            if (run := self._runs.get(run_id)) is not None:
                while run.lost:
                    job, reason = run.lost[-1]
                    self._store.skip(job, reason, workflow_run_id=run.id, trigger=run.record.trigger)
                    run.lost.pop()
                self._close_if_finished(run)
            self._unsettled.discard(run_id)

    def cancel_job(self, run_id: str, job: str) -> None:
        """Stop a single job of a workflow run."""
        if (run := self._runs.get(run_id)) is not None and job in run.tasks:
            run.stopped.add(job)
            run.tasks[job].cancel()

    def cancel(self, run_id: str) -> bool:
        """Stop a workflow run; return whether it is one of these."""
        run = self._runs.get(run_id)
        if run is None:
            return False
        run.cancelled = True
        for task in run.tasks.values():
            task.cancel()
        self._unsettled.add(run.id)
        return True

    def forget(self) -> None:
        """Drop everything without a word to the store: another scheduler has taken over."""
        for run in self._runs.values():
            for job, task in run.tasks.items():
                task.kill()
                self._slots.release(run.pools[job])
        self._runs.clear()
        self._later.clear()
        self._unsettled.clear()

    def beat(self) -> None:
        """Say that the open runs are alive."""
        for run in self.open:
            if self._store.heartbeat(run.id) and not run.cancelled:
                self.cancel(run.id)

    def _offer_ready(self, run: OpenRun) -> None:
        if run.cancelled:
            return
        for name in run.order.ready():
            run.order.start(name)
            self._offer(run, name)

    def _offer(self, run: OpenRun, name: str) -> None:
        job = run.job(name)
        self._slots.offer((run.id, name), pool=job.pool or run.unit.pool, priority=job.priority + run.unit.priority)

    def _start(self, run: OpenRun, name: str, pool: str) -> None:
        key = (run.id, name)
        task = Task(
            job=name, workflow_run_id=run.id, trigger=run.record.trigger, slice=run.record.slice,
            parameters=run.record.parameters, token=self.token, timeout=run.job(name).limit, **self._task_options,
        )  # fmt: skip
        run.pools[name] = pool
        try:
            run.tasks[name] = self._executor.start(task, lambda ending: self._tell_end(key, ending))
        except EmatixError as error:
            run.tasks[name] = _NotStarted()
            self._tell_end(key, Ending(None, f"it could not be started: {error}"))

    def _outcome_of_lost(self, run: OpenRun, job: str, reason: str) -> tuple[Status | None, str]:
        """Return what the store knows of a task that ended without a word; no status: it has to be started again."""
        records = [one for one in self._store.runs(workflow_run_id=run.id, job=job, limit=1) if one.status in _ENDED]
        if records:
            return records[0].status, records[0].error
        if run.cancelled or job in run.stopped:
            self._close_lost(run, job, Status.CANCELLED, reason)
            return Status.CANCELLED, reason
        if self._runs_elsewhere(run, job):
            return None, reason
        run.losses[job] = run.losses.get(job, 0) + 1
        if run.losses[job] <= MAX_LOSSES:
            return None, reason
        error = f"its process was lost {run.losses[job]} times, and it is not started again: {reason}"
        self._close_lost(run, job, Status.FAILED, error)
        return Status.FAILED, error

    def _runs_elsewhere(self, run: OpenRun, job: str) -> bool:
        """Whether somebody else runs the job at this moment, by hand: then it waits for that to end."""
        found = self._store.runs(job=job, status=Status.RUNNING, limit=None)
        return any(one.workflow_run_id != run.id and one.slice == run.record.slice for one in found)

    def _close_lost(self, run: OpenRun, job: str, status: Status, error: str) -> None:
        """Take the dead process's run over in order to record its end."""
        try:
            record = self._store.begin(
                job, workflow_run_id=run.id, trigger=run.record.trigger, slice=run.record.slice, token=self.token
            )
        except AlreadyRunningError:
            return
        self._store.finish(record.run_id, status, seconds=0.0, error=error)

    def _again(self, run: OpenRun, job: str, reason: str) -> None:
        losses = run.losses.get(job, 0)
        _log.warning("job %s of run %s was lost and is started again: %s", job, run.id, reason)
        # The first loss costs no time: a killed process says nothing about the next one.
        delay = 0.0 if losses == 1 else _LOSS_DELAY * max(losses, 1)
        heapq.heappush(self._later, (time.monotonic() + delay, (run.id, job)))

    def _note_end(self, run: OpenRun, job: str, status: Status, error: str) -> None:
        if status is not Status.SUCCEEDED and error and not run.error:
            run.error = f"job {job}: {error}"
        run.lost += reversed(run.order.end(job, status))
        self._unsettled.add(run.id)

    def _close_if_finished(self, run: OpenRun) -> None:
        if run.tasks or not (run.order.finished or run.cancelled):
            return
        status = Status.CANCELLED if run.cancelled and not run.order.finished else run.order.status
        try:
            self._store.finish_workflow(run.id, status, error="" if status is Status.SUCCEEDED else run.error)
        except StoreError as error:
            if self._store.workflow_run(run.id).status not in _ENDED:
                raise
            _log.warning("run %s was closed by somebody else: %s", run.id, error)
        self._runs.pop(run.id, None)
        self._finished(run, status)


class _NotStarted:
    """Stands for a task that could not be started, until its end is taken note of."""

    def cancel(self) -> None:
        """Do nothing."""

    def kill(self) -> None:
        """Do nothing."""
