"""The event loop that all connections share."""

from __future__ import annotations

import asyncio
import threading

from ematix_core.backends.postgres.loop import SharedLoop


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
