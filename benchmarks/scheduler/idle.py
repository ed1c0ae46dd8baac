"""What `flow scheduler` costs while there is nothing to do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psutil

from benchmarks.scheduler.site import FLOWS, new_store
from ematix_core.store import open_store

if TYPE_CHECKING:
    from ematix_core.store import SchedulerStore

WORKFLOWS = 100
_SECONDS = 20.0
_SETTLING = 5.0
"""Seconds after the lease was taken in which the template process still imports."""
_START = 60.0


def idle_cpu(store: str, rounds: int) -> list[float]:
    """Return for each round how many % of a core the scheduler and its template process took."""
    return [_once(store) for _ in range(rounds)]


def _once(kind: str) -> float:
    # The workflows that the other figures set off wait too.
    command = [sys.executable, "-m", "ematix_core", "scheduler", "--module", str(FLOWS)]
    with new_store(kind) as url, TemporaryDirectory(prefix="bench-idle-") as folder:
        environment = os.environ | {"EMATIX_STORE": url, "BENCH_IDLE_WORKFLOWS": str(WORKFLOWS)}
        log = Path(folder) / "log"
        with log.open("wb") as output, open_store(url) as store:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            try:
                _wait(store, process, log)
                return _share(process.pid)
            finally:
                process.terminate()
                process.wait(30)


def _wait(store: SchedulerStore, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START
    while store.lease("scheduler") is None:
        if process.poll() is not None or time.monotonic() > deadline:
            message = f"the scheduler does not start:\n{log.read_text()[-2000:]}"
            raise RuntimeError(message)
        time.sleep(0.1)
    time.sleep(_SETTLING)


def _share(pid: int) -> float:
    main = psutil.Process(pid)
    family = [main, *main.children(recursive=True)]
    before, started = _cpu_seconds(family), time.monotonic()
    time.sleep(_SECONDS)
    return (_cpu_seconds(family) - before) / (time.monotonic() - started) * 100


def _cpu_seconds(family: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in family)
