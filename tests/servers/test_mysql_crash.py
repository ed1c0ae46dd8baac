"""A load into MySQL is killed at every place that it reaches, and run again: the rows are as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import reach

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).with_name("mysql_crash_script.py")
ROOT = Path(__file__).resolve().parents[2]
STRIDE = 8
"""Every eighth place is taken; all of them with EMATIX_CRASH=full, which takes eight minutes."""
MODES = ("append", "truncate", "merge", "scd2")


def load(url: str, mode: str, folder: Path, **environment: str) -> int:
    """Run the load in a process of its own and return its exit status."""
    command = [sys.executable, str(SCRIPT), url, mode]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=folder, env=variables, check=False, timeout=120).returncode


def state(url: str) -> dict[str, object]:
    """Return what the two tables hold, how many loads are recorded, and which work tables are left."""
    tables = {str(name) for (name,) in reach.execute(url, "SHOW TABLES")}
    current = " WHERE is_current" if "is_current" in names(url, "t") else ""
    return {
        "rows": reach.execute(url, f"SELECT k, v FROM t{current} ORDER BY k, v"),
        "all": reach.execute(url, "SELECT count(*) FROM t"),
        "quarantined": reach.execute(url, "SELECT k, v, failed_check FROM t_quarantine ORDER BY k"),
        "loads": reach.execute(url, "SELECT count(*) FROM _ematix_loads"),
        "left": {name for name in tables if name.startswith("_ematix_staging")},
    }


def names(url: str, table: str) -> set[str]:
    return {str(row[0]) for row in reach.execute(url, f"SHOW COLUMNS FROM {table}")}


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(server: str) -> Iterator[str]:
    with reach.database(server) as found:
        yield found


@pytest.mark.parametrize("mode", MODES)
def test_kill_at_every_place_and_a_second_run_are_exact(server: str, url: str, mode: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    assert load(url, mode, folder(tmp_path, "plain"), EMATIX_FAILPOINT_TRACE=str(trace)) == 0
    expected = state(url)
    reached = trace.read_text().split()
    places = sorted({(point, reached[: at + 1].count(point)) for at, point in enumerate(reached) if "mysql" in point})
    assert len({point for point, _ in places}) >= 9
    if os.environ.get("EMATIX_CRASH") != "full":
        places = places[(MODES.index(mode) + (server == "mysql")) % STRIDE :: STRIDE]
    for point, nth in places:
        with reach.database(server) as another:
            where = folder(tmp_path, f"{point}_{nth}")
            assert load(another, mode, where, EMATIX_FAILPOINT=f"{point}#{nth}") == -signal.SIGKILL
            assert load(another, mode, where) == 0
            found = state(another)
            if (
                point == "mysql.commit.after"
            ):  # nothing is left to do but to drop the work tables: the next load does it
                found["left"] = set()
            assert found == expected, f"killed at {point}#{nth}"


def folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made
