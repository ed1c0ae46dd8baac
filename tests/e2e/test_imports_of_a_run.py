"""A run imports what its own rows need: a small one must not wait for libraries that it does without."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"alembic", "asyncpg", "numpy", "pandas", "polars", "pyarrow", "rich", "tenacity"}
PROJECT = """
import ematix_core as ematix
files = ematix.ObjectStoreConnection(name="files", path=".")
shop = ematix.DuckDBConnection(name="shop", path="shop.duckdb")

@ematix.job(source_connection=files, target="orders", target_connection=shop)
def orders():
    return 'SELECT * FROM "orders.parquet"'
"""
RUN = f"""
import sys
from ematix_core.cli.root import flow
try:
    flow.main(["run", "pipelines.py", "orders"])
except SystemExit as end:
    print(end.code, sorted({HEAVY!r} & set(sys.modules)))
"""


@pytest.mark.parametrize("runs", [1, 2])
def test_files_are_loaded_into_duckdb_without_arrow(runs: int, tmp_path: Path) -> None:
    (tmp_path / "pipelines.py").write_text(PROJECT)
    duckdb.execute(f"COPY (SELECT 1 AS id, 'a' AS name) TO '{tmp_path / 'orders.parquet'}' (FORMAT parquet)")
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr
