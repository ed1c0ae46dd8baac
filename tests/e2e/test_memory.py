"""Ten times the rows, hardly more memory: rows pass in batches, and what does not fit is kept on disk.

The full version, with 6M rows of lineitem and every move and mode, is `python -m benchmarks.memory`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.architecture.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEW, MANY = 400_000, 4_000_000
MOST = 1.2

JOBS = """
import ematix_core as ematix

# Caches so small that the few rows fill them, too: what grows then is what is not bounded.
small = {"memory_limit": "64MB", "threads": 1}
files = ematix.ObjectStoreConnection(name="files", path=".", options=small)
duck = ematix.DuckDBConnection(name="duck", path="out.duckdb", options=small)
sqlite = ematix.SQLiteConnection(name="sqlite", path="out.sqlite", options={"cache_size": -8192})


@ematix.job(source_connection=files, target="appended", target_connection=duck)
def parquet_to_duckdb():
    return 'SELECT * FROM "rows.parquet"'


@ematix.job(source_connection=files, target="merged", target_connection=duck, mode=ematix.merge(keys=["id"]))
def merge_into_duckdb():
    return 'SELECT * FROM "rows.parquet"'


@ematix.job(source_connection=files, target="copied", target_connection=files)
def parquet_to_files():
    return 'SELECT * FROM "rows.parquet"'


@ematix.job(source_connection=files, target="appended", target_connection=sqlite)
def parquet_to_sqlite():
    return 'SELECT id, label FROM "rows.parquet"'
"""

# A small process of its own starts the command: a child begins with the peak of the one that starts it.
LAUNCHER = """
import os, subprocess, sys
command = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(command.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Path]]:
    """Folders with the same kind of rows, few and many."""
    made = {}
    for rows in (FEW, MANY):
        folder = tmp_path_factory.mktemp(f"rows{rows}")
        (folder / "jobs.py").write_text(JOBS, encoding="utf-8")
        columns = (
            "range AS id, range * 1.5 AS amount, md5(range::VARCHAR) AS label, 'customer ' || range % 99991 AS name"
        )
        duckdb.sql(f"COPY (SELECT {columns} FROM range({rows})) TO '{folder / 'rows.parquet'}' (FORMAT parquet)")
        made[rows] = folder
    yield made
    for folder in made.values():
        (folder / "rows.parquet").unlink()


def _peak(job: str, folder: Path) -> int:
    """Run the job in its folder and return its peak memory in KiB."""
    command = [sys.executable, "-c", LAUNCHER, sys.executable, "-m", "ematix_core", "run", "jobs.py", job]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("job", ["parquet_to_duckdb", "merge_into_duckdb", "parquet_to_files", "parquet_to_sqlite"])
def test_ten_times_the_rows_take_hardly_more_memory(job: str, folders: dict[int, Path]) -> None:
    few, many = (_peak(job, folders[rows]) for rows in (FEW, MANY))
    assert many <= MOST * few, f"{job}: {few / 1024:.0f} MiB for {FEW:,} rows, {many / 1024:.0f} MiB for {MANY:,}"
