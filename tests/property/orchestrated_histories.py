"""Random histories told twice under a standing clock: to the scheduler, and to an orchestrator that asks our gate."""

from __future__ import annotations

import re
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from ematix_core.model.trigger import AllOf, AnyOf
from ematix_core.model.trigger import Event as Success
from ematix_core.orchestration import Busy, Gate, Opened, close
from ematix_core.orchestration.ticks import TickSource
from ematix_core.scheduler.firing import begin
from ematix_core.scheduler.triggers import Triggers
from ematix_core.store import Status, open_store
from tests.property import trigger_traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.model.trigger import Trigger
    from ematix_core.model.unit import Unit
    from ematix_core.store import SchedulerStore, WorkflowRun

STEPS = 40
"""As many at most happen in one history."""
_O = TypeVar("_O", bound="Orchestrated")
_RUN_ID = re.compile(r" \(run [^)]*\)")
_ENDS = (Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = trigger_traces.BEGINNINGS[0]

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Side:
    """One way to run the units: what a store has of it, and which runs are open."""

    store: SchedulerStore
    units: dict[str, Unit]
    open: dict[str, WorkflowRun] = field(default_factory=dict)
    begun: list[tuple[Any, ...]] = field(default_factory=list)

    def note(self, run: WorkflowRun) -> None:
        self.open[run.workflow] = run
        cause = tuple(sorted(_RUN_ID.sub("", line) for line in run.cause))
        self.begun.append((run.workflow, run.started_at, run.trigger, run.tick, dict(run.parameters), cause))

    def run_job(self, job: str, run: WorkflowRun | None, status: Status) -> None:
        record = self.store.begin(job, workflow_run_id=run.workflow_run_id if run else None)
        self.store.finish(record.run_id, status, seconds=0.0)


class Native(Side):
    """The scheduler: looks at what is due after each event."""

    def look_on(self) -> None:
        self.last = self.store.last_event()
        self.triggers = Triggers(self.units.values())
        self.store.see(self.units)

    def settle(self) -> None:
        while True:
            for event in self.store.events(after=self.last):
                self.last = event.id
                self.triggers.apply(event)
            due = self.triggers.due(CLOCK())
            if not due:
                return
            for decision in due:
                self.note(begin(self.store, self.units[decision.unit], decision))

    def by_hand(self, name: str) -> None:
        self.note(self.store.begin_workflow(name, unit=True))

    def end(self, name: str, status: Status) -> None:
        run = self.open.pop(name)
        self.run_job(self.units[name].jobs[0].name, run, status)
        self.store.finish_workflow(run.workflow_run_id, status)


class Orchestrated(Side):
    """An orchestrator: woken by ticks and by successes, one run of a unit at a time, it asks the gate."""

    def look_on(self) -> None:
        self.waiting: dict[str, deque[datetime | None]] = {name: deque() for name in self.units}
        self.woken: dict[str, datetime | None] = {}
        self.carriers: dict[str, str] = {}
        self.numbers = iter(range(1_000_000))
        self.store.see(self.units)

    def wake(self, succeeded: str) -> None:
        for name, unit in self.units.items():
            if succeeded in unit.waits_for():
                self.waiting[name].append(None)

    def pass_time(self, since: datetime) -> None:
        for name, unit in self.units.items():
            if unit.schedule is not None:
                ticks = list(_ticks(unit, since))
                self.waiting[name].extend(ticks if unit.catchup == "all" else ticks[-1:])

    def settle(self) -> None:
        for name, waiting in self.waiting.items():
            while waiting and name not in self.open:
                carrier = f"test:{name}/{next(self.numbers)}"
                answer = Gate(self.store, self.units[name], carrier=carrier, clock=CLOCK).ask(tick=waiting[0])
                assert not isinstance(answer, Busy)
                self.woken[name] = waiting.popleft()
                if isinstance(answer, Opened):
                    self.carriers[name] = carrier
                    self.note(answer.run)

    def by_hand(self, name: str) -> None:
        self.carriers[name] = f"test:{name}/{next(self.numbers)}"
        answer = Gate(self.store, self.units[name], carrier=self.carriers[name], clock=CLOCK).begin()
        assert isinstance(answer, Opened)
        self.note(answer.run)

    def end(self, name: str, status: Status) -> None:
        run, job = self.open.pop(name), self.units[name].jobs[0].name
        self.run_job(job, run, status)
        closed = close(self.store, self.units[name], run.workflow_run_id, carrier=self.carriers[name], states={})
        assert closed.status is status
        gate = Gate(self.store, self.units[name], carrier=self.carriers[name], clock=CLOCK)
        if gate.unheard(tick=self.woken.get(name)):
            self.waiting[name].appendleft(None)
        if status is Status.SUCCEEDED:
            self.wake(job)
            if job != name:
                self.wake(name)


CLOCK = Clock()


@contextmanager
def two_stores() -> Iterator[tuple[SchedulerStore, SchedulerStore]]:
    """Yield a store for each side."""
    with open_store("memory:", now=CLOCK) as one, open_store("memory:", now=CLOCK) as other:
        yield one, other


def told_twice(stores: tuple[SchedulerStore, SchedulerStore], kind: type[_O], place: str, seed: int, steps: int) -> _O:
    """Tell one history to both sides, compare after each step which runs there are, and return the orchestrator.

    `place`: what names begin with, so that no history sees another one's in the stores.
    """
    random = Random(seed)  # noqa: S311 - a history, no secret
    units = {unit.name: unit for unit in renamed(trigger_traces.project(random), place)}
    CLOCK.now = random.choice(trigger_traces.BEGINNINGS)
    native, orchestrated = Native(stores[0], units), kind(stores[1], units)
    native.look_on()
    orchestrated.look_on()
    for _ in range(steps):
        history_step(random, native, orchestrated, place)
        native.settle()
        orchestrated.settle()
        assert set(native.open) == set(orchestrated.open)
        assert sorted(native.begun, key=repr) == sorted(orchestrated.begun, key=repr)
    return orchestrated


def history_step(random: Random, native: Native, orchestrated: Orchestrated, place: str) -> None:
    """Let something happen, the same on both sides."""
    match random.choice(("time", "time", "time", "end", "end", "end", "end", "job", "job", "by hand")):
        case "time":
            since = CLOCK.now
            CLOCK.now += timedelta(minutes=random.choice((1, 10, 60, 600, 3000))) * random.random()
            orchestrated.pass_time(since)
        case "end" if native.open:
            name, status = random.choice(sorted(native.open)), random.choice(_ENDS)
            native.end(name, status)
            orchestrated.end(name, status)
        case "job":
            job = place + random.choice(trigger_traces.JOBS)
            native.run_job(job, None, Status.SUCCEEDED)
            orchestrated.run_job(job, None, Status.SUCCEEDED)
            orchestrated.wake(job)
        case "by hand" if idle := sorted(set(native.units) - set(native.open)):
            name = random.choice(idle)
            native.by_hand(name)
            orchestrated.by_hand(name)


def renamed(units: list[Unit], place: str) -> list[Unit]:
    """Return the units under names that no other example has; those that messages set off are left to other tests."""
    return [
        replace(
            unit,
            name=place + unit.name,
            jobs=tuple(replace(job, name=place + job.name) for job in unit.jobs),
            trigger=None if unit.trigger is None else _placed(unit.trigger, place),
        )
        for unit in units
        if unit.messages is None
    ]


def _placed(trigger: Trigger, place: str) -> Trigger:
    if isinstance(trigger, AllOf | AnyOf):
        return type(trigger)(tuple(_placed(part, place) for part in trigger.parts))
    return Success(place + trigger.name)


def _ticks(unit: Unit, since: datetime) -> Iterator[datetime]:
    assert unit.schedule is not None
    source = TickSource(unit.schedule.cron, unit.schedule.timezone)
    tick = source.after(since)
    while tick <= CLOCK.now:
        yield tick
        tick = source.after(tick)
