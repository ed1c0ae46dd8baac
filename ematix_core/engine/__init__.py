"""Runs jobs: read, transform, load, commit. The same for every caller: library, commands, scheduler, orchestrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ematix_core.engine.connections import check_connection
    from ematix_core.engine.dag import run_workflow
    from ematix_core.engine.run import plan_job, run_job

__all__ = ["check_connection", "plan_job", "run_job", "run_workflow"]

_HOMES = {
    "check_connection": "ematix_core.engine.connections",
    "plan_job": "ematix_core.engine.run",
    "run_job": "ematix_core.engine.run",
    "run_workflow": "ematix_core.engine.dag",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - functions of several signatures
    """Import a function when it is first used: the result and progress modules stay cheap to import."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(_HOMES[name]), name)
