"""The event loop that all connections share."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from ematix_core.backends.postgres.loop import SharedLoop

if TYPE_CHECKING:
    from collections.abc import Iterator


async def where() -> str:
    return threading.current_thread().name


def test_users_share_one_loop_in_a_thread_that_ends_with_the_last_of_them() -> None:
    shared = SharedLoop()
    first, second = shared.acquire(), shared.acquire()
    assert first is second
    assert asyncio.run_coroutine_threadsafe(where(), first).result(5) == "postgres"
    shared.release()
    assert first.is_running()
    shared.release()
    assert first.is_closed()
    assert "postgres" not in {thread.name for thread in threading.enumerate()}


def test_a_loop_that_has_ended_is_followed_by_another() -> None:
    shared = SharedLoop()
    ended = shared.acquire()
    shared.release()
    again = shared.acquire()
    assert again is not ended
    assert asyncio.run_coroutine_threadsafe(where(), again).result(5) == "postgres"
    shared.release()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


async def ask(port: int) -> None:
    """Wait for a server to close the connection, as asyncpg does when it has asked to cancel a statement."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("answers", [True, False])
def test_what_still_waits_for_a_server_at_the_end_leaves_no_socket_behind(server: socket.socket, answers: bool) -> None:
    shared = SharedLoop()
    asyncio.run_coroutine_threadsafe(ask(server.getsockname()[1]), shared.acquire())
    peer, _ = server.accept()
    if answers:
        threading.Timer(0.1, peer.close).start()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        shared.release()
        gc.collect()
    assert [str(warning.message) for warning in warned] == []
    if not answers:
        with peer:
            assert peer.recv(1) == b""
