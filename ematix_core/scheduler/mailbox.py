"""Work for the scheduler's thread from any other: functions that it calls in the order in which they came."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Mailbox:
    """`put` and `wake` may be called from any thread, and from signal handlers."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._asked.empty()

    def put(self, work: Callable[[], None]) -> None:
        """Have the scheduler's thread call this."""
        self._asked.put(work)

    def wake(self) -> None:
        """End the wait of `receive`."""
        self._asked.put(None)

    def receive(self, seconds: float) -> None:
        """Call all that there is, after waiting for the first of it for at most so long."""
        try:
            work = self._asked.get(timeout=max(seconds, 0.0))
            while True:
                if work is not None:
                    work()
                work = self._asked.get_nowait()
        except queue.Empty:
            return
