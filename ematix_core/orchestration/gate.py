"""Whether a unit is to run now, asked by an orchestrator that has been woken: our decision, and our record of the run.

The orchestrator wakes it too often rather than too seldom. What counts is decided here, from the events of the store,
by the rules that the scheduler goes by.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ematix_core.engine.environment import now
from ematix_core.errors import AlreadyRunningError
from ematix_core.orchestration.carried import close
from ematix_core.scheduler.firing import begin
from ematix_core.scheduler.restart import rerun_of, restart_of
from ematix_core.scheduler.triggers import Triggers
from ematix_core.store import Status
from ematix_core.store.process import is_carried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from ematix_core.model.unit import Unit
    from ematix_core.store import SchedulerStore, WorkflowRun

_MOMENT = timedelta(microseconds=1)
_TURNS = 10
"""Each turn lost means that a run of the unit began and ended meanwhile; nobody loses this often."""


@dataclass(frozen=True)
class Opened:
    """It runs: the workflow run is open, and carried by whoever asked."""

    run: WorkflowRun


@dataclass(frozen=True)
class Busy:
    """Somebody else has a run of the unit open: ask again when that has ended."""

    run_id: str
    reason: str


@dataclass(frozen=True)
class Declined:
    """It does not run now; `reason` says which conditions are met and which are missing, in a few lines."""

    reason: str


Answer = Opened | Busy | Declined


@dataclass(frozen=True)
class Announcement:
    """The success of something outside of the project that a trigger names, such as `s3://landing/orders`."""

    name: str
    key: str
    """What tells this success from the others of that name: announced twice, it counts once."""


class Gate:
    """The gate of one unit, for one run of an orchestrator. Blocks for moments; raises StoreError.

    `carrier`: the orchestrator's name for its run, such as `airflow:shop/manual__2026-01-31`, up to 255 letters. Asked
    again for the same one, the gate gives the run that is open, or starts the one that has ended again. `is_over`: says
    of the carrier of another run that is open whether the orchestrator has ended that without closing it; then it is
    closed here. `clock` gives the time in UTC.
    """

    def __init__(
        self,
        store: SchedulerStore,
        unit: Unit,
        *,
        carrier: str,
        is_over: Callable[[str], bool] | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._store = store
        self._unit = unit
        self._carrier = carrier
        self._is_over = is_over or (lambda _carrier: False)
        self._clock = clock

    def ask(self, *, tick: datetime | None = None, announced: Iterable[Announcement] = ()) -> Answer:
        """Decide whether the unit runs now, and open its run if so.

        `tick`: the one that the orchestrator woke up for. The unit counts as seen since just before the first of them.
        `announced`: the successes from outside that have come.
        """
        if (again := self._again()) is not None:
            return again
        for one in announced:
            self._store.announce(one.name, one.key)
        self._store.see([self._unit.name], at=self._clock() if tick is None else tick - _MOMENT)
        for _ in range(_TURNS):
            triggers, moment = self._triggers(), self._clock()
            decisions = triggers.due(moment)
            if not decisions:
                explained = triggers.explain(self._unit.name, moment)
                if explained.state != "running" or explained.run_id is None:
                    return Declined(str(explained))
                if (busy := self._busy(explained.run_id)) is not None:
                    return busy
                continue
            try:
                return Opened(begin(self._store, self._unit, decisions[0], carrier=self._carrier))
            except AlreadyRunningError:
                continue  # somebody was faster: what is to be done now is decided anew
        return Declined(f"{self._unit.name} is started by others at the same time")

    def begin(
        self,
        *,
        trigger: str = "manual",
        slice: str = "",  # noqa: A002 - the field's own word
        parameters: Mapping[str, Any] | None = None,
        cause: Sequence[str] = (),
    ) -> Opened | Busy:
        """Open a run without a decision: somebody wants it now, or it is a slice of a backfill.

        The unit counts as seen from then on: a backfill makes Airflow take up ticks of before it knew the unit.
        """
        if self._unit.schedule is not None:
            self._store.see([self._unit.name], at=self._clock())
        return self._again() or self._begin(trigger, slice, parameters or {}, cause)

    def unheard(self, *, tick: datetime | None = None) -> bool:
        """Say, once a run is closed, whether the unit is due again and nothing will wake the orchestrator for it.

        `tick`: the one that it woke up for. With `catchup="all"` each missed tick has a run; one whose own wake-up was
        declined, because a run had failed, comes into its right only now.
        """
        if self._unit.catchup != "all" or not (due := self._triggers().due(self._clock())):
            return False
        return due[0].tick is not None and (tick is None or due[0].tick <= tick)

    def _begin(
        self,
        trigger: str,
        part: str,
        parameters: Mapping[str, Any],
        cause: Sequence[str],
        tick: datetime | None = None,
    ) -> Opened | Busy:
        for _ in range(_TURNS):
            try:
                return Opened(
                    self._store.begin_workflow(
                        self._unit.name, trigger=trigger, unit=True, slice=part, parameters=parameters, cause=cause,
                        tick=tick, carrier=self._carrier,
                    )
                )  # fmt: skip
            except AlreadyRunningError:
                open_runs = self._store.workflow_runs(workflow=self._unit.name, status=Status.RUNNING, limit=None)
                for run in open_runs:
                    if run.slice == part and is_carried(run) and run.host == self._carrier:
                        return Opened(run)  # another process of the same run of the orchestrator was faster
                    if run.slice == part and (busy := self._busy(run.workflow_run_id)) is not None:
                        return busy
        raise AlreadyRunningError(f"{self._unit.name} is started by others at the same time")

    def _again(self) -> Opened | Busy | None:
        """Return the run of an earlier question of the same carrier, started again if it has ended; None for none."""
        found = self._store.workflow_runs(workflow=self._unit.name, carrier=self._carrier, limit=1)
        if not found:
            return None
        run = found[0]
        if run.status is Status.RUNNING:
            return Opened(run)
        said = rerun_of if run.status is Status.SUCCEEDED else restart_of
        return self._begin(said(run.workflow_run_id), run.slice, run.parameters, run.cause, run.tick)

    def _triggers(self) -> Triggers:
        """Return what the store's events tell of the unit and of those that it waits for."""
        triggers = Triggers([self._unit])
        for event in self._store.events(names=["", self._unit.name, *self._unit.waits_for()]):
            triggers.apply(event)
        return triggers

    def _busy(self, run_id: str) -> Busy | None:
        """Return what an open run means; None when it has ended by now, or nobody carries it out and it was closed."""
        run = self._store.workflow_run(run_id)
        if run.status is Status.INTERRUPTED and run.finished_at is None and run.token is None:
            self._store.abandon(run_id, "its process ended without a result")
        elif run.finished_at is not None:
            return None
        elif run.token is None and self._is_over(run.host):
            close(self._store, self._unit, run_id, carrier=run.host, states={})
        else:
            return Busy(run_id, f"run {run_id} of {self._unit.name} is open: {run.host}")
        return None
