"""What becomes of a project in Airflow: DAGs, tasks, edges, and what Airflow itself goes by."""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias, WeightRule
from ematix_airflow import to_dag, to_dags, to_task_group
from ematix_airflow.timetable import EmatixTimetable

import ematix_core as ematix
from ematix_core.errors import DeclarationError, ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = Path(__file__).parent / "project"

HEAD = """
import ematix_core as ematix
import pyarrow as pa
lake = ematix.DuckDBConnection("lake", path="lake.duckdb")
def job(name, **options):
    return ematix.job(name=name, target=name, target_connection=lake, **options)(lambda: pa.table({"n": [1]}))
def flow(name, *jobs, **options):
    return ematix.workflow(name, jobs=jobs, **({"schedule": "0 2 * * *"} | options))
"""


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, DAG]:
    folder = tmp_path_factory.mktemp("dags")
    shutil.copy(PROJECT / "shop.py", folder)
    return to_dags("shop", directory=folder)


def project(folder: Path, text: str) -> Path:
    (folder / "pipelines.py").write_text(HEAD + text)
    return folder


def built(folder: Path, text: str, **options: Any) -> dict[str, DAG]:  # noqa: ANN401 - of to_dags
    return to_dags("pipelines", directory=project(folder, text), **options)


def edges(dag: DAG) -> dict[str, list[str]]:
    return {one.task_id: sorted(one.downstream_task_ids) for one in dag.tasks}


def awaited(dag: DAG) -> list[Any]:
    """Return the assets that wake the DAG."""
    condition: Any = dag.timetable.asset_condition
    return list(getattr(condition, "objects", [condition]))


def waits_for(dag: DAG) -> list[str]:
    return sorted(asset.uri for asset in awaited(dag))


def task(dag: DAG, name: str) -> Any:  # noqa: ANN401 - an operator of the provider
    return dag.get_task(name)


def outlets(dag: DAG, name: str) -> list[str]:
    return [asset.uri for asset in task(dag, name).outlets]


def test_each_workflow_and_each_job_with_conditions_is_a_dag(dags: Mapping[str, DAG]) -> None:
    assert sorted(dags) == [
        "both", "daily", "either", "failing", "kept", "letters", "minutely", "nested", "never", "outside", "sales",
        "stock", "stopped", "totals", "trying",
    ]  # fmt: skip


def test_edges_are_those_of_the_jobs_between_the_gate_and_the_end(dags: Mapping[str, DAG]) -> None:
    assert edges(dags["sales"]) == {
        "trigger": ["close", "orders"], "orders": ["by_region", "large"], "by_region": ["report"], "large": ["report"],
        "report": ["close"], "close": [],
    }  # fmt: skip
    close = dags["sales"].get_task("close")
    assert close.is_teardown, "it runs though jobs have failed, and does not count for the state of the DagRun"
    assert dags["sales"].get_task("trigger").is_setup


def test_a_tick_wakes_a_dag_by_our_timetable(dags: Mapping[str, DAG]) -> None:
    timetable = dags["daily"].timetable
    assert isinstance(timetable, EmatixTimetable)
    assert timetable.serialize() == {"cron": "0 0 * * *", "timezone": "UTC", "catchup": "none"}
    assert dags["daily"].max_active_runs == 1


def test_each_success_that_a_trigger_names_wakes_the_dag(dags: Mapping[str, DAG]) -> None:
    assert waits_for(dags["nested"]) == ["ematix://job/broken", "ematix://job/report", "ematix://workflow/sales"]
    assert waits_for(dags["totals"]) == ["ematix://job/orders"]
    assert waits_for(dags["minutely"]) == ["ematix://workflow/stock"]
    schedule: Any = dags["minutely"].timetable
    assert isinstance(schedule.timetable, EmatixTimetable)


def test_a_uri_is_an_asset_of_airflow_as_airflow_spells_it(dags: Mapping[str, DAG]) -> None:
    assert waits_for(dags["outside"]) == ["s3://lake/drop"]


def test_an_asset_with_a_name_of_its_own_is_given(tmp_path: Path) -> None:
    text = "w = flow('w', job('a'), schedule=None, triggered_by='s3://lake/drop')"
    drop = Asset(name="the drop", uri="s3://lake/drop")
    assert awaited(built(tmp_path, text, assets={"s3://lake/drop": drop})["w"]) == [drop]
    with pytest.raises(ProjectError, match="Did you mean 's3://lake/drop'"):
        built(tmp_path, text, assets={"s3://lake/drops": drop})


def test_messages_wake_the_dag_by_a_watcher(dags: Mapping[str, DAG]) -> None:
    (asset,) = awaited(dags["letters"])
    assert asset.uri == "ematix://message/letters"
    path, arguments = asset.watchers[0].trigger.serialize()
    assert path == "ematix_provider.messages.EmatixMessageTrigger"
    assert arguments["workflow"] == "letters"


def test_targets_are_assets_and_so_is_the_success_of_a_job_that_something_waits_for(dags: Mapping[str, DAG]) -> None:
    assert outlets(dags["sales"], "orders") == ["ematix://lake/orders", "ematix://job/orders"]
    assert outlets(dags["sales"], "large") == ["ematix://lake/large"]
    assert outlets(dags["sales"], "close") == ["ematix://workflow/sales"]


def test_priority_owner_tags_and_docs_are_those_of_the_project(dags: Mapping[str, DAG]) -> None:
    large = dags["sales"].get_task("large")
    assert (large.priority_weight, large.owner) == (4, "ada")
    assert dags["sales"].get_task("orders").owner == "grace"
    assert dags["sales"].tags == {"finance"}
    assert "large" in str(large.doc_md)
    assert "orders" in str(dags["sales"].doc_md)


def test_pools_timeouts_and_weights_reach_the_tasks(tmp_path: Path) -> None:
    text = "w = flow('w', job('a', pool='db', timeout=30), job('b'), pool='night', priority=2)"
    dag = built(tmp_path, text)["w"]
    a, b = dag.get_task("a"), dag.get_task("b")
    assert (a.pool, b.pool, dag.get_task("trigger").pool) == ("db", "night", "default_pool")
    assert (a.execution_timeout, b.execution_timeout) == (timedelta(seconds=90), None)
    assert b.priority_weight == 3
    assert str(b.weight_rule) in {"absolute", str(WeightRule.ABSOLUTE)} or "Absolute" in type(b.weight_rule).__name__


def test_waits_between_attempts_are_ours_also_after_the_task_was_cleared(dags: Mapping[str, DAG]) -> None:
    flaky = task(dags["trying"], "flaky")
    assert flaky.retries == 2

    def wait(try_number: int, max_tries: int) -> float:
        decision = flaky.retry_policy.evaluate(ValueError(), try_number, max_tries)
        assert decision.retry_delay is not None
        return float(decision.retry_delay.total_seconds())

    assert 0.1 <= wait(1, 2) <= 0.11
    assert 0.2 <= wait(2, 2) <= 0.22
    assert 0.1 <= wait(4, 5) <= 0.11, "three tries were cleared"


def test_one_workflow_can_be_a_dag_by_its_name_or_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project(tmp_path, "nightly = flow('nightly', job('a'))")
    assert to_dag("nightly", "pipelines", directory=folder, prefix="shop.").dag_id == "shop.nightly"
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "pipelines", raising=False)
    import pipelines  # type: ignore[import-not-found]  # written above

    assert to_dag(pipelines.nightly, directory=folder).dag_id == "nightly"


def test_an_unknown_workflow_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    folder = project(tmp_path, "nightly = flow('nightly', job('a'))")
    with pytest.raises(ProjectError, match="nightly"):
        to_dag("nihgtly", "pipelines", directory=folder)


def test_a_name_needs_its_module() -> None:
    with pytest.raises(DeclarationError, match="where is 'nightly'"):
        to_dag("nightly")


def test_a_workflow_of_the_dag_file_itself_is_refused_since_a_job_would_build_the_dags_again() -> None:
    job = ematix.job(name="a", target="a", target_connection="lake")(lambda: "SELECT 1")
    here = ematix.workflow("here", schedule="0 2 * * *", jobs=[job])
    with pytest.raises(ProjectError, match="no module beside the file that asks for it"):
        to_dag(here)


def test_a_group_belongs_to_a_dag_of_the_users_own_and_does_not_ask_the_evaluator(tmp_path: Path) -> None:
    folder = project(tmp_path, "nightly = flow('nightly', job('a'), job('b', depends_on=['a']))")
    with DAG("own", schedule=None) as dag:
        to_task_group("nightly", "pipelines", directory=folder)
    assert edges(dag) == {
        "nightly.trigger": ["nightly.a", "nightly.close"], "nightly.a": ["nightly.b"], "nightly.b": ["nightly.close"],
        "nightly.close": [],
    }  # fmt: skip
    assert task(dag, "nightly.trigger").decides is False
    assert task(dag, "nightly.b").gate_task_id == "nightly.trigger"
    assert task(dag, "nightly.close").tasks == {"a": "nightly.a", "b": "nightly.b"}


def test_names_that_airflow_does_not_allow_are_spelled_otherwise(tmp_path: Path) -> None:
    found = built(tmp_path, "w = flow('each night', job('close'), job('ü/x'))\nv = flow('v', job('q'), triggered_by=w)")
    dag = found["each_night"]
    assert dag.dag_display_name == "each night"
    assert sorted(one.task_id for one in dag.tasks) == ["__x", "close", "close_", "trigger"]
    assert outlets(dag, "close") == ["ematix://workflow/each%20night"] == waits_for(found["v"])


def test_two_names_that_airflow_could_not_tell_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="would have the same DAG id in Airflow, 'a_b'"):
        built(tmp_path, "v = flow('a b', job('j'))\nw = flow('a/b', job('k'))")


def test_arguments_of_the_user_come_over_those_of_the_workflow(tmp_path: Path) -> None:
    dag = built(tmp_path, "w = flow('w', job('a'))", dag_args={"tags": ["mine"], "max_active_tasks": 3})["w"]
    assert (dag.tags, dag.max_active_tasks) == ({"mine"}, 3)


@pytest.mark.parametrize(("catchup", "again"), [("all", ["ematix://again/hourly"]), ("latest", []), ("none", [])])
def test_the_end_of_a_run_wakes_the_dag_of_what_makes_up_for_every_tick(
    tmp_path: Path, catchup: str, again: list[str]
) -> None:
    project(tmp_path, f'hourly = flow("hourly", job("orders"), schedule="0 * * * *", catchup="{catchup}")')
    dag = to_dag("hourly", "pipelines.py", directory=tmp_path)
    assert (waits_for(dag) if again else []) == again
    assert [one.name for one in dag.get_task("close").outlets if isinstance(one, AssetAlias)] == again


STREAMS = """
clicks = ematix.stream(
    "clicks", source="events", source_query="clicks", targets=[ematix.target(name, connection=lake) for name in "ab"],
    tags=["web"], owner="ann", doc="Clicks of the shop.",
)
w = flow("w", job("a"))
"""


def test_a_stream_has_a_dag_of_one_task_that_follows_itself_when_that_is_asked_for(tmp_path: Path) -> None:
    assert sorted(built(tmp_path, STREAMS)) == ["w"]
    found = to_dags("pipelines", directory=tmp_path, prefix="shop/", streams=True)
    assert sorted(found) == ["shop_clicks", "shop_w"]
    dag = found["shop_clicks"]
    schedule: Any = dag.schedule
    assert (schedule, dag.max_active_runs, dag.max_consecutive_failed_dag_runs) == ("@continuous", 1, 3)
    assert (dag.dag_display_name, dag.tags, dag.description) == ("clicks", {"web"}, "Clicks of the shop.")
    consumer = task(dag, "consume")
    assert (consumer.stream, consumer.seconds, consumer.modules, consumer.directory) == (
        "clicks", 3600.0, ("pipelines",), str(tmp_path),
    )  # fmt: skip
    assert (consumer.owner, consumer.retries) == ("ann", 10)
    assert outlets(dag, "consume") == ["ematix://lake/a", "ematix://lake/b"]
    assert "bad records" in (consumer.doc_md or "")


def test_one_stream_is_a_dag_by_its_name_or_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, STREAMS)
    assert to_dag("clicks", "pipelines", directory=tmp_path).task_ids == ["consume"]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pipelines", raising=False)
    import pipelines

    assert to_dag(pipelines.clicks, directory=tmp_path, dag_args={"schedule": None}).task_ids == ["consume"]
    with pytest.raises(ProjectError, match="unknown workflow 'klicks'"):
        to_dag("klicks", "pipelines", directory=tmp_path)
    with pytest.raises(ProjectError, match="unknown workflow 'clicks'"), DAG("own", schedule=None):
        to_task_group("clicks", "pipelines", directory=tmp_path)
