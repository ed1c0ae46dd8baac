"""Events as tests write them: one after the other, at given minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import parse_trigger
from ematix_core.model.unit import Unit, UnitJob
from ematix_core.scheduler.triggers import Decision, Triggers, decide
from ematix_core.store.records import Event, EventKind

if TYPE_CHECKING:
    from ematix_core.model.trigger import TriggerLike

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """Return the moment so many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def unit(name: str, triggered_by: TriggerLike | None = None, cron: str = "", zone: str = "UTC", **options: Any) -> Unit:  # noqa: ANN401 - the fields of a Unit
    """Return a unit with one job: named as itself if it is a single one."""
    job = UnitJob(name if options.get("single") else f"{name}_job")
    return Unit(
        name=name, jobs=(job,), trigger=None if triggered_by is None else parse_trigger(triggered_by),
        schedule=Schedule(cron, zone) if cron else None, **options,
    )  # fmt: skip


class Timeline:
    """Units and what happens to them. Each method lets something happen at a minute after noon."""

    def __init__(self, *units: Unit) -> None:
        self.units = units
        self.events: list[Event] = []
        self.starts: dict[str, Event] = {}
        self.triggers = Triggers(units)

    def add(self, minutes: float, kind: EventKind, name: str = "", **fields: Any) -> Event:  # noqa: ANN401 - the fields of an Event
        """Let an event happen."""
        number = len(self.events) + 1
        self.events.append(Event(number, kind, name, at(minutes), **{"run_id": f"r{number}"} | fields))
        self.triggers.apply(self.events[-1])
        return self.events[-1]

    def seen(self, minutes: float = 0) -> Timeline:
        """Let a scheduler see all units."""
        for one in self.units:
            self.add(minutes, EventKind.SEEN, one.name)
        return self

    def start(self, minutes: float, name: str, **fields: Any) -> None:  # noqa: ANN401 - the fields of an Event
        """Let a run of a unit begin."""
        self.starts[name] = self.add(minutes, EventKind.STARTED, name, **fields)

    def end(self, minutes: float, name: str, kind: EventKind = EventKind.SUCCEEDED) -> None:
        """Let the run end; of a unit of a single job the job first."""
        start = self.starts.pop(name)
        if kind is EventKind.SUCCEEDED and any(one.name == name and one.single for one in self.units):
            self.job(minutes, name, since=start.id, started_at=start.at)
        self.add(minutes, kind, name, since=start.id, started_at=start.at, tick=start.tick, run_id=start.run_id)

    def run(self, minutes: float, name: str, kind: EventKind = EventKind.SUCCEEDED, **fields: Any) -> None:  # noqa: ANN401 - the fields of an Event
        """Let a run begin and end."""
        self.start(minutes, name, **fields)
        self.end(minutes, name, kind)

    def job(self, minutes: float, name: str, **fields: Any) -> None:  # noqa: ANN401 - the fields of an Event
        """Let a job's run succeed, that began just before unless said otherwise."""
        self.add(
            minutes, EventKind.JOB_SUCCEEDED, name, **{"since": len(self.events), "started_at": at(minutes)} | fields
        )

    def due(self, minutes: float) -> list[Decision]:
        """Return what runs then, by either way of asking."""
        found = self.triggers.due(at(minutes))
        assert found == decide(self.units, self.events, at(minutes))
        return found

    def names(self, minutes: float) -> list[str]:
        """Return the names of what runs then."""
        return [decision.unit for decision in self.due(minutes)]
