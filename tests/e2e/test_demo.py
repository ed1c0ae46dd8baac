"""`make demo`, as a new user runs it: the figures that it prints, what it leaves behind, and a second run over it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.architecture.checkout import ROOT

SHOP = ROOT / "examples" / "shop"
DAYS = ("The first day", "The second day: ", "The second day once more")
# Job, mode, rows read, inserted, updated, unchanged, deleted, closed.
FIRST = """
customers scd2 14,950 14,950 0 0 0 0
suppliers scd2 997 997 0 0 0 0
products merge 19,970 19,965 0 0 0 0
orders (1 of 2) merge 149,875 149,875 0 0 0 0
orders (2 of 2) append 149,875 149,875 0 0 0 0
order_lines append 599,247 599,247 0 0 0 0
payments append 149,875 149,875 0 0 0 0
revenue truncate 42 42 0 0 0 0
"""
SECOND = """
customers scd2 372 371 0 1 0 300
suppliers scd2 995 12 0 983 0 14
products merge 19,975 32 399 19,541 25 0
orders (1 of 2) merge 623 125 498 0 0 0
orders (2 of 2) append 623 623 0 0 0 0
order_lines append 1,325 1,325 0 0 0 0
payments append 185 125 0 60 0 0
revenue truncate 35 35 0 0 42 0
"""
AGAIN = """
customers scd2 1 0 0 1 0 0
suppliers scd2 995 0 0 995 0 0
products merge 19,975 0 0 19,972 0 0
orders (1 of 2) merge 0 0 0 0 0 0
orders (2 of 2) append 0 0 0 0 0 0
order_lines append 0 0 0 0 0 0
payments append 185 0 0 185 0 0
revenue truncate 35 35 0 0 35 0
"""


def _environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EMATIX_")}
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"SHOP_DATA": str(folder), "EMATIX_STORE": f"sqlite:///{folder}/runs.db", "PATH": commands}


def _run(command: list[str | Path], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=SHOP, env=_environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """Return what the demo prints when it runs over the folder that an earlier run of it left."""
    folder.mkdir()
    (folder / "warehouse.duckdb").write_text("left from before")
    (folder / ".made-by-demo").touch()
    return _run([sys.executable, SHOP / "demo.py"], folder)


def _table(printed: str, title: str) -> list[str]:
    """Return the lines of the table below a title, without its headers."""
    return printed[printed.index(title) :].partition("\n\n")[0].splitlines()[2:]


def _counts(printed: str, title: str) -> list[str]:
    """Return the rows of a table of counts without seconds and speed, blanks squeezed."""
    rows = [line.split() for line in _table(printed, title)]
    # A target after a job's first one has no seconds of its own.
    return [" ".join(row if row[1:4] == ["(2", "of", "2)"] else row[:-2]) for row in rows]


@pytest.mark.parametrize(("title", "expected"), list(zip(DAYS, (FIRST, SECOND, AGAIN), strict=True)))
def test_day_has_exactly_these_counts(printed: str, title: str, expected: str) -> None:
    assert _counts(printed, title) == expected.split("\n")[1:-1]


def test_files_that_are_not_the_demos_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    done = subprocess.run(
        [sys.executable, SHOP / "demo.py"], env=_environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "holds files that the demo did not make" in done.stderr
    assert (tmp_path / "letter.txt").exists()


def test_warehouse_holds_what_the_sources_say(printed: str, folder: Path) -> None:
    assert "Done in" in printed
    with duckdb.connect(folder / "warehouse.duckdb", read_only=True) as warehouse:
        found = warehouse.sql(f"""
            SELECT (SELECT count(*) FROM analytics.order_lines),
                   (SELECT count(*) FROM '{folder}/drops/lines/**/*.parquet'),
                   (SELECT sum(revenue) FROM analytics.revenue),
                   (SELECT sum(revenue) FROM analytics.order_lines)
        """).fetchall()
    lines, dropped, revenue, of_lines = found[0]
    assert lines == dropped
    assert revenue == of_lines


def test_history_of_a_customer_has_the_late_change_in_its_place(printed: str) -> None:
    history = [line.strip().split("  ") for line in _table(printed, "Customer 7 moved")]
    assert [version[0] for version in history[1:]] == ["Old lane 5", "New street 7", "Second new street 7"]
    assert history[1][-3:] == ["1995-05-05 12:00", "1998-08-01 09:00", "False"]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["runs"], "order_lines"),
        (["plan", "customers"], "make timelines"),
        (["run", "+revenue"], "4 succeeded"),
        (["connections", "check"], "warehouse"),
    ],
)
def test_commands_that_the_demo_names_work_there(printed: str, folder: Path, command: list[str], shown: str) -> None:
    assert f"flow {' '.join(command)} " in printed
    assert shown in _run(["flow", *command], folder)


def test_runs_of_the_demo_are_in_the_store(printed: str, folder: Path) -> None:
    assert printed
    listed = json.loads(_run(["flow", "runs", "list", "products", "--json"], folder))
    assert [run["quarantined"] for run in (one["targets"][0] for one in listed["runs"])] == [3, 3, 5]
