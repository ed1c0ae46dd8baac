"""A folder with the project and its data, and what an engine has made of it: rows, and records of runs."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ematix_core.store import Run, WorkflowRun

PROJECT = Path(__file__).parent / "project"
WORKFLOWS = (
    "load", "fan_out", "stock", "both", "either", "nested", "totals", "trying", "failing", "never", "daily",
)  # fmt: skip
TABLES = (
    "events", "customers", "customers_history", "by_kind", "copy", "stock_level", "after_both", "after_either",
    "after_nested", "totals", "flaky", "broken", "after_broken", "beside", "never_row", "days",
)  # fmt: skip
IN_WAREHOUSE = ("report", "copy")
_COUNTS = ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.]+\S*( UTC)?")
_RUN = re.compile(r"\(run [\w-]+\)")


class World:
    """One engine's copy of the project. Paths in it are relative, so that no copy sees another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for file in PROJECT.glob("*.py"):
            shutil.copy(file, folder)
        (folder / "ematix.toml").write_text('[project]\nmodules = ["pipelines.py"]\n')
        self._change(
            "CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, amount INTEGER)",
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, city TEXT, updated_at DATE)",
            "INSERT INTO events VALUES (1, 'sale', 10), (2, 'sale', 1), (3, 'refund', -3)",
            "INSERT INTO customers VALUES (1, 'Lyon', '2026-01-01'), (2, 'Nice', '2026-01-01')",
            "INSERT INTO customers VALUES (3, 'Nice', '2026-01-01')",
        )

    def second_day(self) -> None:
        """Let the source change: rows come, one moves, one goes."""
        self._change(
            "INSERT INTO events VALUES (4, 'sale', 7), (5, 'gift', 2)",
            "UPDATE customers SET city = 'Paris', updated_at = '2026-01-02' WHERE id = 2",
            "DELETE FROM customers WHERE id = 3",
            "INSERT INTO customers VALUES (4, 'Metz', '2026-01-02')",
        )

    def rows(self) -> dict[str, list[Any]]:
        """Return the rows of every table, sorted, without the hashes and the times of the loads; none for no table."""
        found = {table: _of_sqlite(self.folder / "lake.db", table) for table in TABLES}
        with duckdb.connect(self.folder / "warehouse.duckdb", read_only=True) as warehouse:
            for table in IN_WAREHOUSE:
                found[f"warehouse.{table}"] = sorted(warehouse.execute(f'FROM "{table}"').fetchall())
        return found

    def statuses(self, workflow: str) -> list[str]:
        """Return how the runs of a workflow stand, the first one first."""
        return [str(run.status) for run in self._workflow_runs(workflow)]

    def history(self, workflow: str) -> list[dict[str, Any]]:
        """Return all that the store tells of a workflow's runs but times and ids: the same for every engine."""
        runs = self._workflow_runs(workflow)
        with open_store(self._store) as store:
            found = [_told(run, store.runs(workflow_run_id=run.workflow_run_id, limit=None)) for run in runs]
        return json.loads(json.dumps(found).replace(str(self.folder), "."))  # type: ignore[no-any-return]  # as it was

    def _workflow_runs(self, workflow: str) -> list[WorkflowRun]:
        with open_store(self._store) as store:
            return store.workflow_runs(workflow=workflow, limit=None)[::-1]

    def _change(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.folder / "crm.db")) as crm, crm:
            for statement in statements:
                crm.execute(statement)

    @property
    def _store(self) -> str:
        return f"sqlite:///{self.folder}/.ematix/runs.db"


def _of_sqlite(file: Path, table: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as lake:
        if not lake.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchall():
            return []
        return sorted(lake.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr)


def _told(run: WorkflowRun, jobs: Iterable[Run]) -> dict[str, Any]:
    by_hand = run.trigger in {"manual", "backfill"}  # then the cause names the engine, which is what differs
    return {
        "status": str(run.status),
        "trigger": run.trigger,
        "error": run.error,
        "parameters": dict(run.parameters),
        "cause": [] if by_hand else [_RUN.sub("(run)", _MOMENT.sub("then", line)) for line in run.cause],
        "jobs": {job.job: _job(job) for job in jobs},
    }


def _job(run: Run) -> dict[str, Any]:
    counts = {name: getattr(run, name) for name in _COUNTS}
    return {
        "status": str(run.status), "trigger": run.trigger, "attempts": run.attempts, "plan": run.plan_hash,
        "error": run.error, **counts,
    }  # fmt: skip
