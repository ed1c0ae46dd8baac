"""The control database: runs, their logs, events, the scheduler's lease. Never holds data or watermarks.

Those live in the targets.
Importing this loads no database library; `open_store` does.
"""

from ematix_core.store.heartbeat import beating
from ematix_core.store.log_handler import RunLogHandler, recording
from ematix_core.store.opening import open_store
from ematix_core.store.protocol import RunStore, SchedulerStore
from ematix_core.store.records import (
    ABSENCE,
    SCHEDULER_LEASE,
    Attempt,
    ConsumerState,
    Event,
    EventKind,
    Lease,
    LogLine,
    Run,
    Status,
    WorkflowRun,
)

__all__ = [
    "ABSENCE",
    "SCHEDULER_LEASE",
    "Attempt",
    "ConsumerState",
    "Event",
    "EventKind",
    "Lease",
    "LogLine",
    "Run",
    "RunLogHandler",
    "RunStore",
    "SchedulerStore",
    "Status",
    "WorkflowRun",
    "beating",
    "open_store",
    "recording",
]
