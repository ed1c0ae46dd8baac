"""Stopping a run that has the process for itself: by signals, and in the middle of the user's own code."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import ematix_core
from ematix_core.engine import body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from ematix_core.engine.cancel import Cancellation

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN = 1.0
"""Seconds after which a function that is still at work is interrupted once more: it may have caught the exception."""
_OURS = str(Path(ematix_core.__file__).parent)


@contextmanager
def stoppable(cancellation: Cancellation) -> Iterator[None]:
    """Let SIGTERM and SIGINT press the button inside the block, whatever library the main thread is busy in.

    Whoever presses it: a function of the user's at work in the main thread, asleep or waiting for a socket, is
    interrupted by the button's reason as an exception. What the engine does itself (rolling back, recording the end)
    is never interrupted. Signal handlers are the main thread's: nowhere else does this do anything.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, frame: FrameType | None) -> None:
        if cancellation.reason is not None and _is_in_users_code(frame):
            raise cancellation.reason

    reader, writer = socket.socketpair()
    writer.settimeout(0)
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    # Python runs handlers when the main thread comes back from a library; the wake-up is written by the system's own.
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    cancellation.on_cancel(lambda: _wake(writer))
    thread = threading.Thread(target=_press, args=(reader, cancellation), name="ematix-stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        writer.close()
        thread.join()
        reader.close()


def _press(wakeups: socket.socket, cancellation: Cancellation) -> None:
    """Press the button when a signal comes, and interrupt the user's code as long as it goes on after that."""
    main = threading.main_thread().ident
    assert main is not None  # noqa: S101 - it has been started
    while True:
        try:
            received = wakeups.recv(64)
        except TimeoutError:
            signal.pthread_kill(main, signal.SIGINT)
            continue
        if not received:
            return
        if set(received) & set(_SIGNALS):
            cancellation.cancel()
        if cancellation.reason is not None and wakeups.gettimeout() is None:
            wakeups.settimeout(_AGAIN)
            signal.pthread_kill(main, signal.SIGINT)


def _wake(writer: socket.socket) -> None:
    try:
        writer.send(b"\0")
    except OSError:  # full, so there is a wake-up already; or closed, so the run is over
        return


def _is_in_users_code(frame: FrameType | None) -> bool:
    """Say whether what runs was called by the engine as the job's own function, or as the iterator that it returned."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_OURS):
            return frame.f_code.co_filename == body.__file__
        frame = frame.f_back
    return False
