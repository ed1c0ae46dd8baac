"""How a consumer is stopped, paused and bounded, and whom it tells how it goes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ematix_core.backends.stream_protocols import Positions, Start
    from ematix_core.engine.result import TargetResult

_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Until:
    """When a consumer ends by itself.

    `idle`: when it has come as far as the source had at its start, and there is nothing more. `once`: after one
    micro-batch, or when there is none. `start`: where it begins instead of where it ended. `before`: when it has
    come there, and what lies behind is not loaded.
    """

    idle: bool = False
    once: bool = False
    start: Start | None = None
    before: Positions = field(default_factory=dict)


@dataclass
class Control:
    """Stops and pauses consumers from another thread. `paused` is asked between two micro-batches.

    `lost` is asked several times a second: whether the right to consume is lost, which is a cancellation.
    """

    paused: Callable[[], bool] = lambda: False
    lost: Callable[[], bool] = lambda: False
    _stop: threading.Event = field(default_factory=threading.Event)
    _cancel: threading.Event = field(default_factory=threading.Event)
    _several: Control | None = None

    def of(self, paused: Callable[[], bool], lost: Callable[[], bool] = lambda: False) -> Control:
        """Return the control of one of several streams: stopped with this one or by itself, paused by itself."""
        return Control(paused, lost, _several=self)

    @property
    def stopping(self) -> bool:
        """Whether consumers are to end after the micro-batch that they are at."""
        return self._stop.is_set() or self.lost() or (self._several is not None and self._several.stopping)

    def stop(self) -> None:
        """Have consumers load what they have, and end. From any thread, or a signal handler."""
        self._stop.set()

    def cancel(self) -> None:
        """Have consumers roll back what they are at, and end. From any thread."""
        self._cancel.set()
        self._stop.set()

    @property
    def cancelled(self) -> bool:
        """Whether consumers are to roll back."""
        return self._cancel.is_set() or self.lost() or (self._several is not None and self._several.cancelled)

    def wait(self, seconds: float) -> bool:
        """Wait, or until a stop is asked for; return whether it is."""
        end = time.monotonic() + seconds
        while not self.stopping and (left := end - time.monotonic()) > 0:
            self._stop.wait(min(left, _LOOK_SECONDS))
        return self.stopping


class Observer(Protocol):
    """Is told what a consumer does, in the consumer's own thread."""

    def landed(self, target: str, done: Landed) -> None:
        """Take note of a micro-batch that was loaded."""
        ...

    def idle(self, target: str, behind: int | None) -> None:
        """Take note that there was nothing to load; `behind`: records that the source has beyond (None: not told)."""
        ...

    def stands(self, target: str, behind: int | None, positions: Positions) -> None:
        """Take note of where a consumer is, told now and then and at its end, and how far behind (None: not known)."""
        ...

    def searching(self, target: str, looked: int, of: int, found: int) -> None:
        """Take note that bad records are looked for in a micro-batch, told every second: how far that is."""
        ...

    def failed(self, target: str, error: str, retry_in: float) -> None:
        """Take note that the consumer begins again after that many seconds."""
        ...


@dataclass(frozen=True)
class Landed:
    """One micro-batch: its records and bytes as polled, what became of them, and how long it took, in seconds.

    `newest`: the latest event time in it. `positions`: of all partitions after it.
    """

    records: int
    bytes: int
    dead: int
    dropped: int
    result: TargetResult
    seconds: float
    newest: datetime | None
    positions: Positions


class Unobserved:
    """An observer that looks away."""

    def landed(self, target: str, done: Landed) -> None:
        """See Observer."""

    def idle(self, target: str, behind: int | None) -> None:
        """See Observer."""

    def stands(self, target: str, behind: int | None, positions: Positions) -> None:
        """See Observer."""

    def searching(self, target: str, looked: int, of: int, found: int) -> None:
        """See Observer."""

    def failed(self, target: str, error: str, retry_in: float) -> None:
        """See Observer."""
