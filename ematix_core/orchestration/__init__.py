"""What an orchestrator's adapter needs of ematix: compiled projects, decisions, runs that it carries, attempts.

An adapter imports the declarations, the errors and this, and nothing else of the core. The names are looked up when
first used: reading a compiled project loads no database library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ematix_core.config.connection_url import connection_from_url
    from ematix_core.engine.cancel import Cancellation
    from ematix_core.engine.progress import LoggedProgress, Progress
    from ematix_core.engine.result import RunResult
    from ematix_core.model.unit import Unit
    from ematix_core.orchestration.attempt import run_attempt
    from ematix_core.orchestration.carried import close
    from ematix_core.orchestration.compiled_file import compiled
    from ematix_core.orchestration.compiled_project import (
        CompiledJob,
        CompiledProject,
        CompiledStream,
        CompiledTarget,
        CompiledWorkflow,
    )
    from ematix_core.orchestration.compiling import compile_project
    from ematix_core.orchestration.consuming import Consumed, consume_attempt
    from ematix_core.orchestration.datasets import Dataset, dataset
    from ematix_core.orchestration.gate import Announcement, Answer, Busy, Declined, Gate, Opened
    from ematix_core.orchestration.location import Located, ModuleLike, Recompile, calling_file, locate, module_of
    from ematix_core.orchestration.messages import Messages
    from ematix_core.orchestration.outlook import Outlook
    from ematix_core.orchestration.resting import StreamWatch
    from ematix_core.orchestration.site import OpenSite, Site
    from ematix_core.orchestration.waiting import RunEnd, RunWatch
    from ematix_core.orchestration.whole import run_whole
    from ematix_core.store import EventKind, Status, WorkflowRun
    from ematix_core.streaming.control import Landed
    from ematix_core.streaming.result import StreamResult, TargetConsumed
    from ematix_core.streaming.sole import holder_of

_HOMES = {
    "ematix_core.config.connection_url": ("connection_from_url",),
    "ematix_core.engine.cancel": ("Cancellation",),
    "ematix_core.engine.progress": ("LoggedProgress", "Progress"),
    "ematix_core.engine.result": ("RunResult",),
    "ematix_core.orchestration.attempt": ("run_attempt",),
    "ematix_core.orchestration.carried": ("close",),
    "ematix_core.orchestration.gate": ("Announcement", "Answer", "Busy", "Declined", "Gate", "Opened"),
    "ematix_core.orchestration.compiled_file": ("compiled",),
    "ematix_core.orchestration.compiled_project": (
        "CompiledJob",
        "CompiledProject",
        "CompiledStream",
        "CompiledTarget",
        "CompiledWorkflow",
    ),
    "ematix_core.orchestration.compiling": ("compile_project",),
    "ematix_core.orchestration.consuming": ("Consumed", "consume_attempt"),
    "ematix_core.orchestration.datasets": ("Dataset", "dataset"),
    "ematix_core.orchestration.location": (
        "Located",
        "ModuleLike",
        "Recompile",
        "calling_file",
        "locate",
        "module_of",
    ),
    "ematix_core.orchestration.messages": ("Messages",),
    "ematix_core.orchestration.outlook": ("Outlook",),
    "ematix_core.orchestration.resting": ("StreamWatch",),
    "ematix_core.orchestration.site": ("OpenSite", "Site"),
    "ematix_core.orchestration.waiting": ("RunEnd", "RunWatch"),
    "ematix_core.orchestration.whole": ("run_whole",),
    "ematix_core.model.unit": ("Unit",),
    "ematix_core.store": ("EventKind", "Status", "WorkflowRun"),
    "ematix_core.streaming.control": ("Landed",),
    "ematix_core.streaming.result": ("StreamResult", "TargetConsumed"),
    "ematix_core.streaming.sole": ("holder_of",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Announcement", "Answer", "Busy", "Cancellation", "CompiledJob", "CompiledProject", "CompiledStream",
    "CompiledTarget", "CompiledWorkflow", "Consumed", "Dataset", "Declined", "EventKind", "Gate", "Landed", "Located",
    "LoggedProgress", "Messages", "ModuleLike", "OpenSite", "Opened", "Outlook", "Progress", "Recompile", "RunEnd",
    "RunResult", "RunWatch", "Site", "Status", "StreamResult", "StreamWatch", "TargetConsumed", "Unit", "WorkflowRun",
    "calling_file", "close", "compile_project", "compiled", "connection_from_url", "consume_attempt", "dataset",
    "holder_of", "locate", "module_of", "run_attempt", "run_whole",
]  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
