"""Ctrl-C ends a wait of the main thread at once, also where the system would go on waiting after a signal."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ematix_core.interruptible import wait_for, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAIN = threading.main_thread().ident or 0


@pytest.fixture(params=[True, False], ids=["interrupts", "restarts"])
def _signals(request: pytest.FixtureRequest) -> Iterator[None]:
    """With Python's own handling of SIGINT, and with one that lets system calls go on, as other runtimes install."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.siginterrupt(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted_after(work: Callable[[], object]) -> float:
    """Press Ctrl-C in 0.1 s while the work waits; return after how many seconds it was noticed."""
    press = threading.Timer(0.1, signal.pthread_kill, (MAIN, signal.SIGINT))
    started = time.monotonic()
    press.start()
    with pytest.raises(KeyboardInterrupt):
        work()
    return time.monotonic() - started


@pytest.mark.usefixtures("_signals")
def test_a_wait_for_an_event_is_interrupted() -> None:
    assert interrupted_after(lambda: wait_until(threading.Event())) < 5


@pytest.mark.usefixtures("_signals")
def test_a_wait_for_futures_is_interrupted() -> None:
    over = threading.Event()
    with ThreadPoolExecutor() as pool:
        try:
            assert interrupted_after(lambda: wait_for([pool.submit(over.wait, 30)])) < 5
        finally:
            over.set()


def test_it_waits_for_as_many_as_were_asked_for() -> None:
    over = threading.Event()
    with ThreadPoolExecutor() as pool:
        try:
            quick, slow, faulty = pool.submit(int), pool.submit(over.wait, 30), pool.submit(int, "x")
            assert wait_for([quick, slow], FIRST_COMPLETED) == {quick}
            assert faulty in wait_for([slow, faulty], FIRST_EXCEPTION)
            threading.Timer(0.5, over.set).start()
            assert wait_for([quick, slow, faulty]) == {quick, slow, faulty}
        finally:
            over.set()
    assert wait_for([]) == set()
