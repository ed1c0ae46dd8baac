"""The control database: runs, attempts and their logs. Never holds data or watermarks: those live in the targets.

Importing this loads no database library; `open_store` does.
"""

from ematix_core.store.heartbeat import beating
from ematix_core.store.log_handler import RunLogHandler, recording
from ematix_core.store.opening import open_store
from ematix_core.store.protocol import RunStore
from ematix_core.store.records import Attempt, LogLine, Run, Status, WorkflowRun

__all__ = [
    "Attempt",
    "LogLine",
    "Run",
    "RunLogHandler",
    "RunStore",
    "Status",
    "WorkflowRun",
    "beating",
    "open_store",
    "recording",
]
