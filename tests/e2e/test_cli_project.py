"""What a newcomer does in the first minutes: `flow init`, `flow run`, and a look at what happened."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

FLOW = str(Path(sys.executable).with_name("flow"))


def _environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("EMATIX_", "XDG_"))}
    return kept | {"HOME": str(home)}


def _flow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FLOW, *arguments], cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False
    )


def _counts(folder: Path, *names: str) -> dict[str, dict[str, int]]:
    done = _flow(folder, "run", *names, "--json")
    assert done.returncode == 0, done.stderr
    return {one["job"]: one["run"] for one in json.loads(done.stdout)["jobs"]}


def _rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as database:
        return list(database.execute(query).fetchall())


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Make the project of `flow init` in an empty folder."""
    done = _flow(tmp_path, "init", "shop")
    assert done.returncode == 0, done.stderr
    return tmp_path / "shop"


def test_generated_project_runs_at_once(shop: Path) -> None:
    done = _flow(shop, "run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:5] for line in lines[1:4]] == [
        ["customers", "succeeded", "scd2", "200", "200"],
        ["orders", "succeeded", "merge", "1,000", "1,000"],
        ["city_revenue", "succeeded", "truncate", "7", "7"],
    ]
    assert lines[4].startswith("3 succeeded in ")
    total = _rows(shop, "SELECT sum(orders)::INTEGER FROM analytics.city_revenue")
    assert total == [(1_000,)]


def test_second_run_changes_nothing_and_a_change_becomes_history(shop: Path) -> None:
    _counts(shop)
    again = _counts(shop, "customers", "orders")
    assert (again["customers"]["inserted"], again["customers"]["unchanged"]) == (0, 200)
    assert (again["orders"]["inserted"], again["orders"]["unchanged"]) == (0, 1_000)
    with closing(sqlite3.connect(shop / "data" / "shop.db")) as database, database:
        database.execute("UPDATE customers SET city = 'Lyon' WHERE customer_id = 1")
    changed = _counts(shop, "+city_revenue")
    assert (changed["customers"]["inserted"], changed["customers"]["closed"]) == (1, 1)
    history = _rows(shop, "SELECT city, is_current FROM analytics.customers WHERE customer_id = 1 ORDER BY valid_from")
    assert len(history) == 2
    assert history[1] == ("Lyon", True)


def test_every_command_that_looks_works_after_a_run(shop: Path) -> None:
    _counts(shop)
    for command in (
        ["list"], ["plan"], ["validate"], ["runs"], ["runs", "show"], ["logs", "orders"], ["connections"],
        ["connections", "check"], ["secrets", "test"], ["doctor"],
    ):  # fmt: skip
        done = _flow(shop, *command, "--json")
        assert (done.returncode, done.stderr) == (0, ""), command
        assert json.loads(done.stdout), command


def test_failing_job_says_why_and_skips_what_needs_it(shop: Path) -> None:
    (shop / "data" / "orders" / "2026-01.csv").unlink()
    done = _flow(shop, "run")
    assert done.returncode == 1
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:4]] == [
        ["customers", "succeeded"],
        ["orders", "failed"],
        ["city_revenue", "skipped"],
    ]
    assert "error: " in done.stderr
    assert "(job orders" in done.stderr
    assert "Traceback" not in done.stderr
    assert [run["job"] for run in json.loads(_flow(shop, "runs", "--status", "failed", "--json").stdout)["runs"]] == [
        "orders"
    ]


def test_job_body_that_raises_shows_the_users_traceback(shop: Path) -> None:
    source = (shop / "pipelines.py").read_text(encoding="utf-8")
    broken = source.replace('return "SELECT customer_id', 'return {}["x"] + "SELECT customer_id')
    (shop / "pipelines.py").write_text(broken, encoding="utf-8")
    done = _flow(shop, "run", "customers")
    assert done.returncode == 1
    assert f'File "{shop / "pipelines.py"}", line ' in done.stderr
    assert "KeyError: 'x'" in done.stderr
    assert "ematix_core/" not in done.stderr
    assert "ematix_core/engine" in _flow(shop, "run", "customers", "--debug").stderr


def test_reader_that_leaves_early_causes_no_noise(shop: Path) -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", f"{FLOW} list --json | head -1"],
        cwd=shop, env=_environment(shop), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("{\n", "")
