"""When a stream has nothing to do, so that its consumer need not wait for it; and when it has again."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ematix_core.backends.stream_protocols import order_of
from ematix_core.engine.environment import Environment
from ematix_core.store import EventKind
from ematix_core.streaming.control import Unobserved
from ematix_core.streaming.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.backends.stream_protocols import Positions, StreamSource
    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from ematix_core.orchestration.site import OpenSite
    from ematix_core.streaming.control import Landed


class Rest(Unobserved):
    """An observer that ends a consumer once nothing has come for any target in so many seconds, or during a pause.

    What has come after `end`, which is asked for before the last look of each target, was not read or was noticed.
    """

    def __init__(self, source: StreamSource, stream: Stream, seconds: float, end: Callable[[], None]) -> None:
        """`source`: one of its own; `end` is called once, from a consumer's thread."""
        self._source, self._stop, self._seconds = source, end, seconds
        self._is_shared = hasattr(source, "join")
        self._targets = {stream.label(target) for target in stream.targets}
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._mark: Positions | None = None
        self._since = 0.0
        self.rested = False
        """Whether it ended the consumer."""
        self.end: Positions | None = None
        """Where the source ended then; None: not asked, for it was a pause."""

    def landed(self, target: str, done: Landed) -> None:  # noqa: ARG002 - an observer
        """Begin anew."""
        with self._lock:
            self._begin()

    def idle(self, target: str, behind: int | None) -> None:
        """End the consumer when this is the last target of which it is known, for long enough, that it has all."""
        with self._lock:
            if behind or (behind is None and self._is_shared):  # a member of a group that has no partitions yet
                self._begin()
                return
            self._seen.add(target)
            if self._seen != self._targets:
                return
            if self._mark is None:
                self._mark, self._since, self._seen = self._source.end(), time.monotonic(), set()
            elif time.monotonic() - self._since >= self._seconds and not self.rested:
                self.rested, self.end = True, self._mark
                self._stop()

    def paused(self) -> None:
        """End the consumer: a pause may be long."""
        with self._lock:
            self.rested = True
        self._stop()

    def _begin(self) -> None:
        self._seen, self._mark = set(), None


class StreamWatch:
    """Looks whether a stream that rests has something to do again. For one thread at a time; it may block for moments.

    It asks the source where it ends, and the store for pauses. It knows no targets, and reads no rows.
    """

    def __init__(self, site: OpenSite, stream: str, end: Positions | None) -> None:
        """`end`: of `Consumed`. Connects to nothing yet. Raises ProjectError for an unknown stream."""
        declared = site.stream(stream)
        self._name, self._store, self._end = stream, site.store, end
        environment = Environment(project=site.project, settings=site.settings, redactor=site.redactor)

        def place(connection: Connection | str) -> Connection:
            return site.placed(environment.connection(connection))

        join = declared.join.placed(place) if declared.join is not None else None
        placed = replace(declared, source=place(declared.source), join=join)
        self._source = open_source(environment, placed)
        self._after, self._paused = 0, False

    def look(self) -> bool:
        """Return whether the source ends elsewhere than it did, and the stream is not paused.

        Raises what source and store raise; Transient errors may go away.
        """
        for event in self._store.events(after=self._after, names=[self._name]):
            self._after = event.id
            if event.kind in {EventKind.PAUSED, EventKind.RESUMED}:
                self._paused = event.kind is EventKind.PAUSED
        return not self._paused and (self._end is None or _differ(self._source.end(), self._end))

    def close(self) -> None:
        """Release the source."""
        self._source.close()


def _differ(one: Positions, other: Positions) -> bool:
    return any(order_of(one.get(name)) != order_of(other.get(name)) for name in {*one, *other})
