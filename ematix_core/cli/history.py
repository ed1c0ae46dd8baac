"""The recorded runs that a command means: by id, by the beginning of one, by job, or the latest."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.config.settings import Settings
from ematix_core.errors import StoreError
from ematix_core.model.connection import mask
from ematix_core.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.store.protocol import RunStore
    from ematix_core.store.records import Run

RUN_HELP = (
    "RUN is a run's id or its beginning, the id of a whole `flow run`, or a job (its latest run). Default: latest."
)


@contextmanager
def history() -> Iterator[RunStore]:
    """Open the store that the settings name. Raises StoreError."""
    with open_store(Settings.load().store) as store:
        yield store


def place() -> str:
    """Return the store's URL, fit to be shown."""
    return mask(Settings.load().store)


def find_runs(store: RunStore, wanted: str) -> list[Run]:
    """Return the run that is meant, or all runs of one `flow run`, in the order in which they began.

    Raises StoreError when there is none, and for a beginning that several ids share.
    """
    if not wanted:
        if latest := store.runs(limit=1):
            return latest
        raise StoreError("no run is recorded yet", where=f"store {place()}", hint="`flow run` makes the first.")
    if of_job := store.latest(wanted):
        return [of_job]
    if together := store.runs(workflow_run_id=wanted, limit=None):
        return together[::-1]
    return [store.run(wanted)]
