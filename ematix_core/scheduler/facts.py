"""What the events so far have told, by name: all that triggers look at.

A name keeps the last event of each kind and little else: just what `RunStore.prune` leaves. So a scheduler that starts
anew from the retained events knows what the one before it knew.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ematix_core.store.records import EventKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ematix_core.store.records import Event

    Span = tuple[datetime, datetime]
    """A stretch of time from after the first moment up to and including the second."""


@dataclass(slots=True)
class History:
    """What is known of one unit, or of one job."""

    seen: Event | None = None
    started: Event | None = None
    end: Event | None = None
    """The end of the run that started last; None while it is open."""
    succeeded: Event | None = None
    job_succeeded: Event | None = None
    tick: datetime | None = None
    """The latest tick that a successful run was for."""
    paused: Event | None = None
    """Since when it is paused; None when it is not."""
    pauses: list[Span] = field(default_factory=list)
    """The pauses that are over."""
    messages: dict[str, Event] = field(default_factory=dict)
    """Messages that no run has consumed, by position, in the order in which they came."""

    @property
    def open(self) -> Event | None:
        """The STARTED event of the run that is open; None when none is."""
        return self.started if self.end is None else None

    @property
    def failure(self) -> Event | None:
        """The STARTED event of the last run, when that ended without success."""
        return self.started if self.end is not None and self.end.kind is not EventKind.SUCCEEDED else None

    def success(self, *, single: bool) -> Event | None:
        """Return the event that tells of the last successful run of the unit.

        A run of a single job ends with two events, of the job and of the unit: the later one speaks of the whole run.
        """
        if single and self.job_succeeded is not None:
            return self.job_succeeded if self.succeeded is None else max(self.succeeded, self.job_succeeded, key=_id)
        return self.succeeded


class Facts:
    """The histories of all names, and the stretches of time in which no scheduler was awake."""

    def __init__(self) -> None:
        self._histories: dict[str, History] = {}
        self._gaps: list[Span] = []

    def of(self, name: str) -> History:
        """Return the history of a unit or a job; an empty one when nothing has happened to it."""
        history = self._histories.get(name)
        if history is None:
            history = self._histories[name] = History()
        return history

    def gaps_after(self, moment: datetime) -> Sequence[Span]:
        """Return the gaps that end later than the moment."""
        return self._gaps[bisect_right(self._gaps, moment, key=_end) :]

    def apply(self, event: Event) -> None:
        """Take in the next event."""
        history = self.of(event.name)
        match event.kind:
            case EventKind.SEEN:
                history.seen = event
            case EventKind.STARTED:
                history.started, history.end = event, None
                if event.data:
                    history.messages.pop(event.data.get("position", ""), None)
            case EventKind.SUCCEEDED | EventKind.FAILED | EventKind.CANCELLED:
                _end_run(history, event)
            case EventKind.JOB_SUCCEEDED:
                history.job_succeeded = event
            case EventKind.PAUSED:
                history.paused = event
            case EventKind.RESUMED:
                if history.paused is not None:
                    history.pauses.append((history.paused.at, event.at))
                history.paused = None
            case EventKind.MESSAGE:
                history.messages[str((event.data or {})["position"])] = event
            case EventKind.GAP:
                insort(self._gaps, (event.started_at or event.at, event.at), key=_end)


def _end_run(history: History, event: Event) -> None:
    if history.started is not None and event.since == history.started.id:
        history.end = event
    if event.kind is EventKind.SUCCEEDED:
        history.succeeded = event
        if event.tick is not None:
            history.tick = event.tick if history.tick is None else max(history.tick, event.tick)


def _id(event: Event) -> int:
    return event.id


def _end(span: Span) -> datetime:
    return span[1]
