"""Ctrl-C and SIGTERM while jobs run: the first rolls back, the second leaves at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.cli.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_PRESS = 0.5
"""Seconds within which a second signal is the first one's echo: `timeout` and others signal process and group."""
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
    pressed: float | None = None

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        now = time.monotonic()
        if pressed is not None:
            if now - pressed < SAME_PRESS:
                return
            os.write(2, _FAREWELL)
            os._exit(INTERRUPTED)
        pressed = now
        announce()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
