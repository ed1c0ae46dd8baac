"""Why a unit runs or does not: each condition, met or missing and by what, and what will happen next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ematix_core.model.trigger import AllOf, AnyOf
from ematix_core.scheduler.rules import begun, instant, of_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ematix_core.model.schedule import Schedule
    from ematix_core.model.trigger import Trigger
    from ematix_core.model.unit import Unit
    from ematix_core.scheduler.rules import Rules
    from ematix_core.store.records import Event, WorkflowRun

State = Literal["due", "waiting", "held", "running", "lost", "paused"]
_SAYS = {
    "due": "is due",
    "waiting": "waits",
    "held": "waits after a run without success",
    "running": "is running",
    "lost": "has a run whose process is gone",
    "paused": "is paused",
}

_CARRIED_ON = "a scheduler (`flow scheduler`, `flow run-due`) carries the run on, without the jobs that have succeeded"


@dataclass(frozen=True)
class Condition:
    """One condition of a unit. `since`, `run_id`, `event`: of what it is met by, as far as there is such a thing."""

    what: str
    met: bool
    why: str = ""
    since: datetime | None = None
    run_id: str | None = None
    event: int | None = None
    parts: tuple[Condition, ...] = ()

    def lines(self, indent: str) -> Iterator[str]:
        """Yield the condition and its parts, a line each."""
        yield f"{indent}{'met    ' if self.met else 'missing'}  {self.what}{f': {self.why}' if self.why else ''}"
        for part in self.parts:
            yield from part.lines(f"{indent}  ")


@dataclass(frozen=True)
class Explanation:
    """How a unit stands at a moment. It prints as a few lines.

    `state`: "due" (it runs now), "waiting", "held" (its conditions hold, but the last run failed or was cancelled and
    nothing has happened since), "running", "lost" (a run is open, but its process is gone) or "paused"; `since` and
    `run_id` belong to it. While a run is open the conditions are those of the next one, provided that it succeeds.
    `next_tick` is in the schedule's own zone.
    """

    unit: str
    at: datetime
    state: State
    since: datetime | None
    run_id: str | None
    last_success: datetime | None
    """When the last successful run began: conditions count from here."""
    conditions: tuple[Condition, ...]
    next_tick: datetime | None
    next: str
    """What will happen next, in a sentence."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    def __str__(self) -> str:
        """Return it for people."""
        begun = ", begun" if self.state == "lost" else " since"
        since = f"{begun} {instant(self.since)}" if self.since else ""
        run = f" (run {self.run_id})" if self.run_id else ""
        last = (
            f"its last successful run began at {instant(self.last_success)}" if self.last_success else "never succeeded"
        )
        lines = [f"{self.unit} {_SAYS[self.state]}{since}{run}; {last}"]
        for condition in self.conditions:
            lines += condition.lines("  ")
        if self.next_tick is not None:
            lines.append(f"next tick: {self.next_tick:%Y-%m-%d %H:%M %Z}")
        return "\n".join([*lines, f"next: {self.next}"])


@dataclass(frozen=True)
class _Standing:
    """What an explanation is made from: the unit among the facts, and from where its conditions count."""

    rules: Rules
    unit: Unit
    now: datetime
    reference: int
    after: datetime | None
    pause: datetime | None = None
    """Since when the unit is paused, if its ticks are let go by meanwhile."""

    def conditions(self) -> Iterator[Condition]:
        """Yield the unit's conditions."""
        if self.unit.messages is not None:
            waiting = list(self.rules.facts.of(self.unit.name).messages.values())
            first = waiting[0] if waiting else None
            why = "no message waits" if first is None else f"{len(waiting)} waiting since {instant(first.at)}"
            yield Condition(
                f"messages of {self.unit.messages}", first is not None, why,
                None if first is None else first.at, event=None if first is None else first.id,
            )  # fmt: skip
        if self.unit.trigger is not None:
            yield self._trigger(self.unit.trigger)
        if self.unit.schedule is not None:
            yield self._schedule(self.unit.schedule)

    def next_tick(self) -> datetime | None:
        """Return the next tick to come that counts, in the schedule's own zone."""
        schedule = self.unit.schedule
        if schedule is None:
            return None
        after = self.now if self.after is None else max(self.now, self.after)  # the clock may have been set back
        return schedule.local(self.rules.ticks(schedule).first(after))

    def missing(self) -> str:
        """Return what has to be before all conditions hold, such as `orders has succeeded and a message has come`."""
        wanted = []
        if self.unit.messages is not None:
            wanted.append("a message has come")
        if self.unit.trigger is not None and (names := self._wanted(self.unit.trigger)):
            wanted.append(f"{names} {'have' if ' and ' in names else 'has'} succeeded")
        if self.unit.schedule is not None and not self._schedule(self.unit.schedule).met:
            wanted.append(self._tick_wanted())
        return " and ".join(wanted)

    def after_failure(self) -> str:
        """Return what has to happen after a run without success, such as `orders succeeds again`."""
        further = [f"{' or '.join(self.unit.waits_for())} succeeds again"] if self.unit.trigger is not None else []
        further += [f"the tick of {_wall(tick)} comes"] if (tick := self.next_tick()) is not None else []
        return " or ".join(further)

    def _trigger(self, trigger: Trigger) -> Condition:
        met = self.rules.met(trigger, self.reference)
        if isinstance(trigger, AllOf | AnyOf):
            return Condition(
                "all of" if isinstance(trigger, AllOf) else "any of", met is not None,
                since=None if met is None else met.since, parts=tuple(map(self._trigger, trigger.parts)),
            )  # fmt: skip
        last = self.rules.success(trigger.name)
        if last is None:
            return Condition(trigger.name, met=False, why="has not succeeded yet")
        if met is None:
            why = f"has not succeeded again since {instant(last.at)}{of_run(last)}, which is used up"
            return Condition(trigger.name, met=False, why=why)
        why = f"succeeded at {instant(last.at)}{of_run(last)}"
        return Condition(trigger.name, met=True, why=why, since=last.at, run_id=last.run_id, event=last.id)

    def _schedule(self, schedule: Schedule) -> Condition:
        what = f"schedule {schedule}"
        if self.after is None:
            return Condition(what, met=False, why="no scheduler has seen it yet; its ticks count from then on")
        ticks = self.rules.ticks(schedule)
        tick = self.rules.tick(self.unit, ticks, self.after, self.now, [(self.pause, self.now)] if self.pause else [])
        if tick is None:
            return Condition(what, met=False, why=self._no_tick(schedule, ticks.last(self.after, self.now)))
        return Condition(what, met=True, why=f"tick {_wall(schedule.local(tick))}", since=tick)

    def _no_tick(self, schedule: Schedule, passed: datetime | None) -> str:
        assert self.after is not None  # noqa: S101 - else no tick is looked for
        if passed is None:
            return f"no tick since {_wall(schedule.local(self.after))}"
        why = "it is paused" if self.pause else "no scheduler was at work, or it was paused"
        return f"tick {_wall(schedule.local(passed))} is let go by, as {why} (catchup='none')"

    def _tick_wanted(self) -> str:
        tick = self.next_tick()
        if self.after is None or tick is None:
            return "a scheduler has seen it and a tick has come"
        return f"the tick of {_wall(tick)} has come"

    def _wanted(self, trigger: Trigger) -> str:
        """Return the names that are missing, such as `orders, and stock or prices`; nothing when it holds."""
        if self.rules.met(trigger, self.reference) is not None:
            return ""
        if not isinstance(trigger, AllOf | AnyOf):
            return trigger.name
        parts = [wanted for part in trigger.parts if (wanted := self._wanted(part))]
        if len(parts) == 1:
            return parts[0]
        link = " and " if isinstance(trigger, AllOf) else " or "
        return link.join(f"({part})" if " " in part else part for part in parts)


def explain(rules: Rules, unit: Unit, now: datetime, lost: Iterable[WorkflowRun] = ()) -> Explanation:
    """Explain how the unit stands now. `lost`: runs whose processes are gone, as far as they may be the unit's."""
    history = rules.facts.of(unit.name)
    success = history.success(single=unit.single)
    pause = history.paused.at if history.paused is not None and unit.catchup == "none" else None
    standing = _Standing(rules, unit, now, rules.reference(unit), rules.tick_reference(unit), pause)
    if history.open is not None:
        after = _after_run(unit, history.open, history.tick)
        standing = _Standing(rules, unit, now, history.open.id, after, pause)
    conditions = tuple(standing.conditions())
    holds = all(condition.met for condition in conditions)
    due = rules.judge(unit, now).decision
    state: State = "due" if due is not None else "held" if holds else "waiting"
    by: Event | None = history.end if state == "held" else None
    gone = None
    if history.open is not None:
        gone = next((run for run in lost if run.workflow_run_id == history.open.run_id), None)
        state, by = "running" if gone is None else "lost", history.open
    elif history.paused is not None:
        state, by = "paused", history.paused
    return Explanation(
        unit=unit.name,
        at=now,
        state=state,
        since=due.since if due is not None else by.at if by is not None else None,
        run_id=None if by is None else by.run_id,
        last_success=None if success is None else success.started_at or success.at,
        conditions=conditions,
        next_tick=standing.next_tick(),
        next=_next(standing, state, holds=holds, paused=history.paused, gone=gone),
    )


def _after_run(unit: Unit, run: Event, tick: datetime | None) -> datetime | None:
    """Return from where ticks count when the open run will have succeeded."""
    if unit.catchup != "all":
        return begun(run)
    ticks = [moment for moment in (tick, run.tick) if moment is not None]
    return max(ticks, default=begun(run))


def _next(standing: _Standing, state: State, *, holds: bool, paused: Event | None, gone: WorkflowRun | None) -> str:
    unit = standing.unit
    resumed = f"once it is resumed (`flow resume {unit.name}`)"
    when = "at once" if holds else f"when {standing.missing()}"
    if gone is not None and gone.token is None:
        again = when if unit.messages is not None else f"when {standing.after_failure()}"
        by_hand = f"`flow runs restart {gone.workflow_run_id}` goes on with it at once"
        return f"a scheduler records this run as failed, and {by_hand}; it runs again {again}"
    if state in {"running", "lost"}:
        first = f"{_CARRIED_ON}; " if state == "lost" else ""
        over = "when this run has ended" if unit.messages is not None else "if this run succeeds"
        return f"{first}{over}, it runs again {when}{f', {resumed}' if paused else ''}"
    if state == "paused":
        return f"nothing; {resumed}, it runs {when}"
    if state == "held":
        return f"it runs again when {standing.after_failure()}; `flow runs rerun` does it now"
    return "a scheduler starts it as soon as there is a place" if state == "due" else f"it runs {when}"


def _wall(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"


def _plain(value: Any) -> Any:  # noqa: ANN401 - the fields of a dataclass, as deep as they go
    match value:
        case datetime():
            return value.isoformat()
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
    return value
