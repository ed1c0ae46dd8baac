"""Run records without what differs from one run to the next, to compare engines by."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.store import Run, SchedulerStore

_COUNTS = ("attempts", "rows_read", "inserted", "updated", "unchanged", "deleted", "closed")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?( UTC)?|\d{8}T\d{6}(-[0-9a-f]{8}|\.\d+Z)")


@contextmanager
def store_of(folder: Path) -> Iterator[SchedulerStore]:
    """Open the control store that a project has when nothing says where: a file beside it."""
    with open_store(f"sqlite:///{folder}/.ematix/runs.db") as store:
        yield store


def job_record(store: SchedulerStore, run: Run) -> dict[str, Any]:
    """Return what a job's run says, and its attempts."""
    return {
        "status": str(run.status),
        **{name: getattr(run, name) for name in _COUNTS},
        "plan": run.plan_hash,
        "error": run.error,
        "each attempt": [(str(one.status), one.error) for one in store.attempts(run.run_id)],
    }


def latest(folder: Path, job: str) -> dict[str, Any]:
    """Return the record of the job's latest run, without the folder's name."""
    with store_of(folder) as store:
        (run, *_) = store.runs(job=job)
        return _elsewhere(job_record(store, run), folder)


def workflow_record(folder: Path, workflow: str) -> dict[str, Any]:
    """Return the record of the workflow's first run and of its jobs, times left out."""
    with store_of(folder) as store:
        (*_, run) = store.workflow_runs(workflow=workflow, limit=None)
        jobs = {one.job: job_record(store, one) for one in store.runs(workflow_run_id=run.workflow_run_id)}
        return {
            "trigger": run.trigger, "status": str(run.status), "slice": run.slice, "error": run.error,
            "for a tick": run.tick is not None, "parameters": sorted(run.parameters),
            "cause": [_TIME.sub("<time>", line) for line in run.cause], "jobs": _elsewhere(jobs, folder),
            "events": [
                str(event.kind) for event in store.events(names=[workflow]) if event.run_id == run.workflow_run_id
            ],
        }  # fmt: skip


def rows(folder: Path, sql: str, *, file: str = "ledger.db") -> list[tuple[Any, ...]]:
    """Return rows of a database in the folder: SQLite, or DuckDB when its name says so."""
    opened = duckdb.connect if file.endswith(".duckdb") else sqlite3.connect
    with closing(opened(folder / file)) as connection:
        return connection.execute(sql).fetchall()


def _elsewhere(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    text = str(folder)
    return {name: value.replace(text, "") if isinstance(value, str) else value for name, value in record.items()}
