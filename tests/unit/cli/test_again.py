"""`flow runs rerun` and `flow runs restart`, on real tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import duckdb
import pytest

from ematix_core.config.settings import Settings
from ematix_core.engine import run_workflow
from ematix_core.model.project import Project
from ematix_core.store.opening import open_store
from ematix_core.store.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.store.protocol import RunStore
    from tests.unit.cli.conftest import Flow

PIPELINES = """
import os

import pyarrow as pa

import ematix_core as ematix

warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")


@ematix.job(target="first", target_connection=warehouse)
def first(run):
    return pa.table({"day": [run.parameters.get("slice_start", "none")], "message": [run.parameters.get("message")]})


@ematix.job(target="second", target_connection=warehouse, depends_on=[first])
def second():
    if "BROKEN" in os.environ:
        raise ValueError("not yet")
    return pa.table({"n": [1]})


@ematix.job(target="third", target_connection=warehouse, depends_on=[second])
def third():
    return pa.table({"n": [1]})


nightly = ematix.workflow("nightly", jobs=[first, second, third], schedule="0 2 * * *")
"""

MANY = """
scratch = ematix.MemoryConnection("scratch")
for number in range(9):
    declare = ematix.job(name=f"{f'job_{number}':_<40}", target=f"t{number}", target_connection=scratch)
    globals()[f"job_{number}"] = declare(lambda: "SELECT 1 AS n")
"""


@pytest.fixture(autouse=True)
def _project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    (folder / "ematix.toml").write_text('[project]\nmodules = ["pipelines"]\n', encoding="utf-8")
    monkeypatch.setenv("BROKEN", "yes")


@pytest.fixture
def store(folder: object) -> Iterator[RunStore]:
    """Open the store of the test's folder."""
    assert folder
    with open_store(Settings.load().store) as opened:
        yield opened


def rows(table: str) -> list[tuple[object, ...]]:
    with duckdb.connect("warehouse.duckdb") as database:
        return database.execute(f"SELECT * FROM {table}").fetchall()


def jobs(store: RunStore, workflow_run_id: str) -> dict[str, Status]:
    return {run.job: run.status for run in store.runs(workflow_run_id=workflow_run_id)}


def test_restart_goes_on_from_the_failed_step(flow: Flow, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    flow("run", "nightly")
    before = store.workflow_runs()[0]
    assert before.status is Status.FAILED
    monkeypatch.delenv("BROKEN")
    result = flow("runs", "restart", "nightly")
    assert result.exit_code == 0, result.output
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:4]] == [
        ["first", "succeeded"], ["second", "succeeded"], ["third", "succeeded"],
    ]  # fmt: skip
    assert len(rows("first")) == 1
    after = store.workflow_runs()[0]
    assert (after.trigger, after.workflow, after.unit) == (f"restart of {before.workflow_run_id}", "nightly", True)
    assert jobs(store, after.workflow_run_id) == {"second": Status.SUCCEEDED, "third": Status.SUCCEEDED}
    shown = flow("runs", "show", after.workflow_run_id).stdout
    assert "done before   first\n" in shown


def test_restart_of_a_restart_still_knows_what_was_done(
    flow: Flow, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow("run", "nightly")
    assert flow("runs", "restart", "nightly").exit_code == 1
    monkeypatch.delenv("BROKEN")
    assert flow("runs", "restart", "nightly").exit_code == 0
    assert len(rows("first")) == 1
    refused = flow("runs", "restart", "nightly")
    assert refused.exit_code == 1
    assert "succeeded: nothing of it is left to do" in refused.stderr
    assert len(store.workflow_runs()) == 3


def test_rerun_runs_all_of_it_again_with_the_same_parameters_and_slice(flow: Flow, store: RunStore) -> None:
    project = Project.load("pipelines")
    parameters = {"slice_start": "2026-01-01T00:00:00+00:00", "message": "hello"}
    run_workflow(project.workflow("nightly"), project, store=store, slice="2026-01-01", parameters=parameters)
    before = store.workflow_runs()[0]
    assert flow("runs", "rerun", before.workflow_run_id[:-1]).exit_code == 1
    after = store.workflow_runs()[0]
    assert (after.trigger, after.slice, after.parameters) == (
        f"rerun of {before.workflow_run_id}", "2026-01-01", parameters,
    )  # fmt: skip
    assert rows("first") == [(parameters["slice_start"], "hello")] * 2


def test_rerun_of_a_job_runs_that_job_alone(flow: Flow, store: RunStore) -> None:
    project = Project.load("pipelines")
    run_workflow(project.workflow("nightly"), project, store=store, parameters={"message": "hello"})
    before = store.latest("first")
    assert before is not None
    document = json.loads(flow("runs", "rerun", before.run_id, "--json").stdout)
    assert [job["job"] for job in document["jobs"]] == ["first"]
    assert rows("first") == [("none", "hello")] * 2
    after = store.latest("first")
    assert after is not None
    assert after.trigger == f"rerun of {before.run_id}"


def test_several_jobs_of_one_flow_run_are_run_again_together(flow: Flow, store: RunStore) -> None:
    flow("run", "first", "second")
    before = store.workflow_runs()[0]
    assert before.workflow == "first, second"
    flow("runs", "rerun", before.workflow_run_id)
    assert len(rows("first")) == 2
    flow("runs", "restart", before.workflow_run_id)
    assert len(rows("first")) == 2
    assert jobs(store, store.workflow_runs()[0].workflow_run_id) == {"second": Status.FAILED}


def test_jobs_that_are_too_many_for_a_name_are_run_again_together(folder: Path, flow: Flow, store: RunStore) -> None:
    pipelines = folder / "pipelines.py"
    pipelines.write_text(pipelines.read_text() + MANY, encoding="utf-8")
    flow("run", "job_*")
    before = store.workflow_runs()[0]
    assert before.workflow.endswith(f", {'job_4':_<40} and 4 more")
    assert flow("runs", "rerun", before.workflow_run_id).exit_code == 0
    assert len(jobs(store, store.workflow_runs()[0].workflow_run_id)) == 9


def test_what_runs_is_not_started_a_second_time(flow: Flow, store: RunStore) -> None:
    run = store.begin_workflow("nightly", unit=True)
    for command in ("rerun", "restart"):
        result = flow("runs", command, run.workflow_run_id)
        assert result.exit_code == 1
        assert f"run {run.workflow_run_id} of nightly is still running" in result.stderr
        assert f"flow runs cancel {run.workflow_run_id}" in result.stderr


def test_what_is_no_longer_declared_is_said(flow: Flow, store: RunStore) -> None:
    run = store.begin_workflow("nightyl", unit=True)
    store.finish_workflow(run.workflow_run_id, Status.FAILED)
    result = flow("runs", "restart", run.workflow_run_id)
    assert result.exit_code == 2
    assert f"error: unknown workflow 'nightyl' (run {run.workflow_run_id})" in result.stderr
    assert "Did you mean 'nightly'?" in result.stderr


def test_one_job_has_no_steps_to_restart_from(flow: Flow, store: RunStore) -> None:
    flow("run", "nightly")
    failed = store.latest("second")
    assert failed is not None
    result = flow("runs", "restart", failed.run_id)
    assert result.exit_code == 1
    assert f"flow runs rerun {failed.run_id}" in result.stderr
    assert f"flow runs restart {failed.workflow_run_id}" in result.stderr
