"""Stopping a run from another thread: a flag that streams look at, and calls that interrupt a busy system."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ematix_core.errors import CancelledError, EmatixError, RunError, Transient

if TYPE_CHECKING:
    from collections.abc import Callable


class TimeoutExceededError(RunError, Transient):
    """An attempt took longer than the job's timeout; it was rolled back."""


class Cancellation:
    """One attempt's stop button. `check()` raises once it is pressed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: EmatixError | None = None
        self._interrupts: list[Callable[[], None]] = []
        self._timer: threading.Timer | None = None

    @property
    def reason(self) -> EmatixError | None:
        """The error that the attempt ends with, once it is stopped."""
        return self._reason

    def cancel(self, reason: EmatixError | None = None) -> None:
        """Press it, from any thread: streams stop at the next batch, and busy systems are interrupted."""
        with self._lock:
            if self._reason is None:
                self._reason = reason or CancelledError("the run was cancelled and rolled back")
            interrupts = list(self._interrupts)
        for interrupt in interrupts:
            interrupt()

    def check(self) -> None:
        """Raise the reason when it is pressed."""
        if self._reason is not None:
            raise self._reason

    def on_cancel(self, interrupt: Callable[[], None]) -> None:
        """Have `interrupt` called when it is pressed; at once when it already is."""
        with self._lock:
            self._interrupts.append(interrupt)
        if self._reason is not None:
            interrupt()

    def limit(self, seconds: float | None) -> None:
        """Press it by itself after so many seconds, as a timeout."""
        if seconds is None:
            return
        reason = TimeoutExceededError(
            f"the attempt was stopped after its timeout of {seconds:g} s and rolled back",
            hint="Raise the job's timeout=, or make the load smaller with a watermark.",
        )
        self._timer = threading.Timer(seconds, self.cancel, [reason])
        self._timer.daemon = True
        self._timer.start()

    def done(self) -> None:
        """Release the timer; what is pressed later has no effect on systems."""
        if self._timer:
            self._timer.cancel()
        with self._lock:
            self._interrupts.clear()
