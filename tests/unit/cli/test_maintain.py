"""`flow maintain`: declared maintenance by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Flow

PIPELINES = """
import ematix_core as ematix
import pyarrow as pa

lake = ematix.DeltaConnection("lake", path="lake")

@ematix.job(target="silver.orders", target_connection=lake, maintenance=[ematix.optimize(), ematix.checkpoint()])
def orders():
    return pa.table({"k": [1]})

@ematix.job(target="silver.events", target_connection=lake, maintenance=ematix.optimize(every=2))
def events():
    return pa.table({"k": [1]})

@ematix.job(target="silver.plain", target_connection=lake)
def plain():
    return pa.table({"k": [1]})
"""


@pytest.fixture
def lake(folder: Path) -> Path:
    (folder / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    (folder / "ematix.toml").write_text('[project]\nmodules = ["pipelines"]\n', encoding="utf-8")
    for name in ("orders", "events"):
        for n in range(3):
            write_deltalake(str(folder / "lake" / "silver" / name), pa.table({"k": [n]}), mode="append")
    return folder / "lake" / "silver"


def _files(table: Path) -> int:
    return len(DeltaTable(str(table)).file_uris())


def test_without_a_name_every_declared_step_is_carried_out_at_once(flow: Flow, lake: Path) -> None:
    result = flow("maintain")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "silver.orders: optimize(): 3 files removed, 1 files added",
        "silver.orders: checkpoint(): 1 checkpoints",
        "silver.events: optimize(): 3 files removed, 1 files added",
    ]
    assert _files(lake / "orders") == _files(lake / "events") == 1


@pytest.mark.parametrize("name", ["events", "silver.events", "eve*"])
def test_a_job_or_a_table_is_chosen_by_name(flow: Flow, lake: Path, name: str) -> None:
    assert flow("maintain", name).exit_code == 0
    assert (_files(lake / "orders"), _files(lake / "events")) == (3, 1)


def test_due_leaves_out_what_is_not_due(flow: Flow, lake: Path) -> None:
    result = flow("maintain", "--due", "--json")
    steps = {(step["table"], step["step"]): step["counts"] for step in json.loads(result.output)["steps"]}
    assert steps == {
        ("silver.orders", "optimize()"): None,
        ("silver.orders", "checkpoint()"): None,
        ("silver.events", "optimize()"): {"files_removed": 3, "files_added": 1},
    }
    assert _files(lake / "orders") == 3


def test_a_dry_run_says_what_there_is_to_do(flow: Flow, lake: Path) -> None:
    result = flow("maintain", "events", "--dry-run")
    assert result.output == "silver.events: optimize(): 3 files to rewrite\n"
    assert _files(lake / "events") == 3


def test_a_step_that_fails_is_shown_and_the_others_run(flow: Flow, lake: Path) -> None:
    for path in sorted((lake / "orders").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    result = flow("maintain")
    assert result.exit_code == 1
    assert "silver.orders: optimize(): there is no Delta table" in result.output
    assert _files(lake / "events") == 1


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("plain", "job 'plain' declares no maintenance"),
        ("silver.orderz", "no job or workflow is named 'silver.orderz'"),
    ],
)
@pytest.mark.usefixtures("lake")
def test_a_name_that_has_no_maintenance_is_refused(flow: Flow, name: str, what: str) -> None:
    result = flow("maintain", name)
    assert result.exit_code == 2
    assert what in result.output
