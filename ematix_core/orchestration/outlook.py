"""Which of many units are worth asking the gate about, for somebody who looks again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.scheduler.triggers import Triggers
from ematix_core.store import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ematix_core.model.unit import Unit
    from ematix_core.store import SchedulerStore

_ENDS = frozenset({EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED})


class Outlook:
    """What the events of a store tell of some units. Each event is read once, so a look costs what is new.

    It decides nothing: whoever has looked asks the gate of each unit that was named. Not for several threads at once.
    """

    def __init__(self, units: Iterable[Unit]) -> None:
        self._units = {unit.name: unit for unit in units}
        self._names = [
            "",
            *dict.fromkeys(name for one in self._units.values() for name in (one.name, *one.waits_for())),
        ]
        self._triggers = Triggers(self._units.values())
        self._open: dict[str, None] = {}
        self._last = 0
        self._seen = False

    def look(self, store: SchedulerStore, moment: datetime) -> list[str]:
        """Read what has come, and return the units that are due, the most urgent first, and those that run.

        The units count as seen since the first look at them. Raises StoreError.
        """
        if store.last_event() < self._last:  # another store has come in the place of the one before
            self._triggers, self._open, self._last, self._seen = Triggers(self._units.values()), {}, 0, False
        if not self._seen:
            store.see(self._units, at=moment)
            self._seen = True
        for event in store.events(after=self._last, names=self._names):
            self._last = event.id
            self._triggers.apply(event)
            if event.kind is EventKind.STARTED:
                self._open[event.name] = None
            elif event.kind in _ENDS:
                self._open.pop(event.name, None)
        due = [decision.unit for decision in self._triggers.due(moment)]
        return [*due, *(name for name in self._open if name in self._units)]

    def explain(self, unit: str, moment: datetime) -> str:
        """Return why the unit runs or does not, in a few lines. Raises ProjectError for an unknown name."""
        return str(self._triggers.explain(unit, moment))
