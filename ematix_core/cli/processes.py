"""Several processes of one command: `flow consume --parallel 4`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from ematix_core.cli.exit_codes import FAILED, OK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_LOOK_SECONDS = 0.1


def run_processes(arguments: Sequence[str], number: int) -> int:
    """Run the command line as so many processes, each with `--slot`; return the exit code for all of them.

    SIGINT and SIGTERM go to each. When one fails the others are asked to end.
    """
    words = _without_parallel(arguments)
    children = [
        subprocess.Popen([sys.executable, "-m", "ematix_core", *words, "--slot", str(slot)], start_new_session=True)  # noqa: S603 - this very command
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
