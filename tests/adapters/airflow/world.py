"""The project of these tests in a folder of its own: its data, its rows, and what the store says of its runs."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.store import open_store
from tests.adapters.airflow.standalone import BIN

if TYPE_CHECKING:
    from ematix_core.store import Event, Run, WorkflowRun

PROJECT = Path(__file__).parent / "project"
ORDERS = [(1, "north", 10, "2026-01-01T06"), (2, "south", 30, "2026-01-02T06"), (3, "north", 50, "2026-01-03T06")]
_COUNTS = ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")
_MOMENTS = re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.]+\S*( UTC)?")
_IDS = re.compile(r"\(run [\w-]+\)")


class World:
    """A folder with the project in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for file in PROJECT.glob("*.py"):
            shutil.copy(file, folder)
        (folder / "landing").mkdir()
        (folder / "ematix.toml").write_text('[project]\nmodules = ["shop.py"]\n')
        with closing(sqlite3.connect(folder / "crm.db")) as crm, crm:
            crm.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, region TEXT, amount INTEGER, day TEXT)")
            crm.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ORDERS)

    def rows(self, table: str) -> list[Any]:
        """Return the rows of a target, sorted; none when it does not exist."""
        with closing(sqlite3.connect(self.folder / "lake.db")) as lake:
            if not lake.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchall():
                return []
            return sorted(lake.execute(f'SELECT * FROM "{table}"').fetchall())

    def workflow_runs(self, name: str) -> list[WorkflowRun]:
        """Return the runs of a unit, the first one first."""
        with open_store(self._url) as store:
            return store.workflow_runs(workflow=name, limit=None)[::-1]

    def runs(self, workflow_run: WorkflowRun) -> list[Run]:
        """Return the runs of the jobs, by name."""
        with open_store(self._url) as store:
            return sorted(store.runs(workflow_run_id=workflow_run.workflow_run_id, limit=None), key=lambda run: run.job)

    def events(self) -> list[Event]:
        with open_store(self._url) as store:
            return store.events()

    def statuses(self, name: str) -> list[str]:
        return [str(run.status) for run in self.workflow_runs(name)]

    def story(self, name: str) -> list[Any]:
        """Return all that is the same wherever a workflow runs: states, causes, attempts, counts, plans, errors."""
        return [
            {
                "status": str(one.status), "trigger": one.trigger, "slice": one.slice, "error": one.error,
                "tick": one.tick is not None, "cause": [] if one.trigger == "manual" else _plain(one.cause),
                "jobs": [_job(run) for run in self.runs(one)],
            }
            for one in self.workflow_runs(name)
        ]  # fmt: skip

    def flow(self, *words: str, code: int = 0) -> str:
        """Run the native command in the folder."""
        done = subprocess.run([BIN / "flow", *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"flow {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def _url(self) -> str:
        return f"sqlite:///{self.folder}/.ematix/runs.db"


def _job(run: Run) -> dict[str, Any]:
    counts = {name: getattr(run, name) for name in _COUNTS}
    return {
        "job": run.job, "status": str(run.status), "attempts": run.attempts, "slice": run.slice, "plan": run.plan_hash,
        "error": run.error, **counts,
    }  # fmt: skip


def _plain(cause: tuple[str, ...]) -> list[str]:
    """Return the lines without what differs from run to run."""
    return [_IDS.sub("(run)", _MOMENTS.sub("then", line)) for line in cause]
