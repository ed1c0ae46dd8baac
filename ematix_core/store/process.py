"""Which process a run belongs to, and whether that process is alive."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from datetime import datetime

    from ematix_core.store.records import Run, WorkflowRun

SILENCE = timedelta(seconds=60)
"""A process of another machine is taken for dead when it has not sent a heartbeat for this long."""

_START_TOLERANCE = 2.0
"""Seconds. The boot time is known to whole seconds; no process id comes round again that fast."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told from every other one: also from those that get its number later, or in another container."""

    host: str
    machine: str
    pid: int
    process_started: float

    @staticmethod
    def current() -> ProcessIdentity:
        """Return the identity of this process."""
        return _identity(os.getpid())


def is_alive(owner: ProcessIdentity | Run | WorkflowRun, heartbeat_at: datetime, now: datetime) -> bool:
    """Say whether the process exists: by asking the system on this machine, by its heartbeat elsewhere."""
    me = ProcessIdentity.current()
    if owner.machine != me.machine:
        return now - heartbeat_at <= SILENCE
    if owner.pid == me.pid:
        return _same_start(owner, me.process_started)
    try:
        process = psutil.Process(owner.pid)
        # A killed process whose parent has not noticed yet still has its number.
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return _same_start(owner, _started(process))
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # it exists; whose it is cannot be seen
        return True


def _same_start(owner: ProcessIdentity | Run | WorkflowRun, started: float) -> bool:
    return abs(started - owner.process_started) <= _START_TOLERANCE


@lru_cache(maxsize=1)  # asked for at each write; a forked process has another number
def _identity(pid: int) -> ProcessIdentity:
    return ProcessIdentity(socket.gethostname(), _machine(), pid, _started(psutil.Process(pid)))


def _started(process: psutil.Process) -> float:
    """Seconds since boot: unlike the time of day, this does not move when the clock is set."""
    return process.create_time() - psutil.boot_time()


def _machine() -> str:
    """Return what process numbers are relative to: the boot, and the namespace of the container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # not Linux
        return socket.gethostname()
