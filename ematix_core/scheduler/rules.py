"""When a unit fires: DESIGN section 7, over what the events have told.

The reference point of a unit is the start of its last successful run. A condition on a name holds when that name has
succeeded since; one on a schedule, when a tick has passed since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ematix_core.model.trigger import AllOf, AnyOf
from ematix_core.scheduler.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from ematix_core.model.schedule import Schedule
    from ematix_core.model.trigger import Trigger
    from ematix_core.model.unit import Unit
    from ematix_core.scheduler.facts import Facts, History, Span
    from ematix_core.store.records import Event


@dataclass(frozen=True)
class Decision:
    """A unit is to run now."""

    unit: str
    key: str
    """What set it off, as a text: the same events never make a second run."""
    since: datetime
    """When the last of its conditions became true."""
    priority: int = 0
    tick: datetime | None = None
    """The tick that it runs for; None when it has no schedule."""
    message: str | None = None
    """The position of the message that it runs for."""
    payload: Any = None
    after: int | None = None
    """The unit's last STARTED event that this rests on, 0 before the first: a later one makes it void.
    None for messages: each has its run."""
    cause: tuple[str, ...] = ()
    """Why it runs, a line each, for people."""


class Verdict(NamedTuple):
    """What is to be done with a unit: to run it now, or nothing; and when time alone will change that."""

    decision: Decision | None = None
    until: datetime | None = None


class Met(NamedTuple):
    """A trigger holds: since when, and the successes by which it does."""

    since: datetime
    by: tuple[Event, ...]


NOTHING = Verdict()


class Rules:
    """The rules over some facts, for units that are known together: a name of theirs is a workflow's or a job's."""

    def __init__(self, units: Iterable[Unit], facts: Facts) -> None:
        self.facts = facts
        self._workflows = {unit.name for unit in units if not unit.single}
        self._ticks: dict[Schedule, Ticks] = {}

    def judge(self, unit: Unit, now: datetime) -> Verdict:
        """Say whether the unit is to run now."""
        history = self.facts.of(unit.name)
        if history.paused is not None or history.open is not None:
            return NOTHING
        if unit.messages is not None:
            return Verdict(next((_for_message(unit, event) for event in history.messages.values()), None))
        met = None if unit.trigger is None else self.met(unit.trigger, self.reference(unit))
        if unit.trigger is not None and met is None:
            return NOTHING
        if unit.schedule is None:
            due = met is not None and (history.failure is None or self.succeeded_since(unit, history.failure.id))
            return Verdict(_for_events(unit, history, met)) if met is not None and due else NOTHING
        return self._by_time(unit, unit.schedule, met, now)

    def success(self, name: str) -> Event | None:
        """Return the last success of a workflow or job that others wait for.

        A job's is its own event, whichever run it was part of: the end of a unit of one job does not count twice.
        """
        history = self.facts.of(name)
        return history.succeeded if name in self._workflows else history.job_succeeded or history.succeeded

    def reference(self, unit: Unit) -> int:
        """Return the id of the event at which the unit's last successful run began; 0 before the first."""
        success = self.facts.of(unit.name).success(single=unit.single)
        if success is None:
            return 0
        return success.id if success.since is None else success.since

    def met(self, trigger: Trigger, reference: int) -> Met | None:
        """Return how the trigger holds, or None when it does not."""
        if not isinstance(trigger, AllOf | AnyOf):
            success = self.success(trigger.name)
            return None if success is None or success.id <= reference else Met(success.at, (success,))
        parts = [met for part in trigger.parts if (met := self.met(part, reference)) is not None]
        every = isinstance(trigger, AllOf)
        if not parts or (every and len(parts) < len(trigger.parts)):
            return None
        since = (max if every else min)(part.since for part in parts)
        return Met(since, tuple(event for part in parts for event in part.by))

    def succeeded_since(self, unit: Unit, event: int) -> bool:
        """Say whether a name that the unit waits for has succeeded after the event."""
        return any((last := self.success(name)) is not None and last.id > event for name in unit.waits_for())

    def tick_reference(self, unit: Unit) -> datetime | None:
        """Return the moment after which ticks count; None when no scheduler has seen the unit yet.

        With catchup "all" each tick has a run, so it is the tick of the last one; else it is the start of the last
        successful run, or its tick when a clock that was set back made that the later of the two.
        """
        history = self.facts.of(unit.name)
        first = None if history.seen is None else history.seen.at
        if unit.catchup == "all":
            return first if history.tick is None else history.tick
        success = history.success(single=unit.single)
        return first if success is None else begun(success)

    def tick(
        self, unit: Unit, ticks: Ticks, after: datetime, now: datetime, passing: Sequence[Span] = ()
    ) -> datetime | None:
        """Return the tick that a run of the unit would be for, given where ticks count from; None when there is none.

        It is the last one up to now; with catchup "all" the first. `passing`: further stretches of time whose ticks
        do not count.
        """
        skips = [*self.skips(unit, after), *passing]
        if unit.catchup != "all":
            return ticks.last(after, now, skips)
        first = ticks.first(after, skips)
        return first if first <= now else None

    def ticks(self, schedule: Schedule) -> Ticks:
        """Return the ticks of a schedule."""
        if schedule not in self._ticks:
            self._ticks[schedule] = Ticks(schedule)
        return self._ticks[schedule]

    def skips(self, unit: Unit, after: datetime) -> Sequence[Span]:
        """Return the stretches of time later than a moment whose ticks the unit lets go by."""
        if unit.catchup != "none":
            return ()
        pauses = self.facts.of(unit.name).pauses
        return [*self.facts.gaps_after(after), *(pause for pause in pauses if pause[1] > after)]

    def _by_time(self, unit: Unit, schedule: Schedule, met: Met | None, now: datetime) -> Verdict:
        after = self.tick_reference(unit)
        if after is None:
            return NOTHING
        ticks, history = self.ticks(schedule), self.facts.of(unit.name)
        opens = ticks.first(after, self.skips(unit, after))
        if history.failure is not None and not self.succeeded_since(unit, history.failure.id):
            failed = begun(history.failure)
            opens = max(opens, ticks.first(failed, self.skips(unit, failed)))
        tick = None if opens > now else self.tick(unit, ticks, after, now)
        if tick is None:
            return Verdict(until=opens)
        following = None if unit.catchup == "all" else ticks.first(tick, self.skips(unit, tick))
        return Verdict(_for_events(unit, history, met, tick, ticks.name(tick)), until=following)


def begun(event: Event) -> datetime:
    """Return when a run began, as far as ticks are concerned: never before the tick that it is for."""
    begun = event.started_at or event.at
    return begun if event.tick is None else max(begun, event.tick)


def _for_message(unit: Unit, event: Event) -> Decision:
    data = event.data or {}
    position = str(data["position"])
    return Decision(
        unit.name, f"{unit.name}/message/{position}", event.at, unit.priority, message=position,
        payload=data.get("payload"), cause=(f"message {position} came at {instant(event.at)}",),
    )  # fmt: skip


def _for_events(
    unit: Unit, history: History, met: Met | None, tick: datetime | None = None, name: str = ""
) -> Decision:
    previous = 0 if history.started is None else history.started.id
    cause = [] if met is None else [f"{event.name} succeeded at {instant(event.at)}{of_run(event)}" for event in met.by]
    moments = [] if met is None else [met.since]
    if tick is not None:
        cause.append(f"tick {name}")
        moments.append(tick)
    return Decision(
        unit.name, f"{unit.name}@{previous}", max(moments), unit.priority, tick=tick, after=previous, cause=tuple(cause)
    )


def instant(moment: datetime) -> str:
    """Return a moment for people, to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def of_run(event: Event) -> str:
    """Return which run an event speaks of, in parentheses; nothing when it is none's."""
    return f" (run {event.run_id})" if event.run_id else ""
