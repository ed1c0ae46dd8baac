"""One pass over what is due at an instant, for cron and CI: the scheduler's decisions, and then the process ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.errors import AlreadyRunningError
from ematix_core.scheduler.observer import Observer
from ematix_core.store import SCHEDULER_LEASE, EventKind, Status

if TYPE_CHECKING:
    from ematix_core.scheduler.listening import Listening
    from ematix_core.scheduler.service import Scheduler
    from ematix_core.store import Event, SchedulerStore

_ENDS = {
    EventKind.SUCCEEDED: Status.SUCCEEDED,
    EventKind.FAILED: Status.FAILED,
    EventKind.CANCELLED: Status.CANCELLED,
}


@dataclass(frozen=True)
class DueRun:
    """A workflow run that the pass started, or took over, and how it ended."""

    unit: str
    workflow_run_id: str
    status: Status
    cause: tuple[str, ...]
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return asdict(self) | {"status": self.status.value, "cause": list(self.cause)}


class Ends(Observer):
    """An observer that keeps which runs ended while this scheduler was at work."""

    def __init__(self, store: SchedulerStore) -> None:
        self._store = store
        self._begun_at = store.last_event()
        self.runs: list[str] = []

    def event(self, event: Event) -> None:
        """Note the run that ended."""
        if event.id > self._begun_at and event.kind in _ENDS and event.run_id:
            self.runs.append(event.run_id)

    def outcomes(self) -> list[DueRun]:
        """Return the runs in the order in which they ended."""
        found = [self._store.workflow_run(run_id) for run_id in self.runs]
        return [DueRun(r.workflow, r.workflow_run_id, r.status, r.cause, r.error) for r in found]


def run_due(scheduler: Scheduler, store: SchedulerStore, listening: Listening | None = None) -> None:
    """Run all that is due at the scheduler's (standing) clock, and what that sets off, until nothing more is.

    `listening`: one of the scheduler's observers, without a thread; what messages there are is looked up once.
    Raises AlreadyRunningError when a scheduler is at work: what is due is that one's affair.
    """
    if not scheduler.try_to_lead():
        lease = store.lease(SCHEDULER_LEASE)
        raise AlreadyRunningError(
            f"a scheduler is at work already{f': {lease.holder}' if lease else ''}",
            hint="It starts what is due by itself; stop it first if `flow run-due` is to take its place.",
        )
    try:
        if listening is not None:
            listening.look_once()
        scheduler.step(0)
        while not scheduler.idle():
            scheduler.step()
        if listening is not None:
            listening.take_away()
    finally:
        scheduler.leave()
