"""Beginning the run that a decision asks for: its record says what set it off and what its jobs are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.scheduler.messages import path_of, version_of
from ematix_core.scheduler.ticks import Ticks

if TYPE_CHECKING:
    from ematix_core.model.unit import Unit
    from ematix_core.scheduler.triggers import Decision
    from ematix_core.store import RunStore, WorkflowRun


def begin(
    store: RunStore, unit: Unit, decision: Decision, *, token: int | None = None, carrier: str | None = None
) -> WorkflowRun:
    """Open the workflow run for a decision, by a scheduler (`token`) or for an orchestrator (`carrier`).

    Raises AlreadyRunningError when the decision is void by now: a run is open, or has begun since.
    """
    return store.begin_workflow(
        unit.name, trigger=_trigger(decision), unit=True, key=decision.key, tick=decision.tick,
        parameters=parameters(unit, decision), cause=decision.cause, message=decision.message,
        after=decision.after, token=token, carrier=carrier,
    )  # fmt: skip


def parameters(unit: Unit, decision: Decision) -> dict[str, Any]:
    """Return what a run's SQL and functions learn of why it runs.

    A tick gives the time from the tick before it: `slice_start`, `slice_end`. A message: `message`, `position`,
    `path` when it is a file, and `version` when it is one of a table.
    """
    if decision.message is not None:
        return {"message": decision.payload, "position": decision.message, **_told(unit, decision.message)}
    if decision.tick is not None and unit.schedule is not None:
        before = Ticks(unit.schedule).before(decision.tick) or decision.tick
        return {"slice_start": before.isoformat(), "slice_end": decision.tick.isoformat()}
    return {}


def _told(unit: Unit, position: str) -> dict[str, Any]:
    """Return what a position says by itself."""
    if unit.messages is not None and unit.messages.path:
        return {"path": path_of(position)}
    if unit.messages is not None and unit.messages.versions_of:
        return {"version": version_of(position)}
    return {}


def _trigger(decision: Decision) -> str:
    if decision.message is not None:
        return "message"
    return "schedule" if decision.tick is not None else "upstream"
