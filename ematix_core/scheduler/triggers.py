"""Which units are to run: a pure function of the declarations, the events and the time.

`decide` asks once. `Triggers` answers the same while events keep coming in, at the cost of what changes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from ematix_core.errors import ProjectError, near
from ematix_core.scheduler.explanation import explain
from ematix_core.scheduler.facts import Facts
from ematix_core.scheduler.rules import Decision, Rules
from ematix_core.store.records import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ematix_core.model.unit import Unit
    from ematix_core.scheduler.explanation import Explanation
    from ematix_core.store.records import Event, WorkflowRun

__all__ = ["Decision", "Triggers", "decide"]

_EVER = datetime.min.replace(tzinfo=UTC)
_SPARE = 100
_Ranked = tuple[tuple[int, datetime, str], Decision]


def decide(units: Iterable[Unit], events: Iterable[Event], now: datetime) -> list[Decision]:
    """Return what is to run now: higher priority first, then what became due earlier."""
    triggers = Triggers(units)
    for event in events:
        triggers.apply(event)
    return triggers.due(now)


class Triggers:
    """The units of a project, and what the events so far have told about them.

    An event costs the units that it concerns, a question what has changed since the last one. Not safe to use from
    several threads.
    """

    def __init__(self, units: Iterable[Unit]) -> None:
        self._facts = Facts()
        self._now = _EVER
        self.replace(units)

    def replace(self, units: Iterable[Unit]) -> None:
        """Take other units, such as those of a project that was loaded anew. What happened to their names stays."""
        self._units = {unit.name: unit for unit in units}
        self._rules = Rules(self._units.values(), self._facts)
        self._waiting: dict[str, list[str]] = {}
        for unit in self._units.values():
            for name in unit.waits_for():
                self._waiting.setdefault(name, []).append(unit.name)
        self._changed = set(self._units)
        self._due: dict[str, _Ranked] = {}
        self._ranked: list[_Ranked] = []
        self._until: dict[str, datetime] = {}
        self._times: list[tuple[datetime, str]] = []

    def apply(self, event: Event) -> None:
        """Take in the next event. Ids must go up."""
        self._facts.apply(event)
        if event.name in self._units:
            self._changed.add(event.name)
        if event.kind in {EventKind.SUCCEEDED, EventKind.JOB_SUCCEEDED}:
            self._changed.update(self._waiting.get(event.name, ()))
        elif event.kind is EventKind.GAP:
            self._changed.update(unit.name for unit in self._units.values() if unit.catchup == "none")

    def due(self, now: datetime) -> list[Decision]:
        """Return what is to run now: higher priority first, then what became due earlier.

        A unit stays due until its STARTED event comes in.
        """
        if now < self._now:  # the clock was set back
            self._changed.update(name for name, unit in self._units.items() if unit.schedule is not None)
        self._now = now
        self._pass_time()
        if self._changed:
            self._judge()
        return [decision for _, decision in self._ranked]

    def next_tick(self) -> datetime | None:
        """Return the earliest moment at which time alone changes what is due; None when only an event can.

        It makes a unit due, or takes the place of an earlier tick for which no run has begun yet.
        """
        if self._changed:
            self._judge()
        while self._times and self._until.get(self._times[0][1]) != self._times[0][0]:
            heappop(self._times)
        return self._times[0][0] if self._times else None

    def explain(self, unit: str, now: datetime, lost: Iterable[WorkflowRun] = ()) -> Explanation:
        """Return why a unit runs or does not. Raises ProjectError for a name that no unit has.

        `lost`: runs whose processes are gone, which events do not tell.
        """
        if unit not in self._units:
            raise ProjectError(f"no unit is named {unit!r}", hint=near(unit, self._units))
        return explain(self._rules, self._units[unit], now, lost)

    def _pass_time(self) -> None:
        while self._times and self._times[0][0] <= self._now:
            moment, name = heappop(self._times)
            if self._until.get(name) == moment:
                del self._until[name]
                self._changed.add(name)

    def _judge(self) -> None:
        """Look at the units that something has happened to."""
        come: list[_Ranked] = []
        for name in self._changed:
            decision, until = self._rules.judge(self._units[name], self._now)
            known = self._due.pop(name, None)
            if decision is not None and known is not None and known[1] == decision:
                self._due[name] = known
            elif decision is not None:
                self._due[name] = (-decision.priority, decision.since, name), decision
                come.append(self._due[name])
            self._expect(name, until)
        self._changed.clear()
        if come or len(self._due) < len(self._ranked):
            self._ranked = [ranked for ranked in self._ranked if self._due.get(ranked[1].unit) is ranked] + come
            self._ranked.sort(key=_rank)

    def _expect(self, name: str, moment: datetime | None) -> None:
        """Note when time alone changes what is to be done with a unit."""
        if moment is None:
            self._until.pop(name, None)
        elif self._until.get(name) != moment:
            self._until[name] = moment
            heappush(self._times, (moment, name))
        if len(self._times) > 2 * len(self._until) + _SPARE:  # most are of moments that no longer matter
            self._times = [(moment, name) for name, moment in self._until.items()]
            heapify(self._times)


def _rank(ranked: _Ranked) -> tuple[int, datetime, str]:
    return ranked[0]
