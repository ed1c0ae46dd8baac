"""When people are told: after a failure, a recovery, when a success is overdue, when a run takes long.

All of it follows from the events of the store, so a scheduler that takes over knows what the one before it has told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ematix_core.errors import StoreError, near
from ematix_core.observe.alert import Alert, AlertKind
from ematix_core.store import EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

    from ematix_core.model.unit import Unit
    from ematix_core.store import Event, RunStore

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(slots=True)
class _State:
    """What the events so far say of one unit."""

    seen: datetime | None = None
    success: datetime | None = None
    failed: datetime | None = None
    """Since when it is failing, as far as people were told."""
    late: bool = False
    open: dict[str, datetime] = field(default_factory=dict)
    """When its open runs began, by run id."""
    long: set[str] = field(default_factory=set)
    """The open runs that were told to take long."""
    told_long: bool = False
    """Whether a run took long since the last success."""


class Watch:
    """Turns events and the passing of time into alerts. Pure: no clock, no store but through `failed_job`.

    Every event has to be given to it, from the first on. `since`: when the scheduler before this one was last at work
    (now, for the first one ever): what happened earlier was told by it and changes what is known only.
    """

    def __init__(self, units: Iterable[Unit], *, since: datetime, failed_job: Callable[[str], tuple[str, str]]) -> None:
        """`failed_job` gives for the id of a workflow run the job that failed in it, and its error."""
        self._units = {unit.name: unit for unit in units}
        self._since = since
        self._failed_job = failed_job
        self._states: dict[str, _State] = {}
        self._begun = False
        self._changed: set[str] = set()
        """Units whose limits are others than before the first event: what they raise was told by nobody before."""
        self._next: datetime | None = None

    def replace(self, units: Iterable[Unit]) -> None:
        """Watch other units from now on."""
        before, self._units = self._units, {unit.name: unit for unit in units}
        for unit in self._units.values():
            old = before.get(unit.name)
            if self._begun and (old is None or (old.freshness, old.long_run) != (unit.freshness, unit.long_run)):
                self._changed.add(unit.name)
            self._expect(unit)

    def next_moment(self) -> datetime | None:
        """Return a time before which time alone raises nothing; None when it never does."""
        return self._next

    def due(self, now: datetime) -> list[Alert]:
        """Return the alerts that the passing of time until now raises, in the order of time."""
        if self._next is None or now < self._next:
            return []
        self._next = None
        found: list[Alert] = []
        for unit in self._units.values():
            found += self._overdue(unit, self._state(unit.name), now)
            self._expect(unit)
        return sorted(found, key=lambda alert: alert.at)

    def apply(self, event: Event) -> list[Alert]:
        """Take in an event and return the alerts that it raises, after those that were due before it."""
        self._begun = True
        found = self.due(event.at)
        unit = self._units.get(event.name)
        state = self._state(event.name)
        match event.kind:
            case EventKind.SEEN:
                state.seen = event.at
            case EventKind.STARTED if event.run_id:
                state.open[event.run_id] = event.at
            case EventKind.SUCCEEDED:
                self._close(state, event)
                found += self._succeeded(unit, state, event)
            case EventKind.JOB_SUCCEEDED if unit is not None and unit.single:
                found += self._succeeded(unit, state, event)
            case EventKind.FAILED:
                self._close(state, event)
                found += self._failed(unit, state, event)
            case EventKind.CANCELLED:
                self._close(state, event)
            case _:
                return found
        if unit is not None:
            self._expect(unit)
        return found

    def _state(self, name: str) -> _State:
        return self._states.setdefault(name, _State())

    def _close(self, state: _State, event: Event) -> None:
        state.open.pop(event.run_id or "", None)
        state.long.discard(event.run_id or "")

    def _expect(self, unit: Unit) -> None:
        """Look at the unit no later than at the next time at which it may raise something."""
        state = self._state(unit.name)
        moments = [began + timedelta(seconds=unit.long_run) for _, began in _untold(state)] if unit.long_run else []
        if not state.late and (late := _late_at(unit, state)) is not None:
            moments.append(late)
        self._next = min([*moments, *([self._next] if self._next else [])], default=None)

    def _overdue(self, unit: Unit, state: _State, now: datetime) -> Iterator[Alert]:
        late = _late_at(unit, state)
        if late is not None and late <= now and not state.late:
            state.late = True
            if self._is_new(unit, late):
                yield self._late(unit, state, late)
        if unit.long_run is None:
            return
        for run_id, began in _untold(state):
            until = began + timedelta(seconds=unit.long_run)
            if until <= now:
                state.long.add(run_id)
                state.told_long = True
                if self._is_new(unit, until):
                    yield self._long(unit, run_id, began, until)

    def _is_new(self, unit: Unit, moment: datetime) -> bool:
        return moment >= self._since or unit.name in self._changed

    def _succeeded(self, unit: Unit | None, state: _State, event: Event) -> Iterator[Alert]:
        ends = {
            AlertKind.FAILURE: state.failed is not None, AlertKind.LATE: state.late,
            AlertKind.LONG_RUN: state.told_long,
        }  # fmt: skip
        failed = state.failed
        state.success, state.failed, state.late, state.told_long = event.at, None, False, False
        over = tuple(kind for kind, told in ends.items() if told)
        if unit is None or not over or event.at < self._since:
            return
        text = f"It had failed since {_time(failed)}." if failed else ""
        title = f"{unit.name} has recovered"
        yield _alert(unit, AlertKind.RECOVERY, event.at, title, text=text, run_id=event.run_id or "", ends=over)

    def _failed(self, unit: Unit | None, state: _State, event: Event) -> Iterator[Alert]:
        if state.failed is not None or state.seen is None:  # not seen: no scheduler knew it, so nobody was told
            return
        state.failed = event.at
        if unit is None or event.at < self._since:
            return
        run_id = event.run_id or ""
        job, error = self._failed_job(run_id)
        yield _alert(unit, AlertKind.FAILURE, event.at, f"{unit.name} failed", text=error, run_id=run_id, job=job)

    def _late(self, unit: Unit, state: _State, at: datetime) -> Alert:
        last = f"The last success was at {_time(state.success)}." if state.success else "It has not succeeded yet."
        text = f"{last} One is expected every {_length(unit.freshness or 0)}."
        return _alert(unit, AlertKind.LATE, at, f"{unit.name} is late", text=text)

    def _long(self, unit: Unit, run_id: str, began: datetime, at: datetime) -> Alert:
        text = f"It runs since {_time(began)}, longer than {_length(unit.long_run or 0)}."
        return _alert(unit, AlertKind.LONG_RUN, at, f"a run of {unit.name} takes long", text=text, run_id=run_id)


def unknown_alerters(units: Iterable[Unit], known: Collection[str]) -> list[str]:
    """Return a line for each alerter that a unit names and the settings do not have."""
    return [
        f"{unit.name} names the alerter {name!r}, which the settings do not have. {near(name, known)}"
        for unit in units
        for name in unit.alerts
        if name not in known
    ]


def failed_job(store: RunStore, run_id: str) -> tuple[str, str]:
    """Return the job that failed first in a workflow run, and its error: the run's own when no job failed.

    Raises nothing: an alert without its error is better than none.
    """
    try:
        failed = store.runs(workflow_run_id=run_id, status=Status.FAILED, limit=None)
        if failed:
            first = min(failed, key=lambda run: run.finished_at or run.started_at)
            return first.job, first.error
        return "", store.workflow_run(run_id).error
    except StoreError as error:
        return "", f"The store does not say why: {error}"


def _late_at(unit: Unit, state: _State) -> datetime | None:
    """Return when a success is overdue; counted from when a scheduler met the unit, at the earliest."""
    if unit.freshness is None or state.seen is None:
        return None
    return max(state.seen, state.success or state.seen) + timedelta(seconds=unit.freshness)


def _untold(state: _State) -> list[tuple[str, datetime]]:
    """Return the open runs that nobody was told of."""
    return [(run_id, began) for run_id, began in state.open.items() if run_id not in state.long]


def _alert(unit: Unit, kind: AlertKind, at: datetime, title: str, **more: Any) -> Alert:  # noqa: ANN401 - of Alert
    known: dict[str, Any] = {"unit": unit.name, "to": unit.alerts, "tags": unit.tags, "owner": unit.owner}
    return Alert(kind=kind, at=at, title=title, **known, **more)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _length(seconds: float) -> str:
    """Return a length of time in the largest unit that it is whole in: `2 hours`, `90 minutes`."""
    for size, name in _UNITS:
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds:g} seconds"
