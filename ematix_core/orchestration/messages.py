"""The messages of one unit, for an orchestrator that looks for them itself: our scheduler is not at work there."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from ematix_core.engine.environment import Environment
from ematix_core.errors import EmatixError, ProjectError
from ematix_core.scheduler.pollers import open_poller
from ematix_core.store import EventKind

if TYPE_CHECKING:
    from ematix_core.model.unit import Unit
    from ematix_core.orchestration.site import OpenSite
    from ematix_core.scheduler.messages import MessagePoller
    from ematix_core.store import Event

_log = logging.getLogger(__name__)
_ENDS = frozenset({EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED})


class Messages:
    """The message source of a unit. For one thread at a time; every method may block for moments, and may repeat.

    A message is consumed once its run has begun, which the store knows: nothing has to be remembered from one object to
    the next. What an orchestrator's gate decides, it decides by the same events.
    """

    def __init__(self, site: OpenSite, unit: Unit) -> None:
        """Connect to nothing yet. Raises ProjectError for a unit without messages, and what looking up raises."""
        if unit.messages is None:
            raise ProjectError(
                f"{unit.name} runs for no messages", where=f"workflow {unit.name}",
                hint="Declare where they come from: ematix.workflow(..., on_message=ematix.inbox(...)).",
            )  # fmt: skip
        self._unit = unit.name
        self._store = site.store
        self._source = unit.messages
        environment = Environment(project=site.of().project, settings=site.settings, redactor=site.redactor)
        placed = replace(self._source, connection=site.placed(environment.connection(self._source.connection)))
        self._poller: MessagePoller = open_poller(placed, environment)
        self._checked = False
        self._after = 0
        self._known: set[str] = set()
        self._waiting: dict[str, None] = {}  # in the order in which they came
        self._open: dict[str, str] = {}
        self._done: set[str] = set()
        self._paused = False

    def look(self) -> str | None:
        """Look once for new messages, write them to the store, and return the position of the one that is to run next.

        None while there is none, while a run of the unit is open, and while it is paused. Messages whose runs have
        succeeded are taken away first. Raises what the source and the store raise; Transient errors may go away.
        """
        self._read()
        if not self._checked:
            self._poller.check()
            self._done = set(self._poller.remaining(self._done))
            self._checked = True
        self._take_away()
        for message in self._poller.poll(self._known):
            self._store.add_message(self._unit, message.position, message.payload)
            self._known.add(message.position)
        self._read()
        if self._open or self._paused:
            return None
        return next(iter(self._waiting), None)

    def close(self) -> None:
        """Release everything."""
        self._poller.close()

    def _read(self) -> None:
        for event in self._store.events(after=self._after, names=[self._unit]):
            self._after = event.id
            self._apply(event)

    def _apply(self, event: Event) -> None:
        position = str((event.data or {}).get("position", ""))
        if event.kind is EventKind.MESSAGE:
            self._known.add(position)
            self._waiting[position] = None
        elif event.kind is EventKind.STARTED and event.run_id:
            self._open[event.run_id] = position
            self._waiting.pop(position, None)
        elif event.kind in _ENDS and event.run_id:
            consumed = self._open.pop(event.run_id, "")
            if consumed and event.kind is EventKind.SUCCEEDED:
                self._done.add(consumed)
        elif event.kind in {EventKind.PAUSED, EventKind.RESUMED}:
            self._paused = event.kind is EventKind.PAUSED

    def _take_away(self) -> None:
        for position in list(self._done):
            try:
                self._poller.done(position)
            except EmatixError as error:
                _log.warning("%s: message %s could not be taken away: %s", self._unit, position, error)
                continue
            self._done.discard(position)
