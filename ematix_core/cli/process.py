"""How the process of a command begins and ends: without work that only a long-lived process needs."""

from __future__ import annotations

import atexit
import gc
import os
import stat
import sys
import threading
from typing import NoReturn

from ematix_core.cli.exit_codes import INTERRUPTED


def collect_later() -> None:
    """Put off garbage collection: what imports make stays, and looking through it again and again took 60 ms of 430."""
    gc.disable()


def collect_again() -> None:
    """Collect garbage from now on, leaving out what is there already."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def open_files() -> frozenset[int] | None:
    """Return the numbers of all open files, pipes and terminals; None where the system does not tell.

    Sockets and what waits for them are left out: the runtimes of object stores and delta-rs keep theirs to the end.
    """
    try:
        names = os.listdir("/dev/fd")  # noqa: PTH208 - importing pathlib would take longer than this
    except OSError:
        return None
    return frozenset(number for number in map(int, names) if _is_file(number))  # the listing's own is closed by now


def leave(code: int, inherited: frozenset[int] | None) -> NoReturn:
    """End the process with this code as the interpreter does, but without taking every object apart: 150 ms.

    That is done all the same when something may need it: a thread is at work, or a file is open that was not
    `inherited`, such as one of a user's module, whose last lines the interpreter still writes.
    """
    if code == INTERRUPTED:
        # A stopped job's own function may still block a thread. Everything of ours is rolled back and closed by
        # now; the interpreter's shutdown would wait for that thread, or complain about what it holds.
        _flush()
        os._exit(code)
    opened = open_files()
    if _threads_at_work() or opened is None or inherited is None or opened - inherited:
        gc.unfreeze()  # else DuckDB reports what it finds alive at the very end
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001 - `os._exit` leaves them out, and there is no other way to run them
    _flush()
    os._exit(code)


def _is_file(number: int) -> bool:
    try:
        kind = stat.S_IFMT(os.fstat(number).st_mode)
    except OSError:
        return False
    return kind not in {0, stat.S_IFSOCK}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _threads_at_work() -> bool:
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
