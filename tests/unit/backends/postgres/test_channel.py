"""The queue between an event loop and a thread: bounded, and woken when the other end gives up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ematix_core.backends.postgres.channel import Channel, ChannelClosedError


def collected(channel: Channel, found: list[bytes]) -> None:
    while chunks := channel.take():
        found.extend(chunks)


def test_chunks_put_on_the_loop_arrive_in_order_in_the_thread() -> None:
    sent = [bytes([number]) * 100 for number in range(200)]
    found: list[bytes] = []

    async def put() -> None:
        channel = Channel(asyncio.get_running_loop(), limit=1000)
        thread = threading.Thread(target=collected, args=(channel, found))
        thread.start()
        for chunk in sent:
            await channel.put_soon(chunk)
        channel.end()
        await asyncio.to_thread(thread.join)

    asyncio.run(put())
    assert found == sent


def test_chunks_put_in_the_thread_arrive_in_order_on_the_loop() -> None:
    sent = [bytes([number]) * 100 for number in range(200)]

    async def take() -> list[bytes]:
        channel = Channel(asyncio.get_running_loop(), limit=1000)

        def put() -> None:
            for chunk in sent:
                channel.put(chunk)
            channel.end()

        thread = threading.Thread(target=put)
        thread.start()
        found = [chunk async for chunk in channel.chunks()]
        await asyncio.to_thread(thread.join)
        return found

    assert asyncio.run(take()) == sent


def test_full_queue_makes_the_putting_end_wait() -> None:
    async def fill() -> None:
        channel = Channel(asyncio.get_running_loop(), limit=10)
        await channel.put_soon(b"x" * 10)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.put_soon(b"y"), 0.05)
        assert channel.take() == [b"x" * 10]
        await asyncio.wait_for(channel.put_soon(b"z"), 5)
        assert channel.take() == [b"z"]

    asyncio.run(fill())


def test_thread_that_waits_is_told_when_the_loop_gives_up() -> None:
    async def give_up() -> None:
        channel = Channel(asyncio.get_running_loop(), limit=10)
        channel.put(b"x" * 10)
        waiting = asyncio.create_task(asyncio.to_thread(channel.put, b"y"))
        await asyncio.sleep(0.05)
        channel.close()
        with pytest.raises(ChannelClosedError):
            await waiting

    asyncio.run(give_up())


def test_loop_that_waits_is_told_when_the_thread_gives_up() -> None:
    async def wait() -> None:
        channel = Channel(asyncio.get_running_loop())
        asyncio.get_running_loop().call_later(0.05, channel.close)
        with pytest.raises(ChannelClosedError):
            async for _ in channel.chunks():
                pass

    asyncio.run(wait())
