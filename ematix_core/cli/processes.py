"""Several processes of one command: `flow consume --parallel 4`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.cli.exit_codes import FAILED, OK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

_LOOK_SECONDS = 0.1
_LOOK_FOR_PARENT_SECONDS = 0.5


def run_processes(arguments: Sequence[str], number: int) -> int:
    """Run the command line as so many processes, each with `--slot` and `--parent`; return the exit code for all.

    SIGINT and SIGTERM go to each. When one fails the others are asked to end. When this process is killed they see it:
    `parent_watched`.
    """
    command = [sys.executable, "-m", "ematix_core", *_without_parallel(arguments), "--parent", str(os.getpid())]
    children = [
        subprocess.Popen([*command, "--slot", str(slot)], start_new_session=True)  # noqa: S603 - this very command
        for slot in range(number)
    ]

    def pass_on(received: int, _frame: FrameType | None) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(received)

    before = {one: signal.signal(one, pass_on) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        asked = False
        while any(child.poll() is None for child in children):
            if not asked and any(child.returncode not in {None, OK} for child in children):
                asked = True
                pass_on(signal.SIGTERM, None)
            time.sleep(_LOOK_SECONDS)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    return FAILED if any(child.returncode for child in children) else OK


@contextmanager
def parent_watched(parent: int | None, gone: Callable[[], None]) -> Iterator[None]:
    """Call `gone`, once, when this process is no longer a child of `parent`: that has ended, perhaps by SIGKILL.

    None: nobody started this process as one of several.
    """
    over = threading.Event()

    def watch() -> None:
        while os.getppid() == parent:
            if over.wait(_LOOK_FOR_PARENT_SECONDS):
                return
        gone()

    if parent is not None:
        threading.Thread(target=watch, name="ematix-parent", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _without_parallel(arguments: Sequence[str]) -> list[str]:
    words: list[str] = []
    skip = False
    for word in arguments:
        if skip:
            skip = False
        elif word == "--parallel":
            skip = True
        elif not word.startswith("--parallel="):
            words.append(word)
    return words
