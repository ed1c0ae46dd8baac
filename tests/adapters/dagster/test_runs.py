"""Runs of Dagster that run jobs of ours: attempts, failures, workflow runs, and what the catalog is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import duckdb
from dagster import (
    AssetKey,
    DagsterEventType,
    DagsterInstance,
    TableColumnDep,
    materialize,
)
from ematix_dagster import EmatixResource, ematix_assets, to_definitions

from ematix_core.orchestration import Gate, Opened, Status
from tests.adapters.dagster.shop import facts_of, failure_of, plan, run

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.orchestration import OpenSite

NUMBERS = AssetKey(["warehouse", "analytics", "numbers"])
DOUBLED = AssetKey(["warehouse", "doubled"])
SMALL, LARGE = AssetKey(["lake", "copies"]), AssetKey(["warehouse", "copies"])


def test_a_run_by_hand_is_one_workflow_run_of_ours(folder: Path, instance: DagsterInstance, site: OpenSite) -> None:
    result = run(folder, instance)

    assert result.success
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as warehouse:
        assert warehouse.sql("SELECT twice, word FROM doubled ORDER BY 1").fetchall() == [
            (2, "one"), (4, "two"), (6, "three"),
        ]  # fmt: skip
    (whole,) = site.store.workflow_runs()
    assert (whole.workflow, whole.trigger, whole.host) == ("nightly", "manual", f"dagster:{result.run_id}")
    assert whole.cause == (f"Dagster run {result.run_id}",)
    runs = site.store.runs(workflow_run_id=whole.workflow_run_id)
    assert sorted((one.job, one.status, one.inserted) for one in runs) == [
        ("doubled", Status.SUCCEEDED, 3), ("numbers", Status.SUCCEEDED, 3),
    ]  # fmt: skip


def test_retries_are_attempts_of_one_run(folder: Path, instance: DagsterInstance, site: OpenSite) -> None:
    plan(folder, "flaky", "flaky", "well")

    result = run(folder, instance)

    assert result.success
    retried = [e for e in result.events_for_node("numbers") if e.event_type is DagsterEventType.STEP_UP_FOR_RETRY]
    assert [e.step_retry_data.seconds_to_wait for e in retried] == [0.05, 0.1]
    errors = [str(e.step_retry_data.error) for e in retried]
    assert ["the network is down" in error for error in errors] == [True, True]
    (one,) = site.store.runs(job="numbers")
    assert (one.status, one.attempts) == (Status.SUCCEEDED, 3)
    assert [attempt.status for attempt in site.store.attempts(one.run_id)] == ["failed", "failed", "succeeded"]
    assert facts_of(result, "numbers")["ematix/attempts"] == 3


def test_the_last_attempt_fails_with_our_message(folder: Path, instance: DagsterInstance, site: OpenSite) -> None:
    plan(folder, "flaky", "flaky", "flaky")

    result = run(folder, instance)

    assert "the network is down" in failure_of(result, "numbers")
    (one,) = site.store.runs(job="numbers")
    assert (one.status, one.attempts) == (Status.FAILED, 3)
    assert site.store.runs(job="doubled") == []


def test_what_is_permanent_is_not_tried_again(folder: Path, instance: DagsterInstance, site: OpenSite) -> None:
    plan(folder, "wrong")

    result = run(folder, instance)

    assert failure_of(result, "numbers") == "the source is no source (job numbers)\nMend it."
    assert site.store.runs(job="numbers")[0].attempts == 1


def test_trouble_with_the_store_may_go_away(folder: Path, instance: DagsterInstance) -> None:
    resource = EmatixResource(store=f"sqlite:///{folder}")  # which is no file
    definitions = to_definitions("shop", directory=folder, resource=resource)
    job = definitions.resolve_job_def("nightly")

    result = job.execute_in_process(instance=instance, raise_on_error=False)

    retried = [e for e in result.events_for_node("numbers") if e.event_type is DagsterEventType.STEP_UP_FOR_RETRY]
    assert len(retried) == 2
    assert "the store failed" in failure_of(result, "numbers")


def test_the_catalog_is_told_what_the_engine_counted(folder: Path, instance: DagsterInstance) -> None:
    result = run(folder, instance)

    found = facts_of(result, "numbers")
    assert (found["dagster/row_count"], found["dagster/table_name"]) == (3, "analytics.numbers")
    counts = ("inserted", "updated", "unchanged", "deleted", "closed", "quarantined")
    assert [found[f"ematix/{name}"] for name in counts] == [3, 0, 0, 0, 0, 0]
    assert found["ematix/seconds"] > 0
    assert "CREATE TABLE" in str(found["ematix/plan"])
    doubled = facts_of(result, "doubled")
    columns = doubled["dagster/column_schema"].columns
    assert [(column.name, column.type) for column in columns] == [("twice", "BigInt"), ("word", "Text")]
    assert doubled["dagster/column_lineage"].deps_by_column["twice"] == [TableColumnDep(NUMBERS, "n")]


def test_the_data_version_stays_when_nothing_changes(folder: Path, instance: DagsterInstance) -> None:
    first, second = run(folder, instance), run(folder, instance)

    one, other = (result.asset_materializations_for_node("numbers")[0].tags for result in (first, second))
    assert one is not None
    assert other is not None
    assert one["dagster/data_version"] == other["dagster/data_version"]
    assert facts_of(second, "numbers")["ematix/unchanged"] == 3


def test_our_lines_are_in_the_event_log(folder: Path, instance: DagsterInstance) -> None:
    result = run(folder, instance)

    lines = [record.user_message for record in instance.all_logs(result.run_id) if record.dagster_event is None]
    assert "numbers: merge: stage rows" in lines
    assert any(line.startswith("numbers: succeeded, 3 rows read") for line in lines)


def test_checks_are_shown_and_a_warning_lets_the_load_go_on(folder: Path, instance: DagsterInstance) -> None:
    plan(folder, "wordless")

    result = run(folder, instance)

    assert result.success
    shown = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert {name: one.passed for name, one in shown.items()} == {"not_null_word": False, "between_n": True}
    assert shown["not_null_word"].severity.value == "WARN"
    assert "1 rows break it" in (shown["not_null_word"].description or "")


def test_a_check_that_fails_the_load_is_shown_and_nothing_is_loaded(folder: Path, instance: DagsterInstance) -> None:
    plan(folder, "high")

    result = run(folder, instance)

    assert not result.success
    (shown,) = result.get_asset_check_evaluations()
    assert (shown.check_name, shown.passed, shown.severity.value, shown.blocking) == (
        "between_n", False, "ERROR", True,
    )  # fmt: skip
    assert result.asset_materializations_for_node("numbers") == []
    assert "between(n): 1 rows break it" in failure_of(result, "numbers")


def test_a_subset_of_a_jobs_targets_is_loaded_with_the_others_which_the_catalog_learns(
    folder: Path, instance: DagsterInstance
) -> None:
    assert run(folder, instance).success
    assets = ematix_assets("after", "shop", directory=folder)
    result = materialize(assets, selection=[SMALL], instance=instance, resources={"ematix": EmatixResource()})

    assert result.success
    told = [event.asset_key for event in result.asset_materializations_for_node("copies")]
    assert sorted(told) == [SMALL, LARGE]


def test_single_assets_are_job_runs_and_no_workflow_run(
    folder: Path, instance: DagsterInstance, site: OpenSite
) -> None:
    assets = ematix_assets("nightly", "shop", directory=folder)

    assert materialize(assets, instance=instance, resources={"ematix": EmatixResource()}).success
    assert site.store.workflow_runs() == []
    assert sorted(one.job for one in site.store.runs()) == ["doubled", "numbers"]


def test_a_run_by_hand_waits_for_the_run_of_somebody_else(
    folder: Path, instance: DagsterInstance, site: OpenSite
) -> None:
    unit = site.unit("nightly")
    other = Gate(site.store, unit, carrier="elsewhere:1").begin()
    assert isinstance(other, Opened)

    def fail() -> None:
        site.store.finish_workflow(other.run.workflow_run_id, Status.FAILED, carrier="elsewhere:1")

    closing = threading.Timer(2.5, fail)
    closing.start()

    result = run(folder, instance)

    closing.join()
    assert result.success
    lines = [record.user_message for record in instance.all_logs(result.run_id)]
    assert any("waits: run" in line and "elsewhere:1" in line for line in lines)
