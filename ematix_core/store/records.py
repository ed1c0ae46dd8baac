"""What the store holds, as frozen records. Times are aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Status(StrEnum):
    """The state of a run, an attempt or a workflow run."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """Its process is gone without having recorded an end. The next `begin` of the job continues such a run."""
    SKIPPED = "skipped"
    """Never started, because an upstream job did not succeed."""


@dataclass(frozen=True)
class Run:
    """One run of one job, over all its attempts. `targets` is plain data about each target, for JSON."""

    run_id: str
    job: str
    workflow_run_id: str | None
    trigger: str
    status: Status
    load_id: str
    """What targets keep beside the rows: a load with this id is applied at most once."""
    started_at: datetime
    finished_at: datetime | None
    attempts: int
    rows_read: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int
    closed: int
    seconds: float
    plan_hash: str
    error: str
    targets: tuple[Mapping[str, Any], ...]
    host: str
    machine: str
    """Boot and process namespace in which `pid` means something."""
    pid: int
    process_started: float
    """Seconds from the machine's boot to the start of the process."""
    heartbeat_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data, for JSON."""
        return _plain(self)


@dataclass(frozen=True)
class WorkflowRun:
    """The runs that one start of a workflow, or of several jobs, brought about."""

    workflow_run_id: str
    workflow: str
    trigger: str
    status: Status
    started_at: datetime
    finished_at: datetime | None
    error: str
    host: str
    machine: str
    pid: int
    process_started: float
    heartbeat_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data, for JSON."""
        return _plain(self)


@dataclass(frozen=True)
class Attempt:
    """One try of a run. Numbers count from 1."""

    run_id: str
    number: int
    status: Status
    started_at: datetime
    finished_at: datetime | None
    error: str


@dataclass(frozen=True)
class LogLine:
    """One log record of a run; `level` is logging's name of it."""

    run_id: str
    at: datetime
    level: str
    message: str


def _plain(record: Run | WorkflowRun) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in vars(record).items()}
