"""Random histories of a few units, such as a store could hold: what people, clocks, schedulers and runs do to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from ematix_core.model.message import MessageSource
from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import AllOf, AnyOf
from ematix_core.model.trigger import Event as Success
from ematix_core.model.unit import Unit, UnitJob
from ematix_core.store.records import Event
from ematix_core.store.records import EventKind as Kind
from tests.property.trigger_model import Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from ematix_core.model.trigger import Trigger
    from ematix_core.scheduler.triggers import Decision

DAYS = 12
BEGINNINGS = tuple(
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in ("2026-02-10T10:00", "2026-03-28T20:00", "2026-10-24T20:00", "2026-04-04T10:00")
)
ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe")
CRONS = ("* * * * *", "*/20 * * * *", "7 * * * *", "30 2 * * *", "*/30 2 * * *", "15,45 1,2,3 * * *", "0 6 1,28 * 0")
CATCHUPS: tuple[Literal["latest", "all", "none"], ...] = ("latest", "all", "none")
NAMES = ("a", "b", "c")  # units; each may wait for those before it, and for jobs of theirs
JOBS = ("x", "y")  # jobs of elsewhere

Action = Literal[
    "time", "set back", "start", "start late", "by hand", "job of run", "succeed", "fail", "cancel", "job", "begin job",
    "end job", "pause", "resume", "gap", "message", "ask to cancel", "reload",
]  # fmt: skip
OFTEN: dict[Action, int] = {
    "time": 8, "set back": 2, "start": 8, "start late": 2, "by hand": 3, "job of run": 3, "succeed": 9, "fail": 4,
    "cancel": 1, "job": 6, "begin job": 2, "end job": 2, "pause": 2, "resume": 3, "gap": 2, "message": 2,
    "ask to cancel": 1, "reload": 1,
}  # fmt: skip


def project(random: Random) -> list[Unit]:
    """Return units that may set each other off, without circles."""
    units: list[Unit] = []
    for name in NAMES[: random.randint(1, len(NAMES))]:
        units.append(_unit(random, name, units))
    return units


def _unit(random: Random, name: str, before: list[Unit]) -> Unit:
    kind = random.choice(("trigger", "trigger", "schedule", "schedule", "both", "both", "messages"))
    single = kind != "messages" and random.random() < 0.4
    upstream = [*JOBS, *2 * [unit.name for unit in before], *(job.name for unit in before for job in unit.jobs)]
    schedule = Schedule(random.choice(CRONS), random.choice(ZONES))
    return Unit(
        name=name, single=single, jobs=(UnitJob(name if single else f"{name}_job"),),
        trigger=_trigger(random, upstream) if kind in {"trigger", "both"} else None,
        schedule=schedule if kind in {"schedule", "both"} else None,
        messages=MessageSource(name="in", connection="c", path="*") if kind == "messages" else None,
        catchup=random.choice(CATCHUPS), priority=random.randint(0, 1),
    )  # fmt: skip


def _trigger(random: Random, names: Sequence[str], depth: int = 2) -> Trigger:
    if depth == 0 or random.random() < 0.5:
        return Success(random.choice(names))
    parts = tuple(dict.fromkeys(_trigger(random, names, depth - 1) for _ in range(random.randint(2, 3))))
    return parts[0] if len(parts) == 1 else random.choice((AllOf, AnyOf))(parts)


@dataclass
class World:
    """A clock and a store's events. Each step goes as far as the store would let it."""

    random: Random
    known: list[Unit]
    now: datetime
    span: Span
    units: list[Unit] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    open: dict[str, Event] = field(default_factory=dict)  # units that run
    done: set[str] = field(default_factory=set)  # those of them whose job has succeeded
    open_jobs: dict[str, tuple[int, datetime]] = field(default_factory=dict)  # jobs that somebody runs by hand
    paused: list[str] = field(default_factory=list)
    messages: int = 0

    @classmethod
    def begin(cls, random: Random) -> World:
        """Return a world in which a scheduler has seen the units, most of the time."""
        beginning = random.choice(BEGINNINGS)
        span = Span(beginning - timedelta(days=1), beginning + timedelta(days=DAYS))
        world = cls(random, project(random), beginning, span)
        world.units = world.known
        for unit in world.known:
            if random.random() < 0.95:
                world.add(Kind.SEEN, unit.name)
        return world

    def add(self, kind: Kind, name: str, **fields: Any) -> Event:  # noqa: ANN401 - the fields of an Event
        """Let an event happen now."""
        self.events.append(Event(len(self.events) + 1, kind, name, self.now, run_id=f"r{len(self.events)}", **fields))
        return self.events[-1]

    def step(self, due: list[Decision]) -> None:
        """Let something happen. `due` is what a scheduler would start now."""
        action = self.random.choices(list(OFTEN), list(OFTEN.values()))[0]
        match action:
            case "time":
                self._pass_time()
            case "set back":
                self._move(-timedelta(minutes=self.random.randint(1, 200)))
            case "start" | "start late" if due:
                self._start(self.random.choice(due), late=action == "start late")
            case "succeed" | "fail" | "cancel" if self.open:
                self._end(self.random.choice(sorted(self.open)), action)
            case "gap":
                begun = self.now - timedelta(minutes=self.random.randint(0, 60))
                if self.random.random() < 0.5:
                    self._pass_time()
                self.add(Kind.GAP, "", started_at=begun)
            case "ask to cancel":
                self.add(Kind.CANCEL, "")
            case "reload":
                self.units = [unit for unit in self.known if self.random.random() < 0.8] or self.known
            case _:
                self._act_by_hand(action, self.random.choice(self.units))

    def _act_by_hand(self, action: Action, unit: Unit) -> None:
        match action:
            case "by hand" if unit.name not in self.open:
                ticks = [None, *(event.tick for event in self.events if event.name == unit.name)]
                self.open[unit.name] = self.add(Kind.STARTED, unit.name, tick=self.random.choice(ticks))
            case "job of run" if unit.name in self.open:
                self._succeed_job(unit.name)
            case "job":
                self.add(Kind.JOB_SUCCEEDED, self.random.choice(JOBS), since=len(self.events), started_at=self.now)
            case "begin job":
                self.open_jobs.setdefault(unit.jobs[0].name, (len(self.events), self.now))
            case "end job" if self.open_jobs:
                job = self.random.choice(sorted(self.open_jobs))
                since, begun = self.open_jobs.pop(job)
                self.add(Kind.JOB_SUCCEEDED, job, since=since, started_at=begun)
            case "pause" if unit.name not in self.paused:
                self.paused.append(unit.name)
                self.add(Kind.PAUSED, unit.name)
            case "resume" if self.paused:
                self.add(Kind.RESUMED, self.paused.pop())
            case "message" if unit.messages is not None:
                self.messages += 1
                self.add(Kind.MESSAGE, unit.name, data={"position": f"m{self.messages}", "payload": self.messages})

    def _pass_time(self) -> None:
        """Go on by seconds, minutes, hours or a day or two, often to the full minute."""
        lengths = {1: timedelta(seconds=7), 4: timedelta(minutes=1), 3: timedelta(minutes=10), 2: timedelta(hours=1)}
        length = self.random.choices(list(lengths.values()), list(lengths))[0] * self.random.randint(1, 8)
        self._move(timedelta(days=2) if self.random.random() < 0.02 else length)

    def _move(self, length: timedelta) -> None:
        moved = self.now + length
        if self.random.random() < 0.5:
            moved = moved.replace(second=0)
        self.now = min(max(moved, self.span.first + timedelta(hours=12)), self.span.last)

    def _start(self, decision: Decision, *, late: bool) -> None:
        if late:  # the clock is set back between the decision and the start
            self._move(-timedelta(minutes=self.random.randint(1, 90)))
        data = None if decision.message is None else {"position": decision.message}
        self.open[decision.unit] = self.add(Kind.STARTED, decision.unit, tick=decision.tick, data=data)

    def _end(self, name: str, how: Action) -> None:
        kind = {"succeed": Kind.SUCCEEDED, "fail": Kind.FAILED, "cancel": Kind.CANCELLED}[how]
        if kind is Kind.SUCCEEDED:
            self._succeed_job(name)
        start = self.open.pop(name)
        self.done.discard(name)
        self.add(kind, name, since=start.id, started_at=start.at, tick=start.tick)

    def _succeed_job(self, name: str) -> None:
        """Let the job of a run succeed, unless it did or somebody runs it by hand."""
        job = next(unit.jobs[0].name for unit in self.known if unit.name == name)
        if name not in self.done and job not in self.open_jobs:
            self.done.add(name)
            self.add(Kind.JOB_SUCCEEDED, job, since=len(self.events), started_at=self.now)


def pruned(events: list[Event]) -> list[Event]:
    """Return the events that `RunStore.prune` leaves of these when it deletes all that it may."""
    last = {(event.kind, event.name): event for event in events}
    ticked: dict[str, Event] = {}
    for event in events:
        if event.kind is Kind.SUCCEEDED and event.tick is not None:
            before = ticked.get(event.name)
            ticked[event.name] = event if before is None or before.tick is None or event.tick >= before.tick else before
    consumed = {(event.name, event.data["position"]) for event in events if event.kind is Kind.STARTED and event.data}

    def stays(event: Event) -> bool:
        if event.kind is Kind.MESSAGE:
            return (event.name, (event.data or {})["position"]) not in consumed
        if event.kind in {Kind.GAP, Kind.PAUSED, Kind.RESUMED}:
            return True
        return event in (last[event.kind, event.name], ticked.get(event.name))

    return [event for event in events if stays(event)]
