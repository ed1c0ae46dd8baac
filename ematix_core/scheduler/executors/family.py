"""The processes of an executor: how they are started, and how none outlives the scheduler."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""


def command(module: str, *arguments: object) -> list[str]:
    """Return how this interpreter runs a module of ours, its output unbuffered.

    `-P`: the project's folder comes onto the path when the project is loaded; a `queue.py` in it is not ours.
    """
    return [sys.executable, "-P", "-u", "-m", f"{__package__}.{module}", *map(str, arguments)]


def die_with(parent: int) -> None:
    """End this process when the parent ends; on Linux only. Elsewhere the closed channel does it, somewhat later."""
    _on_death(signal.SIGKILL)
    if os.getppid() != parent:  # it has ended meanwhile
        os._exit(1)


def see_to_the_end() -> None:
    """Undo `die_with`: this process ends by itself, after those that it started."""
    _on_death(0)


def kill_group(pid: int) -> None:
    """End a process that was not waited for, and all that it started, as far as they stay in its group."""
    if not kill_rest(pid):  # it has not made its group yet
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_rest(pid: int) -> bool:
    """End what is left of a process's group; return whether there was anything."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _on_death(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
