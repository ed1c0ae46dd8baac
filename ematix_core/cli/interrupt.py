"""Ctrl-C and SIGTERM while jobs run: the first rolls back, the second leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.cli.failure import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FAREWELL = b"\nleft at once: the databases roll back what was not committed\n"


@contextmanager
def cancel_on_signal(announce: Callable[[], None]) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into KeyboardInterrupt, after `announce()`; the second ends the process.

    `announce` runs inside the signal handler: it must not block, nor write through a buffered stream.
    Does nothing off the main thread, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            os.write(2, _FAREWELL)
            os._exit(INTERRUPTED)
        pressed = True
        announce()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
