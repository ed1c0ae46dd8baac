"""One event loop for all connections of the process, in a thread of its own while there are any.

One, because a relay passes each chunk from connection to connection: between two loops in two threads 6M rows take
5 s of CPU, within one 1 s.
"""

from __future__ import annotations

import asyncio
import os
import threading


class SharedLoop:
    """Counts its users: the thread starts with the first and ends with the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def acquire(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs until as many have said `release`."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="postgres", daemon=True)
                self._thread.start()
            self._users += 1
            return self._loop

    def release(self) -> None:
        """Say that the loop is no longer needed, once for each `acquire`."""
        with self._lock:
            self._users -= 1
            if self._users or self._loop is None or self._thread is None:
                return
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


shared = SharedLoop()


def _forget() -> None:
    global shared  # noqa: PLW0603 - a forked child has the object, but not its thread
    shared = SharedLoop()


os.register_at_fork(after_in_child=_forget)
