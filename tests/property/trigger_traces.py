"""Random histories of a few units, such as a store could hold: what people, clocks, schedulers and runs do to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from hypothesis import strategies as st

from ematix_core.model.message import MessageSource
from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import AllOf, AnyOf
from ematix_core.model.trigger import Event as Success
from ematix_core.model.unit import Unit, UnitJob
from ematix_core.store.records import Event
from ematix_core.store.records import EventKind as Kind
from tests.property.trigger_model import Span

if TYPE_CHECKING:
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
NAMES = ("a", "b", "c", "d")  # units; each may wait for those before it, and for jobs of theirs
JOBS = ("x", "y")  # jobs of elsewhere

Action = Literal[
    "time", "start", "by hand", "succeed", "fail", "cancel", "job", "begin job", "end job", "pause", "resume", "gap",
    "message", "ask to cancel", "reload",
]  # fmt: skip
OFTEN: tuple[Action, ...] = ("time", "time", "start", "start", "succeed", "succeed", "job", "message")
Step = tuple[Action, int, int]


@st.composite
def _triggers(draw: st.DrawFn, names: tuple[str, ...], depth: int = 2) -> Trigger:
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return Success(draw(st.sampled_from(names)))
    parts = draw(st.lists(_triggers(names, depth - 1), min_size=2, max_size=3, unique=True))
    return AllOf(tuple(parts)) if draw(st.booleans()) else AnyOf(tuple(parts))


@st.composite
def _unit(draw: st.DrawFn, name: str, before: list[Unit]) -> Unit:
    kind = draw(st.sampled_from(("trigger", "trigger", "schedule", "both", "both", "messages")))
    single = kind != "messages" and draw(st.integers(0, 3)) == 0
    upstream = (*JOBS, *(unit.name for unit in before), *(job.name for unit in before for job in unit.jobs))
    schedule = Schedule(draw(st.sampled_from(CRONS)), draw(st.sampled_from(ZONES)))
    return Unit(
        name=name, single=single, jobs=(UnitJob(name if single else f"{name}_job"),),
        trigger=draw(_triggers(tuple(dict.fromkeys(upstream)))) if kind in {"trigger", "both"} else None,
        schedule=schedule if kind in {"schedule", "both"} else None,
        messages=MessageSource(name="in", connection="c", path="*") if kind == "messages" else None,
        catchup=draw(st.sampled_from(CATCHUPS)), priority=draw(st.integers(0, 1)),
    )  # fmt: skip


@st.composite
def projects(draw: st.DrawFn) -> list[Unit]:
    """Return units that may set each other off, without circles."""
    units: list[Unit] = []
    for name in NAMES[: draw(st.integers(1, len(NAMES)))]:
        units.append(draw(_unit(name, units)))
    return units


def steps() -> st.SearchStrategy[list[Step]]:
    """Return what happens, as actions with two numbers that say to which and how much."""
    return st.lists(
        st.tuples(st.sampled_from((*get_args(Action), *OFTEN)), st.integers(0, 11), st.integers(0, 11)),
        min_size=5,
        max_size=40,
    )


@dataclass
class World:
    """A clock and a store's events. Each step goes as far as the store would let it."""

    units: list[Unit]
    now: datetime
    span: Span
    events: list[Event] = field(default_factory=list)
    known: list[Unit] = field(default_factory=list)
    open: dict[str, Event] = field(default_factory=dict)  # units that run
    open_jobs: dict[str, tuple[int, datetime]] = field(default_factory=dict)  # jobs that somebody runs by hand
    paused: list[str] = field(default_factory=list)
    messages: int = 0

    @classmethod
    def begin(cls, units: list[Unit], beginning: datetime) -> World:
        """Return a world in which a scheduler has seen the units."""
        span = Span(beginning - timedelta(days=1), beginning + timedelta(days=DAYS))
        world = cls(units, beginning, span, known=list(units))
        for unit in units:
            world.add(Kind.SEEN, unit.name)
        return world

    def add(self, kind: Kind, name: str, **fields: Any) -> Event:  # noqa: ANN401 - the fields of an Event
        """Let an event happen now."""
        self.events.append(Event(len(self.events) + 1, kind, name, self.now, run_id=f"r{len(self.events)}", **fields))
        return self.events[-1]

    def step(self, action: Action, which: int, much: int, due: list[Decision]) -> None:
        """Let something happen. `due` is what a scheduler would start now."""
        unit = self.units[which % len(self.units)]
        match action:
            case "time":
                self._pass_time(which, much)
            case "start" if due:
                self._start(due[which % len(due)])
            case "by hand" if unit.name not in self.open:
                self.open[unit.name] = self.add(Kind.STARTED, unit.name)
            case "succeed" | "fail" | "cancel" if self.open:
                self._end(sorted(self.open)[which % len(self.open)], action)
            case "job" | "begin job" | "end job":
                self._run_job(action, unit, which)
            case "pause" | "resume":
                self._pause(action, unit)
            case "gap":
                begun = self.now
                self._pass_time(10, much)
                self.add(Kind.GAP, "", started_at=begun)
            case "message":
                self._message(which)
            case "ask to cancel":
                self.add(Kind.CANCEL, "")
            case "reload":
                self.units = [one for number, one in enumerate(self.known) if number != which % (len(self.known) + 1)]
                self.units = self.units or self.known

    def _run_job(self, action: Action, unit: Unit, which: int) -> None:
        """Let somebody run a job without its unit, in one go or while other things happen."""
        if action == "job":
            self.add(Kind.JOB_SUCCEEDED, JOBS[which % len(JOBS)], since=len(self.events), started_at=self.now)
        elif action == "begin job":
            self.open_jobs.setdefault(unit.jobs[0].name, (len(self.events), self.now))
        elif self.open_jobs:
            job = sorted(self.open_jobs)[which % len(self.open_jobs)]
            since, begun = self.open_jobs.pop(job)
            self.add(Kind.JOB_SUCCEEDED, job, since=since, started_at=begun)

    def _pause(self, action: Action, unit: Unit) -> None:
        if action == "pause" and unit.name not in self.paused:
            self.paused.append(unit.name)
            self.add(Kind.PAUSED, unit.name)
        elif action == "resume" and self.paused:
            self.add(Kind.RESUMED, self.paused.pop())

    def _pass_time(self, which: int, much: int) -> None:
        """Go on by seconds, minutes, hours or days, often to the full minute; sometimes the clock is set back."""
        unit = (timedelta(seconds=7), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))[which % 4]
        length = unit * (much + 1) if which < 10 else timedelta(hours=3 * much)
        moved = self.now - length if which == 9 and length < timedelta(hours=4) else self.now + length
        if which % 2:
            moved = moved.replace(second=0)
        self.now = min(max(moved, self.span.first + timedelta(hours=12)), self.span.last)

    def _start(self, decision: Decision) -> None:
        data = None if decision.message is None else {"position": decision.message}
        self.open[decision.unit] = self.add(Kind.STARTED, decision.unit, tick=decision.tick, data=data)

    def _end(self, name: str, how: str) -> None:
        start = self.open.pop(name)
        unit = next(unit for unit in self.known if unit.name == name)
        kind = {"succeed": Kind.SUCCEEDED, "fail": Kind.FAILED, "cancel": Kind.CANCELLED}[how]
        if kind is Kind.SUCCEEDED and unit.jobs[0].name not in self.open_jobs:
            self.add(Kind.JOB_SUCCEEDED, unit.jobs[0].name, since=len(self.events), started_at=self.now)
        self.add(kind, name, since=start.id, started_at=start.at, tick=start.tick)

    def _message(self, which: int) -> None:
        listening = [unit for unit in self.units if unit.messages is not None]
        if listening:
            self.messages += 1
            data = {"position": f"m{self.messages}", "payload": {"n": self.messages}}
            self.add(Kind.MESSAGE, listening[which % len(listening)].name, data=data)


def pruned(events: list[Event]) -> list[Event]:
    """Return the events that `RunStore.prune` leaves of these when it deletes all that it may."""
    kept: dict[tuple[Kind, str], Event] = {(event.kind, event.name): event for event in events}
    ticked: dict[str, Event] = {}
    for event in events:
        if event.kind is Kind.SUCCEEDED and event.tick is not None:
            before = ticked.get(event.name)
            ticked[event.name] = event if before is None or before.tick is None or event.tick >= before.tick else before
    consumed = {(e.name, e.data["position"]) for e in events if e.kind is Kind.STARTED and e.data}
    whole = {Kind.GAP, Kind.PAUSED, Kind.RESUMED}
    return [
        event
        for event in events
        if (
            (event.name, (event.data or {}).get("position")) not in consumed
            if event.kind is Kind.MESSAGE
            else event.kind in whole or event in (kept[event.kind, event.name], ticked.get(event.name))
        )
    ]
