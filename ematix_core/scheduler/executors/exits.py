"""How a process ended, in words for people."""

from __future__ import annotations

import os
import signal

_WORDS = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGBUS: "bus error",
    signal.SIGABRT: "aborted by a library",
    signal.SIGFPE: "arithmetic error",
    signal.SIGILL: "illegal instruction",
}


def reason(wait_status: int) -> str:
    """Return why there is no result, from what `os.waitpid` gave: `killed by signal 9 (SIGKILL)`."""
    return reason_of_code(os.waitstatus_to_exitcode(wait_status))


def reason_of_code(code: int) -> str:
    """Return the same for an exit code, negative for a signal."""
    if code >= 0:
        return f"ended with exit code {code} without a result"
    number = -code
    if number in _WORDS:
        return f"{_WORDS[signal.Signals(number)]} (signal {number})"
    name = signal.Signals(number).name if number in set(signal.Signals) else "real-time signal"
    return f"killed by signal {number} ({name})"
