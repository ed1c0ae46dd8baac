"""What the store holds, as frozen records. Times are aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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
    slice: str
    """Which part of the job's data it loads (a backfill's slice); empty for the ordinary run."""
    token: int | None
    """The fencing token of the scheduler that began it; None when somebody else did."""
    cancel_requested: bool
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
    unit: bool
    """Whether `workflow` is a unit of the project: then its start and end are events, and it never runs twice at once.
    A `flow run` of several jobs is none."""
    key: str | None
    """What set it off, as a text that no other run has: the same trigger events never make a second run."""
    event: int | None
    """The id of its STARTED event; None for what is no unit."""
    tick: datetime | None
    """The tick that it runs for, if one did."""
    slice: str
    """The slice of a backfill that it is; empty otherwise. Runs of different slices may overlap."""
    parameters: Mapping[str, Any]
    """What the jobs' SQL can bind as `:name` and bodies read as `run.parameters`: plain data."""
    cause: tuple[str, ...]
    """Why it runs, a line each, for people."""
    jobs: tuple[str, ...]
    """The jobs of a `flow run` of several, of which `workflow` may name the first few only; empty for a unit."""
    token: int | None
    """The fencing token of the scheduler that runs it; None when somebody else does."""
    cancel_requested: bool
    host: str
    machine: str
    pid: int
    process_started: float
    heartbeat_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data, for JSON."""
        return _plain(self)


class EventKind(StrEnum):
    """What happened. `name` of the event is the unit's, unless said otherwise."""

    SEEN = "seen"
    """A scheduler met the unit for the first time: its ticks count from here."""
    STARTED = "started"
    """A run of the unit began, whoever started it. Slices of a backfill make no events."""
    SUCCEEDED = "succeeded"
    """A run of the unit succeeded: `since` is the id of its STARTED event."""
    FAILED = "failed"
    """A run of the unit failed, or its process died and nobody continues it."""
    CANCELLED = "cancelled"
    """A run of the unit was cancelled."""
    JOB_SUCCEEDED = "job_succeeded"
    """A job's run succeeded (`name` is the job's): `since` is the last event that there was when it began."""
    PAUSED = "paused"
    RESUMED = "resumed"
    GAP = "gap"
    """No scheduler was awake from `started_at` until `at`. `name` is empty: it concerns every unit."""
    MESSAGE = "message"
    """A message came for the unit: `data` has its position and payload."""
    CANCEL = "cancel"
    """Somebody asks for the run `run_id` (of a job or of a workflow) to be cancelled. `name` is empty."""


@dataclass(frozen=True)
class Event:
    """One thing that triggers look at. Ids count up in the order in which events became visible, without gaps."""

    id: int
    kind: EventKind
    name: str
    at: datetime
    run_id: str | None = None
    """The run it speaks of: a job's for JOB_SUCCEEDED, a workflow run's for the others."""
    since: int | None = None
    """The id of the event at which that run began."""
    started_at: datetime | None = None
    """When that run began; for GAP, when the gap did."""
    tick: datetime | None = None
    """For STARTED, SUCCEEDED, FAILED, CANCELLED: the tick that the run is for."""
    data: Mapping[str, Any] | None = None
    """For MESSAGE: `position` and `payload`. For STARTED by a message: its `position`."""


SCHEDULER_LEASE = "scheduler"
"""The name of the lease whose holder is the scheduler at work."""

ABSENCE = 60.0
"""So many seconds without a scheduler are no downtime: it is the change from one to the next."""


@dataclass(frozen=True)
class Lease:
    """The right to do something alone, until `expires_at` unless it is renewed.

    `token` grows with each new holder. Every write that is made under the lease is checked against it, so a holder
    that was asleep while another took over writes nothing.
    """

    name: str
    holder: str
    token: int
    expires_at: datetime
    previous: datetime | None
    """When the holder before last renewed it: since then nobody was at work. None for the first holder ever."""
    absence: float | None
    """How many seconds the next holder may come later than this one leaves without that being a downtime."""
    previous_absence: float | None
    """The same of the holder before; None when that did not say, or was none."""

    def downtime(self, now: datetime) -> datetime | None:
        """Return since when nobody was at work when this holder began; None when that was no downtime."""
        return downtime(self.previous, self.previous_absence, now)


def downtime(left: datetime | None, absence: float | None, now: datetime) -> datetime | None:
    """Return when the last holder of a lease left, if that is longer ago than it may be (default: ABSENCE)."""
    allowed = timedelta(seconds=ABSENCE if absence is None else absence)
    return left if left is not None and now - left > allowed else None


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


_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class ConsumerState:
    """A consumer of a stream for one target.

    `status`: "running", "paused", "waiting" (to begin again), "stopped", "failed"; "lost" when its process is dead.
    `stats` is plain data: totals, and those of 1 and 5 minutes; see `streaming.statistics`. The fields of the process
    are filled by the store.
    """

    consumer_id: str
    stream: str
    target: str
    status: str
    started_at: datetime
    error: str = ""
    stats: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""
    machine: str = ""
    pid: int = 0
    process_started: float = 0.0
    heartbeat_at: datetime = _NEVER

    @property
    def ended(self) -> bool:
        """Whether it said that it ended."""
        return self.status in {"stopped", "failed"}

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain data, for JSON."""
        shown = {name: value for name, value in vars(self).items() if name not in {"machine", "process_started"}}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in shown.items()}


def _plain(record: Run | WorkflowRun) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in vars(record).items()}
