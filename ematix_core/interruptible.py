"""Waiting in the main thread so that Ctrl-C is noticed at once, whatever else the process has loaded.

Python's own waits return at a signal because its handlers interrupt system calls. A library that puts a handler before
Python's (runtimes of Rust do, and `asyncio` does) makes the system go on waiting: KeyboardInterrupt is then raised only
when the wait is over, which is when there is nothing left to stop. These look again from time to time.
"""

from __future__ import annotations

from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection
    from concurrent.futures import Future

_LOOK_SECONDS = 0.2


def wait_for(futures: Collection[Future[Any]], return_when: str = ALL_COMPLETED) -> set[Future[Any]]:
    """Wait as `concurrent.futures.wait` does; return those that have ended."""
    while True:
        done, pending = wait(futures, timeout=_LOOK_SECONDS, return_when=return_when)
        if not pending or (done and _enough(done, return_when)):
            return done


def wait_until(event: threading.Event) -> None:
    """Wait until the event is set."""
    while not event.wait(_LOOK_SECONDS):
        pass


def _enough(done: Collection[Future[Any]], return_when: str) -> bool:
    if return_when == ALL_COMPLETED:
        return False
    return return_when == FIRST_COMPLETED or any(one.cancelled() or one.exception() for one in done)
