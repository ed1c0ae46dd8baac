"""Which process a run belongs to, and whether that process is alive; or which orchestrator carries it."""

from __future__ import annotations

import hashlib
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
    from typing import TypeAlias

    from ematix_core.store.records import ConsumerState, Run, WorkflowRun

    Owner: TypeAlias = "ProcessIdentity | ConsumerState | Run | WorkflowRun"

SILENCE = timedelta(seconds=60)
"""A process of another machine is taken for dead when it has not sent a heartbeat for this long."""

_NOBODY = 0
"""The process id of what no process of ours holds."""
_HOST_LETTERS = 255
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

    @staticmethod
    def of(carrier: str | None) -> ProcessIdentity:
        """Return the identity of a carrier, which is the same in each of its processes; without one, of this process.

        A carrier is an orchestrator's name for one of its runs, such as `airflow:shop/manual__2026-01-31`.
        """
        if carrier is None:
            return ProcessIdentity.current()
        machine = f"carrier:{hashlib.sha256(carrier.encode()).hexdigest()}"
        return ProcessIdentity(carrier[:_HOST_LETTERS], machine, _NOBODY, 0.0)


def is_carried(owner: Owner) -> bool:
    """Say whether an orchestrator carries it, at this moment by no process."""
    return owner.pid == _NOBODY and owner.machine.startswith("carrier:")


def whose(owner: Owner) -> str:
    """Return whose it is, for people: `process 4711 on host`, or the carrier."""
    return owner.host if is_carried(owner) else f"process {owner.pid} on {owner.host}"


def is_alive(owner: Owner, heartbeat_at: datetime, now: datetime) -> bool:
    """Say whether the process exists: by asking the system on this machine, by its heartbeat elsewhere.

    What an orchestrator carries is alive until that says otherwise: it may wait for hours between two processes.
    """
    return is_carried(owner) or _exists(owner, heartbeat_at, now)


def _exists(owner: Owner, heartbeat_at: datetime, now: datetime) -> bool:
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


def _same_start(owner: Owner, started: float) -> bool:
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
