"""A bounded queue of byte chunks between an event loop and a thread outside it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

LIMIT = 4 * 1024 * 1024
"""Bytes that may wait: enough to keep both ends busy, few enough to bound memory."""


class ChannelClosedError(Exception):
    """The other end has given up."""


class Channel:
    """One end is a coroutine on `loop`, the other a thread; either may be the one that puts.

    The putting end says `end()` after its last chunk; either says `close()` when it gives up.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int = LIMIT) -> None:
        self._loop = loop
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._closed = False
        self._changed = threading.Condition()
        self._waiting: asyncio.Future[None] | None = None

    def put(self, chunk: bytes) -> None:
        """Add a chunk from the thread; blocks while the queue is full. Raises ChannelClosedError."""
        with self._changed:
            while self._size >= self._limit and not self._closed:
                self._changed.wait()
            self._add(chunk)
            self._wake()

    def take(self) -> list[bytes]:
        """Return all chunks that wait, from the thread; blocks until there are some. An empty list is the end."""
        with self._changed:
            while not self._chunks and not self._ended and not self._closed:
                self._changed.wait()
            chunks = list(self._chunks)
            self._chunks.clear()
            self._size = 0
            self._wake()
            return chunks

    async def put_soon(self, chunk: bytes) -> None:
        """Add a chunk from the loop; waits while the queue is full. Raises ChannelClosedError."""
        while True:
            with self._changed:
                if self._size < self._limit or self._closed:
                    self._add(chunk)
                    self._changed.notify_all()
                    return
                self._waiting = self._loop.create_future()
            await self._waiting

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the chunks on the loop until the end. Raises ChannelClosedError when the thread gave up."""
        while True:
            with self._changed:
                if self._closed:
                    raise ChannelClosedError
                chunk = self._chunks.popleft() if self._chunks else None
                if chunk is not None:
                    self._size -= len(chunk)
                    self._changed.notify_all()
                elif self._ended:
                    return
                else:
                    self._waiting = self._loop.create_future()
            if chunk is not None:
                yield chunk
            elif self._waiting is not None:
                await self._waiting

    def end(self) -> None:
        """Say that nothing more will come; what waits is still handed over."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            self._wake()

    def close(self) -> None:
        """Give up: the other end is woken, and its next put fails."""
        with self._changed:
            self._closed = True
            self._chunks.clear()
            self._changed.notify_all()
            self._wake()

    def _add(self, chunk: bytes) -> None:
        if self._closed:
            raise ChannelClosedError
        self._chunks.append(chunk)
        self._size += len(chunk)

    def _wake(self) -> None:
        """Wake the coroutine that waits; called with the lock held."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._loop.call_soon_threadsafe(_finish, waiting)


def _finish(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
