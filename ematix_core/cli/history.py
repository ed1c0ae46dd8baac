"""The recorded runs that a command means: by id, by the beginning of one, by job or workflow, or the latest."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.config.settings import Settings
from ematix_core.errors import StoreError, UnknownRunError, near
from ematix_core.model.connection import mask
from ematix_core.store.opening import open_store
from ematix_core.store.records import Run, Status, WorkflowRun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.store.protocol import RunStore

RUN_HELP = (
    "RUN is the id of a run, or of a whole workflow run, or the beginning of one; or a job or workflow: its latest run."
)
_INNER = ("machine", "process_started", "heartbeat_at")
_KNOWN_FROM = 200


@contextmanager
def history() -> Iterator[RunStore]:
    """Open the store that the settings name. Raises StoreError."""
    with open_store(Settings.load().store) as store:
        yield store


def place() -> str:
    """Return the store's URL, fit to be shown."""
    return mask(Settings.load().store)


def find(store: RunStore, wanted: str) -> Run | WorkflowRun:
    """Return the run or workflow run that is meant; without a name the latest run.

    Raises StoreError when there is none, and for a beginning that several ids share.
    """
    if not wanted:
        if latest := store.runs(limit=1):
            return latest[0]
        raise StoreError("no run is recorded yet", where=f"store {place()}", hint="`flow run` makes the first.")
    if of_job := store.latest(wanted):
        return of_job
    if of_workflow := store.workflow_runs(workflow=wanted, limit=1):
        return of_workflow[0]
    return _by_id(store, wanted)


def jobs_of(store: RunStore, record: Run | WorkflowRun) -> list[Run]:
    """Return the runs of a workflow run in the order in which they began; for a job's run that one alone."""
    if isinstance(record, Run):
        return [record]
    return store.runs(workflow_run_id=record.workflow_run_id, limit=None)[::-1]


def unknown(store: RunStore, names: Sequence[str]) -> str:
    """Return near matches for those of the names that no recent run has; or nothing."""
    known = {run.job for run in store.runs(limit=_KNOWN_FROM)}
    known |= {run.workflow for run in store.workflow_runs(limit=_KNOWN_FROM)}
    return " ".join(near(name, known) for name in names if name not in known) if known else ""


def id_of(record: Run | WorkflowRun) -> str:
    """Return the id of a run or workflow run."""
    return record.run_id if isinstance(record, Run) else record.workflow_run_id


def name_of(record: Run | WorkflowRun) -> str:
    """Return the job or workflow that it is a run of, with the slice if it is of one."""
    name = record.job if isinstance(record, Run) else record.workflow
    return f"{name} [{record.slice}]" if record.slice else name


def is_open(record: Run | WorkflowRun) -> bool:
    """Say whether it goes on; one whose process is dead does not."""
    return record.status is Status.RUNNING


def as_data(record: Run | WorkflowRun) -> dict[str, Any]:
    """Return what a user wants to know of it, as plain data: without the process's inner particulars."""
    return {key: value for key, value in record.to_dict().items() if key not in _INNER}


def _by_id(store: RunStore, wanted: str) -> Run | WorkflowRun:
    found: list[Run | WorkflowRun] = []
    for look in (store.run, store.workflow_run):
        try:
            found.append(look(wanted))
        except UnknownRunError:
            continue
    if exact := [one for one in found if id_of(one) == wanted]:
        return exact[0]
    if len(found) > 1:
        ids = ", ".join(id_of(one) for one in found)
        raise StoreError(f"a run and a workflow run begin with {wanted!r}: {ids}", hint="Give more of the id.")
    if found:
        return found[0]
    raise UnknownRunError(
        f"there is no run {wanted!r}", where=f"store {place()}",
        hint=f"{unknown(store, [wanted])} List runs: flow runs; and workflow runs: flow runs list --workflows".strip(),
    )  # fmt: skip
