"""`flow backfill`: what it prints, its exit codes, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Flow

PIPELINES = """
import os

import pyarrow as pa

import ematix_core as ematix

warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")


@ematix.job(target="days", target_connection=warehouse, mode=ematix.merge(keys=["day"]))
def days(run):
    day = run.parameters["slice_start"]
    if day == os.environ.get("BROKEN"):
        raise ValueError("no such day")
    return pa.table({"day": [day], "until": [run.parameters["slice_end"]]})


@ematix.job(target="keys", target_connection=warehouse, mode=ematix.merge(keys=["key"]))
def keys(run):
    return pa.table({"key": list(range(run.parameters["slice_start"], run.parameters["slice_end"]))})


nightly = ematix.workflow("nightly", jobs=[days], schedule="0 2 * * *", timezone="Europe/Paris")
"""
MARCH = ("--from", "2026-03-28", "--to", "2026-03-31")


@pytest.fixture(autouse=True)
def _project(folder: Path) -> None:
    (folder / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    (folder / "ematix.toml").write_text('[project]\nmodules = ["pipelines"]\n[pools]\nsmall = 1\n', encoding="utf-8")


def document(flow: Flow, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(flow("backfill", *arguments, "--json").stdout)
    return found


def test_a_dry_run_lists_the_days_of_the_schedules_zone(flow: Flow) -> None:
    result = flow("backfill", "nightly", *MARCH, "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "slice                    from                    to                      last run  would",
        "2026-03-28 Europe/Paris  2026-03-28 00:00+01:00  2026-03-29 00:00+01:00         -  run",
        "2026-03-29 Europe/Paris  2026-03-29 00:00+01:00  2026-03-30 00:00+02:00         -  run",
        "2026-03-30 Europe/Paris  2026-03-30 00:00+02:00  2026-03-31 00:00+02:00         -  run",
        "3 of 3 slices would run",
    ]
    listed = document(flow, "nightly", *MARCH, "--dry-run", "--timezone", "UTC")
    assert listed["timezone"] == "UTC"
    assert listed["slices"][0] == {
        "slice": "2026-03-28", "start": "2026-03-28T00:00:00+00:00", "end": "2026-03-29T00:00:00+00:00",
        "status": None, "due": True,
    }  # fmt: skip
    assert flow("runs").stdout.startswith("no run is recorded yet")


def test_a_backfill_says_what_became_of_each_slice(flow: Flow) -> None:
    result = flow("backfill", "days", *MARCH)
    assert result.exit_code == 0, result.output
    header, *rows, last = result.stdout.splitlines()
    assert header.split()[:4] == ["slice", "status", "rows", "read"]
    assert [row.split()[:4] for row in rows] == [
        ["2026-03-28", "succeeded", "1", "1"], ["2026-03-29", "succeeded", "1", "1"],
        ["2026-03-30", "succeeded", "1", "1"],
    ]  # fmt: skip
    assert last.startswith("3 succeeded of 3 slices · 3 rows read in ")
    told = result.stderr.splitlines()
    assert told[0].startswith("2026-03-28: succeeded, 1 rows read, 1 inserted in ")
    assert told[0].endswith(" s (1 of 3)")
    again = flow("backfill", "days", *MARCH)
    assert again.stdout.startswith("3 done before of 3 slices · 0 rows read in ")
    assert not again.stderr


def test_a_failed_slice_is_told_and_run_by_the_same_command(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "2026-03-29T00:00:00+00:00")
    result = flow("backfill", "days", *MARCH)
    assert result.exit_code == 1
    assert "2 succeeded, 1 failed of 3 slices" in result.stdout
    cause = result.stderr.partition("\n2026-03-29:\n")[2]
    assert 'raise ValueError("no such day")' in cause
    assert "error: the job's function raised ValueError: no such day (job days" in cause
    assert result.stderr.endswith("not all is done: the same command goes on with what is left\n")
    dry = flow("backfill", "days", *MARCH, "--dry-run").stdout.splitlines()
    assert [line.split()[-2:] for line in dry[1:4]] == [["succeeded", "skip"], ["failed", "run"], ["succeeded", "skip"]]
    monkeypatch.delenv("BROKEN")
    found = document(flow, "days", *MARCH)
    assert [one["status"] for one in found["slices"]] == ["skipped", "succeeded", "skipped"]
    assert found["slices"][1]["inserted"] == 1


def test_a_cause_that_many_slices_share_is_told_once(flow: Flow, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    source = PIPELINES.replace('if day == os.environ.get("BROKEN"):', "if True:")
    (folder / "pipelines.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("NO_COLOR", "1")
    result = flow("backfill", "days", "--from", "2026-03-01", "--to", "2026-03-08")
    assert "\n2026-03-01, 2026-03-02, 2026-03-03 and 4 more:\nTraceback" in result.stderr
    assert result.stderr.count("error:") == 1


def test_keys_are_given_as_numbers(flow: Flow) -> None:
    found = document(flow, "keys", "--from", "0", "--to", "25", "--by", "key", "--step", "10", "--parallel", "2")
    assert [(one["slice"], one["start"], one["end"], one["inserted"]) for one in found["slices"]] == [
        ("0..10", 0, 10, 10), ("10..20", 10, 20, 10), ("20..25", 20, 25, 5),
    ]  # fmt: skip


def test_the_limit_of_a_pool_holds(flow: Flow, folder: Path) -> None:
    source = PIPELINES.replace('mode=ematix.merge(keys=["key"])', 'mode=ematix.merge(keys=["key"]), pool="small"')
    (folder / "pipelines.py").write_text(source, encoding="utf-8")
    result = flow("backfill", "keys", "--from", "0", "--to", "2", "--by", "key", "--step", "1", "--parallel", "4")
    assert result.stderr.startswith("the limit of its pool lets 1 of 4 slices run at one time\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nightyl", *MARCH], "Did you mean 'nightly'?"),
        (["nightly", "days", *MARCH], "Name one workflow or job."),
        (["nightly"], "Missing option '--from'"),
        (["nightly", "--from", "2026-03-28", "--to", "2026-02-31"], "to='2026-02-31' is no date or time"),
        (["nightly", "--from", "2026-03-28", "--to", "2026-03-28"], "there is nothing from"),
        (["keys", "--from", "0", "--to", "9", "--by", "key"], "slices by key need a step"),
        (["nightly", *MARCH, "--timezone", "Europe/Pariss"], "Europe/Paris"),
    ],
)
def test_a_wrong_command_is_said(arguments: list[str], says: str, flow: Flow) -> None:
    result = flow("backfill", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
