"""One process measured whole: wall time, CPU time and peak memory, as the kernel counts them when it ends.

Imports only the standard library: a child inherits the peak of the process that starts it, so that process stays small.
Also a command, for measurers that are not small: `python -m benchmarks.measure COMMAND...` prints the figures as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What one run took. `peak_mib` is that of the largest process among the command and those it waited for."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


class CommandFailedError(Exception):
    """A measured command exited with another code than 0; its last lines are the message."""


def measure(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, log: Path | None = None
) -> Usage:
    """Run the command and return what it took. Its output goes to `log`. Raises CommandFailedError."""
    os.sync()  # what an earlier run left to be written does not slow this one
    with open(log or os.devnull, "wb") as output:  # noqa: PTH123 - os.devnull is no file to make a Path of
        started = time.perf_counter()
        process = subprocess.Popen(
            list(command), cwd=cwd, env=dict(env) if env is not None else None, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(errors="replace")[-2000:] if log else ""
        raise CommandFailedError(f"{' '.join(command)} exited with {process.returncode}\n{said}")
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    print(json.dumps(asdict(measure(sys.argv[1:]))))
