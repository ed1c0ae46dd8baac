"""Looks for messages while a scheduler is at work, and takes them away once their runs have succeeded."""

from __future__ import annotations

import logging
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ematix_core.errors import EmatixError, LeaseLostError
from ematix_core.scheduler.observer import Observer
from ematix_core.scheduler.pollers import open_poller
from ematix_core.store import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ematix_core.engine.environment import Environment
    from ematix_core.model.message import MessageSource
    from ematix_core.model.unit import Unit
    from ematix_core.scheduler.messages import MessagePoller
    from ematix_core.store import Event, Lease, SchedulerStore

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_LONGEST_PAUSE = 60.0


@dataclass
class _Listener:
    """One unit's source: what finds its messages, and which are known."""

    unit: str
    source: MessageSource
    poller: MessagePoller | None = None
    known: set[str] = field(default_factory=set)
    checked: bool = False
    failures: int = 0
    not_before: float = 0.0


class Listening(Observer):
    """The message sources of all units, looked at by a thread of their own while this scheduler is at work.

    Without `background` there is no thread: `look_once` and `take_away` are called instead.
    """

    def __init__(self, store: SchedulerStore, environment: Environment, *, background: bool = True) -> None:
        self._store = store
        self._background = background
        self._environment = environment
        self._token = 0
        self._sources: dict[str, MessageSource] = {}
        self._running: dict[str, tuple[str, str]] = {}
        self._come: dict[str, set[str]] = {}
        self._done: dict[str, set[str]] = {}
        self._ended: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._listeners: dict[str, _Listener] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def lead(self, lease: Lease) -> None:
        self._token = lease.token
        self._running, self._come, self._done = {}, {}, {}
        self._ended = queue.SimpleQueue()

    def units(self, units: Iterable[Unit]) -> None:
        self._sources = {unit.name: unit.messages for unit in units if unit.messages is not None}

    def event(self, event: Event) -> None:
        position = str((event.data or {}).get("position", ""))
        if event.kind is EventKind.MESSAGE:
            self._come.setdefault(event.name, set()).add(position)
        elif event.kind is EventKind.STARTED and event.run_id and position:
            self._running[event.run_id] = (event.name, position)
        elif event.kind in {EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED} and event.run_id:
            unit, position = self._running.pop(event.run_id, ("", ""))
            if position and event.kind is EventKind.SUCCEEDED:
                self._done.setdefault(unit, set()).add(position)
                self._ended.put((unit, position))

    def look(self, _: object) -> None:
        if self._background and self._thread is None and self._sources:
            self._over = threading.Event()
            self._thread = threading.Thread(target=self._listen, name="ematix-messages", daemon=True)
            self._thread.start()

    def rest(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._close()

    def look_once(self) -> None:
        """Look for new messages of all units. Raises LeaseLostError."""
        self._renew()
        for listener in list(self._listeners.values()):
            if not self._over.is_set() and listener.not_before <= time.monotonic():
                self._ask(listener)

    def _listen(self) -> None:
        try:
            while not self._over.wait(LOOK_SECONDS if self._listeners else 0):
                self.take_away()
                self.look_once()
        except LeaseLostError:
            _log.info("no longer looking for messages: another scheduler is at work")
        finally:
            self._close()

    def _close(self) -> None:
        for listener in self._listeners.values():
            _close(listener)
        self._listeners.clear()

    def _renew(self) -> None:
        """Keep the listeners those of the units there are now."""
        sources = dict(self._sources)
        for unit, listener in list(self._listeners.items()):
            if sources.get(unit) != listener.source:
                _close(self._listeners.pop(unit))
        for unit, source in sources.items():
            if unit not in self._listeners:
                known = self._come.setdefault(unit, set())
                self._listeners[unit] = _Listener(unit, source, known=known)

    def _ask(self, listener: _Listener) -> None:
        """Look once for new messages; a source that fails is asked again later, ever more rarely."""
        try:
            poller = self._opened(listener)
            for message in poller.poll(listener.known):
                self._store.add_message(listener.unit, message.position, message.payload, token=self._token)
                listener.known.add(message.position)
        except LeaseLostError:
            raise
        except EmatixError as error:
            listener.failures += 1
            pause = min(LOOK_SECONDS * 2**listener.failures, _LONGEST_PAUSE)
            listener.not_before = time.monotonic() + pause
            _log.warning("%s: its messages cannot be read, asking again in %.0f s: %s", listener.unit, pause, error)
            return
        listener.failures = 0

    def _opened(self, listener: _Listener) -> MessagePoller:
        if listener.poller is None:
            listener.poller = open_poller(listener.source, self._environment)
        if not listener.checked:
            listener.poller.check()
            for position in listener.poller.remaining(self._done.get(listener.unit, set())):
                listener.poller.done(position)
            listener.checked = True
        return listener.poller

    def take_away(self) -> None:
        """Take away the messages whose runs have succeeded."""
        again: list[tuple[str, str]] = []
        while not self._ended.empty():
            unit, position = self._ended.get()
            listener = self._listeners.get(unit)
            if listener is None or listener.poller is None or not listener.checked:
                continue  # `remaining` finds it
            try:
                listener.poller.done(position)
            except EmatixError as error:
                _log.warning("%s: message %s could not be taken away: %s", unit, position, error)
                again.append((unit, position))
        for one in again:
            self._ended.put(one)


def _close(listener: _Listener) -> None:
    if listener.poller is not None:
        listener.poller.close()
