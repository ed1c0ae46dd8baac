"""One event loop for all connections of the process, in a thread of its own while there are any.

One, because a relay passes each chunk from connection to connection: between two loops in two threads 6M rows take
5 s of CPU, within one 1 s.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import threading

_ROUNDS = 5
_PATIENCE = 1.0
_LOOK_SECONDS = 0.002


class _Loop(asyncio.SelectorEventLoop):
    """A loop that shows which sockets it watches."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        super().__init__(self.selector)


class SharedLoop:
    """Counts its users: the thread starts with the first and ends with the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._loop: _Loop | None = None
        self._thread: threading.Thread | None = None

    def acquire(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs until as many have said `release`."""
        with self._lock:
            if self._loop is None:
                self._loop = _Loop()
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
            loop.run_until_complete(_settled(loop))
            loop.close()


async def _settled(loop: _Loop) -> None:
    """Let every socket be closed: those of connections that were given up, and of the requests to cancel a statement.

    asyncpg sends such a request on a connection of its own, and goes on waiting for the server after `close`.
    """
    await loop.shutdown_asyncgens()
    given_up = loop.time() + _PATIENCE
    while len(loop.selector.get_map()) > 1 and loop.time() < given_up:  # noqa: ASYNC110 - a selector tells nobody; one is the loop's own
        await asyncio.sleep(_LOOK_SECONDS)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)


shared = SharedLoop()


def _forget() -> None:
    global shared  # noqa: PLW0603 - a forked child has the object, but not its thread
    shared = SharedLoop()


os.register_at_fork(after_in_child=_forget)
