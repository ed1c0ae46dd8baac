"""The scheduler: looks at what happened, starts what is due, and records how it ended; one of several at a time."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ematix_core.engine.slots import Slots
from ematix_core.errors import AlreadyRunningError, LeaseLostError, StoreError
from ematix_core.scheduler.execution import Executions
from ematix_core.scheduler.firing import begin
from ematix_core.scheduler.leadership import Leadership
from ematix_core.scheduler.mailbox import Mailbox
from ematix_core.scheduler.takeover import claim_unheard, take_over
from ematix_core.scheduler.triggers import Triggers
from ematix_core.store import ABSENCE, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from ematix_core.model.unit import Unit
    from ematix_core.scheduler.execution import JobKey, OpenRun
    from ematix_core.scheduler.observer import Observer
    from ematix_core.scheduler.protocols import Ending, Executor
    from ematix_core.scheduler.triggers import Decision
    from ematix_core.store import Lease, SchedulerStore

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 10.0
_STORE_PAUSE = 1.0
"""Seconds between two tries of a store that cannot be reached."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a scheduler works.

    `absence_seconds`: the next one may come so long after this one without that being a downtime. `poll_seconds`: how
    often it looks for what other processes wrote.
    """

    holder: str
    parallel: int = 8
    pools: Mapping[str, int] = field(default_factory=dict)
    lease_seconds: float = 10.0
    absence_seconds: float = ABSENCE
    poll_seconds: float = 0.075
    task_options: Mapping[str, Any] = field(default_factory=dict)
    """What every Task is given: modules, directory, store, lock_wait."""


class Scheduler:
    """One scheduler. `run` blocks; `stop` may be called from any thread and from signal handlers."""

    def __init__(
        self,
        store: SchedulerStore,
        executor: Executor,
        units: Iterable[Unit],
        options: Options,
        *,
        clock: Callable[[], datetime],
        observers: Iterable[Observer] = (),
    ) -> None:
        self._store = store
        self._executor = executor
        self._units = {unit.name: unit for unit in units}
        self._options = options
        self._clock = clock
        self._observers = tuple(observers)
        self._inbox = Mailbox()
        self._leadership = Leadership(
            store, options.holder, options.lease_seconds, options.absence_seconds,
            lambda: self._inbox.put(self._lose_lead),
        )  # fmt: skip
        self._executions = Executions(
            store, executor, Slots(options.parallel, options.pools), task_options=options.task_options,
            tell_end=lambda key, ending: self._inbox.put(lambda: self._end(key, ending)), finished=_announce_end,
        )  # fmt: skip
        self._triggers = Triggers(self._units.values())
        self._last_event = 0
        self._beaten = 0.0
        self._stopping = False
        self._doubtful = False
        """Whether there may be a run that this scheduler began without hearing of it."""

    @property
    def leading(self) -> bool:
        """Whether this scheduler is the one at work."""
        return self._executions.token is not None

    @property
    def open_runs(self) -> tuple[OpenRun, ...]:
        """The workflow runs under way."""
        return self._executions.open

    def run(self) -> None:
        """Work until `stop`: as the one at work when the lease can be had, else waiting for it."""
        told = False
        while not self._stopping:
            if self.leading:
                self.step()
                continue
            if self.try_to_lead():
                told = False
                continue
            if not told and not self._stopping:
                _log.info("another scheduler is at work: this one waits to take over")
                told = True
            self._inbox.receive(self._options.lease_seconds / 5)
        self._drain()

    def stop(self) -> None:
        """Start nothing more, let running jobs end, and leave; what has not started is left to the next scheduler."""
        self._stopping = True
        self._executions.draining = True
        self._inbox.wake()

    def stop_at_once(self) -> None:
        """End running jobs by force and leave: their loads roll back, and the next scheduler starts them again."""
        self._inbox.put(self._end_by_force)
        self.stop()

    def replace_units(self, units: Iterable[Unit]) -> None:
        """Work with other units from now on; may be called from any thread."""
        found = tuple(units)
        self._inbox.put(lambda: self._replace(found))

    def try_to_lead(self) -> bool:
        """Take the lease if it is free, learn what happened, and take over what others left; return whether it was."""
        try:
            lease = self._leadership.acquire()
            if lease is None:
                return False
            self._lead(lease)
        except StoreError as error:
            _log.warning("%s", error)
            self._withdraw()
            self._inbox.receive(_STORE_PAUSE)
            return False
        return True

    def step(self, wait: float | None = None) -> None:
        """Do what there is to do, after waiting for something to happen for at most `wait` seconds."""
        try:
            self._inbox.receive(self._patience() if wait is None else wait)
            if self.leading:
                self._work()
        except LeaseLostError:
            self._lose_lead()
        except StoreError as error:
            _log.warning("%s", error)
            time.sleep(_STORE_PAUSE)

    def idle(self) -> bool:
        """Whether nothing runs and nothing is due at this moment."""
        return not self._executions.open and self._inbox.empty and not self._triggers.due(self._clock())

    def leave(self) -> None:
        """Give the lease back."""
        self._rest()
        self._leadership.release()

    def _work(self) -> None:
        self._executions.settle()
        if self._doubtful or time.monotonic() - self._beaten >= _BEAT_SECONDS:
            self._look_after_runs()
        self._catch_up()
        now = self._clock()
        while not self._stopping and self._fire_all(self._triggers.due(now)):
            self._catch_up()  # what was fired is an event too
        self._executions.dispatch()
        for observer in self._observers:
            observer.look(now)

    def _look_after_runs(self) -> None:
        """Say that the open runs are alive, and see to those whose processes are dead or that nobody carries out."""
        token = self._executions.token
        assert token is not None  # noqa: S101 - this scheduler is at work
        self._beaten = time.monotonic()
        self._executions.beat()
        take_over(self._store, self._executions, self._units, token)
        if self._doubtful:
            claim_unheard(self._store, self._executions, self._units, token)
            self._doubtful = False

    def _lead(self, lease: Lease) -> None:
        token = lease.token
        _log.info("this scheduler is at work (token %d, %d units)", token, len(self._units))
        now = self._clock()
        if since := lease.downtime(now):
            self._store.gap(since, token=token)
        self._triggers = Triggers(self._units.values())
        self._last_event = 0
        for observer in self._observers:
            observer.lead(lease)
            observer.units(self._units.values())
        self._store.see(self._units, token=token)
        self._catch_up()
        self._executions.token = token
        take_over(self._store, self._executions, self._units, token)
        self._beaten = time.monotonic()

    def _catch_up(self) -> None:
        """Take in what the store has that this scheduler has not seen."""
        if self._store.last_event() == self._last_event:
            return
        for event in self._store.events(after=self._last_event):
            self._last_event = event.id
            self._triggers.apply(event)
            for observer in self._observers:
                observer.event(event)
            if event.kind is EventKind.CANCEL and event.run_id and self.leading:
                self._cancel(event.run_id)

    def _cancel(self, run_id: str) -> None:
        if self._executions.cancel(run_id):
            return
        try:
            run = self._store.run(run_id)
        except StoreError:  # a workflow run that is somebody else's
            return
        if run.workflow_run_id:
            self._executions.cancel_job(run.workflow_run_id, run.job)

    def _fire_all(self, decisions: Iterable[Decision]) -> bool:
        """Start a run for each; return whether any was started."""
        return any([self._fire(decision) for decision in decisions])  # noqa: C419 - each is to be fired

    def _fire(self, decision: Decision) -> bool:
        """Start a run; return whether it was, and not by somebody else at this moment."""
        unit = self._units[decision.unit]
        try:
            record = begin(self._store, unit, decision, token=self._executions.token)
        except AlreadyRunningError as error:
            _log.info("%s is not started: %s", unit.name, error)
            return False
        except StoreError:
            self._doubtful = True
            raise
        _log.info("%s starts (run %s): %s", unit.name, record.workflow_run_id, "; ".join(decision.cause))
        self._executions.add(record, unit)
        return True

    def _end(self, key: JobKey, ending: Ending) -> None:
        try:
            self._executions.end(key, ending)
        except LeaseLostError:
            raise
        except StoreError:
            self._inbox.put(lambda: self._end(key, ending))
            raise

    def _replace(self, units: tuple[Unit, ...]) -> None:
        self._units = {unit.name: unit for unit in units}
        self._triggers.replace(units)
        self._executor.reload()
        for observer in self._observers:
            observer.units(units)
        if self._executions.token is not None:
            self._store.see(self._units, token=self._executions.token)

    def _lose_lead(self) -> None:
        if not self.leading:
            return
        _log.warning("another scheduler has taken over: what runs here is stopped, and continues there")
        self._withdraw()

    def _withdraw(self) -> None:
        self._executions.forget()
        self.leave()

    def _rest(self) -> None:
        self._executions.token = None
        for observer in self._observers:
            observer.rest()

    def _end_by_force(self) -> None:
        if self._executions.busy:
            _log.info("stopped at once: the next scheduler starts running jobs again (%d)", self._executions.busy)
        self._executions.forget()

    def _drain(self) -> None:
        """Wait until what runs has ended, and give the lease back."""
        if self._executions.busy:
            _log.info("stopping: running jobs are waited for (%d); once more ends them", self._executions.busy)
        while self.leading and self._executions.busy:
            self.step()
        self.leave()

    def _patience(self) -> float:
        moments = [self._options.poll_seconds]
        if (tick := self._triggers.next_tick()) is not None:
            moments.append((tick - self._clock()).total_seconds())
        if (again := self._executions.next_moment()) is not None:
            moments.append(again)
        return max(0.0, min(moments))


def _announce_end(run: OpenRun, status: Status) -> None:
    detail = "" if status is Status.SUCCEEDED or not run.error else f": {run.error}"
    level = logging.INFO if status is Status.SUCCEEDED else logging.WARNING
    _log.log(level, "%s %s (run %s)%s", run.unit.name, status, run.id, detail)
