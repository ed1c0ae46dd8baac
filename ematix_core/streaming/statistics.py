"""How consumers fare: totals, and rates of the last 1 and 5 minutes, kept in the store for everybody to see."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from ematix_core.errors import EmatixError, StoreError
from ematix_core.store import ConsumerState, EventKind
from ematix_core.store.process import ProcessIdentity

if TYPE_CHECKING:
    from types import TracebackType

    from ematix_core.backends.stream_protocols import Positions
    from ematix_core.model.stream import Stream
    from ematix_core.store import RunStore
    from ematix_core.streaming.control import Landed

WINDOWS = {"m1": 60.0, "m5": 300.0}
"""Names and seconds of the windows that rates are told for."""
_REPORT_SECONDS = 2.0
_log = logging.getLogger(__name__)
_COUNTED = ("records", "bytes", "dead", "dropped")


@dataclass
class Meter:
    """What one consumer did. `behind`: records that the source has beyond; `latency`: seconds from event to load.

    `doing`: what takes it longer than a moment; empty when nothing does.
    """

    status: str = "running"
    error: str = ""
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*_COUNTED, "batches", "restarts"), 0))
    behind: int | None = None
    latency: float | None = None
    doing: str = ""
    positions: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    _recent: deque[tuple[float, dict[str, int]]] = field(default_factory=deque)

    def landed(self, done: Landed, now: float) -> None:
        """Count a micro-batch."""
        counts = {name: getattr(done, name) for name in _COUNTED} | {"batches": 1}
        for name, value in counts.items():
            self.totals[name] += value
        self.status, self.error, self.doing = "running", "", ""
        self.positions |= done.positions
        if done.newest is not None:
            self.latency = max(0.0, (datetime.now(UTC) - done.newest).total_seconds())
        # A second is as fine as rates are told; so there are 300 entries, whatever comes.
        if self._recent and int(self._recent[-1][0]) == int(now):
            for name, value in counts.items():
                self._recent[-1][1][name] += value
        else:
            self._recent.append((now, counts))
        while self._recent[0][0] < now - max(WINDOWS.values()):
            self._recent.popleft()

    def told(self, now: float) -> dict[str, Any]:
        """Return the statistics as plain data: totals, `behind`, `latency`, and each window's rates a second."""
        rates = {name: self._rates(now, seconds) for name, seconds in WINDOWS.items()}
        known = {"behind": self.behind, "latency": self.latency, "doing": self.doing, "positions": self.positions}
        return {**self.totals, **known, **rates}

    def _rates(self, now: float, seconds: float) -> dict[str, float]:
        since = max(now - seconds, self.started)
        length = max(now - since, 1.0)
        counts = [counts for at, counts in list(self._recent) if at >= since]
        names = (*_COUNTED, "batches")
        return {name: round(sum(one[name] for one in counts) / length, 3) for name in names}


class Statistics:
    """An observer that writes to the store every two seconds, in a thread of its own, and learns there of pauses.

    A store that cannot be reached stops no stream: the log says so, once.
    """

    def __init__(self, store: RunStore, stream: Stream, *, slot: int = 0) -> None:
        self._store = store
        self._stream = stream
        me = ProcessIdentity.current()
        self._prefix = f"{me.host}:{me.pid}:{slot}"
        self._meters = {stream.label(target): Meter() for target in stream.targets}
        self._started_at = datetime.now(UTC)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._report_on, name=f"statistics-{stream.name}", daemon=True)
        self._seen = 0
        self._trouble = False
        self.paused = False
        """Whether somebody has paused the stream."""

    def __enter__(self) -> Self:
        self._learn()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        for meter in self._meters.values():
            meter.status, meter.doing = "stopped" if error is None else "failed", ""
            meter.error = "" if error is None else str(error)
        self._report()

    def meters(self) -> dict[str, dict[str, Any]]:
        """Return the statistics of each target as plain data."""
        now = time.monotonic()
        return {
            target: {"status": self._status(meter), **meter.told(now)} for target, meter in list(self._meters.items())
        }

    def landed(self, target: str, done: Landed) -> None:
        """See Observer."""
        self._meters[target].landed(done, time.monotonic())

    def idle(self, target: str, behind: int | None) -> None:
        """See Observer."""
        meter = self._meters[target]
        meter.behind, meter.status, meter.error = behind, "running", ""

    def stands(self, target: str, behind: int | None, positions: Positions) -> None:
        """See Observer."""
        meter = self._meters[target]
        meter.behind = meter.behind if behind is None else behind
        meter.positions |= positions
        meter.doing = ""

    def searching(self, target: str, looked: int, of: int, found: int) -> None:
        """See Observer."""
        self._meters[target].doing = f"looking for bad records: {looked:,} of {of:,} looked at, {found:,} bad"

    def failed(self, target: str, error: str, retry_in: float) -> None:
        """See Observer."""
        meter = self._meters[target]
        meter.status, meter.error, meter.doing = "waiting", f"{error} (again in {retry_in:.1f} s)", ""
        meter.totals["restarts"] += 1

    def _report_on(self) -> None:
        while not self._done.wait(_REPORT_SECONDS):
            self._learn()
            self._report()

    def _learn(self) -> None:
        try:
            for event in self._store.events(after=self._seen, names=[self._stream.name]):
                self._seen = event.id
                if event.kind in {EventKind.PAUSED, EventKind.RESUMED}:
                    self.paused = event.kind is EventKind.PAUSED
        except StoreError as error:
            self._troubled(error)

    def _report(self) -> None:
        now = time.monotonic()
        try:
            for target, meter in self._meters.items():
                self._store.note_consumer(
                    ConsumerState(
                        consumer_id=f"{self._prefix}:{self._stream.name}:{target}"[:255], stream=self._stream.name,
                        target=target, status=self._status(meter), started_at=self._started_at, error=meter.error,
                        stats=meter.told(now),
                    )
                )  # fmt: skip
            self._trouble = False
        except StoreError as error:
            self._troubled(error)

    def _status(self, meter: Meter) -> str:
        return "paused" if self.paused and meter.status == "running" else meter.status

    def _troubled(self, error: EmatixError) -> None:
        if not self._trouble:
            _log.warning("statistics of stream %s cannot be written, the stream goes on: %s", self._stream.name, error)
        self._trouble = True
