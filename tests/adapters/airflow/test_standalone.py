"""A real Airflow runs the project: scheduler, triggerer and workers; then rows and records are those of a native run.

One Airflow serves all tests of the module. Each has workflows of its own, but those that `sales` and `stock` set off,
which a fixture starts for all.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.adapters.airflow.standalone import BIN, Airflow, standalone
from tests.adapters.airflow.world import World
from tests.architecture.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


SET_OFF = ("sales", "stock", "both", "either", "nested", "totals")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("airflow") / "dags")


@pytest.fixture(scope="module")
def airflow(world: World) -> Iterator[Airflow]:
    shutil.copytree(ROOT / "examples" / "airflow" / "dags", world.folder / "example")
    (world.folder / "bad").mkdir()
    (world.folder / "bad" / "wrong.py").write_text("import nothing_of_that_name\n")
    for name, how in (("wrong", "auto"), ("absent", "never")):
        text = f"from ematix_airflow import to_dags\nglobals().update(to_dags({name!r}, recompile={how!r}))\n"
        (world.folder / "bad" / f"{name}_dags.py").write_text(text)
    with standalone(world.folder.parent, world.folder) as running:
        yield running


def test_a_project_that_cannot_be_read_is_an_import_error_and_hinders_no_other(airflow: Airflow) -> None:
    found = {error["filename"]: error["stack_trace"] for error in airflow.get("importErrors")["import_errors"]}
    assert sorted(found) == ["bad/absent_dags.py", "bad/wrong_dags.py"]
    assert "nothing_of_that_name" in found["bad/wrong_dags.py"]
    assert "flow compile --module absent" in found["bad/absent_dags.py"]
    assert {"sales", "nightly"} <= {dag["dag_id"] for dag in airflow.get("dags?limit=100")["dags"]}


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return what the same starts do without Airflow."""
    made = World(tmp_path_factory.mktemp("native") / "project")
    made.flow("run-due")  # the ticks of the workflows count from here
    for name in ("sales", "stock"):
        made.flow("run", name)
        made.flow("run-due")
    made.flow("run", "trying")
    made.flow("run", "failing", code=1)
    return made


@pytest.fixture(scope="module")
def set_off(world: World, airflow: Airflow) -> World:
    """Return the world after `sales`, then `stock`, and all that they set off."""
    airflow.run("sales")
    airflow.wait(lambda: world.statuses("either") == ["succeeded"], "either does not run")
    airflow.wait(lambda: world.statuses("nested") == ["succeeded"], "nested does not run")
    airflow.wait(lambda: world.statuses("totals") == ["succeeded"], "totals does not run")
    airflow.run("stock")
    airflow.wait(lambda: world.statuses("both") == ["succeeded"], "both does not run")
    airflow.wait(lambda: world.statuses("either") == ["succeeded"] * 2, "either does not run again")
    return world


@pytest.mark.parametrize("name", SET_OFF)
def test_what_runs_and_its_record_are_those_of_a_native_run(set_off: World, native: World, name: str) -> None:
    assert set_off.story(name) == native.story(name)


@pytest.mark.parametrize("table", ["orders", "by_region", "large", "report", "totals", "b", "e", "n", "stock_level"])
def test_rows_are_those_of_a_native_run(set_off: World, native: World, table: str) -> None:
    assert set_off.rows(table) == native.rows(table) != []


def test_a_dag_that_is_woken_in_vain_says_why_and_is_skipped_as_a_whole(set_off: World, airflow: Airflow) -> None:
    first, second = airflow.runs("both")
    assert set_off.statuses("both") == ["succeeded"]
    assert airflow.states("both", first["dag_run_id"]) == {"trigger": "skipped", "b": "skipped", "close": "skipped"}
    assert "stock: has not succeeded yet" in airflow.log("both", first["dag_run_id"], "trigger")
    assert set(airflow.states("both", second["dag_run_id"]).values()) == {"success"}


def test_the_task_knows_the_run_and_its_counts(set_off: World, airflow: Airflow) -> None:
    (started,) = airflow.runs("sales")
    facts = airflow.result("sales", started["dag_run_id"], "orders")
    (run,) = [run for run in set_off.runs(set_off.workflow_runs("sales")[0]) if run.job == "orders"]
    assert (facts["run_id"], facts["inserted"], facts["plan_hash"]) == (run.run_id, 3, run.plan_hash)


def test_a_transient_failure_is_another_attempt_of_one_run(world: World, native: World, airflow: Airflow) -> None:
    assert airflow.run("trying") == {"trigger": "success", "flaky": "success", "close": "success"}
    assert world.story("trying") == native.story("trying")
    assert world.story("trying")[0]["jobs"][0]["attempts"] == 2


def test_a_permanent_failure_is_not_tried_again_and_its_dependents_are_skipped(
    world: World, native: World, airflow: Airflow
) -> None:
    states = airflow.run("failing")
    assert states == {
        "trigger": "success", "broken": "failed", "beside": "success", "after": "upstream_failed", "close": "skipped",
    }  # fmt: skip
    assert airflow.runs("failing")[0]["state"] == "failed"
    assert world.story("failing") == native.story("failing")
    assert world.statuses("never") == [] == airflow.runs("never"), "nobody is told of a success that was none"


def test_a_tick_and_a_success_are_both_waited_for(set_off: World, airflow: Airflow) -> None:
    airflow.wait(lambda: set_off.statuses("minutely") == ["succeeded"], "minutely does not run")
    (run,) = set_off.workflow_runs("minutely")
    assert run.tick is not None
    assert [line.split()[0] for line in run.cause] == ["stock", "tick"]


def test_a_success_that_comes_during_a_run_is_kept_for_the_next(set_off: World, airflow: Airflow) -> None:
    airflow.wait(lambda: set_off.statuses("kept") == ["succeeded"], "kept does not run")
    airflow.run("stock")
    airflow.wait(lambda: set_off.statuses("kept") == ["succeeded", "running"], "kept does not run again")
    airflow.run("stock")
    airflow.wait(lambda: set_off.statuses("kept") == ["succeeded"] * 3, "the success during the run is lost")


def test_an_asset_of_others_is_waited_for_by_its_uri(world: World, airflow: Airflow) -> None:
    airflow.run("drop")
    airflow.wait(lambda: world.statuses("outside") == ["succeeded"], "outside does not run")
    (run,) = world.workflow_runs("outside")
    assert run.cause[0].startswith("s3://lake/drop/ succeeded at")


def test_each_message_has_its_run(world: World, airflow: Airflow) -> None:
    for text in ("a", "b", "c"):
        (world.folder / "landing" / f"{text}.json").write_text(json.dumps({"text": text}))
    airflow.wait(lambda: world.statuses("letters") == ["succeeded"] * 3, "letters do not run")
    assert world.rows("letter") == [("a",), ("b",), ("c",)]
    airflow.wait(lambda: not list((world.folder / "landing").glob("*.json")), "the messages stay where they were")


def test_a_task_that_is_marked_as_failed_is_rolled_back_and_can_be_cleared(world: World, airflow: Airflow) -> None:
    started = airflow.start("stopped")
    airflow.wait((world.folder / "slow.began").exists, "slow does not begin")
    path = f"dags/stopped/dagRuns/{started.replace('+', '%2B')}/taskInstances/slow"
    airflow.call("PATCH", path, {"new_state": "failed"})
    assert airflow.ended("stopped", started)["slow"] == "failed"
    airflow.wait(lambda: world.statuses("stopped") in (["cancelled"], ["failed"]), "the run stays open")
    assert world.rows("slow") == [], "what was loaded is rolled back"
    (world.folder / "quick").touch()
    airflow.call(
        "POST", "dags/stopped/clearTaskInstances",
        {"dry_run": False, "dag_run_id": started, "task_ids": ["slow"], "only_failed": False, "reset_dag_runs": True,
         "include_downstream": True},
    )  # fmt: skip
    airflow.wait(lambda: world.statuses("stopped")[1:] == ["succeeded"], "the cleared task does not run")
    assert world.rows("slow") == [(1,)]


def test_a_backfill_has_a_slice_for_each_interval(world: World, airflow: Airflow) -> None:
    airflow.call(
        "POST", "backfills",
        {"dag_id": "daily", "from_date": "2026-01-01T00:00Z", "to_date": "2026-01-03T00:00Z", "max_active_runs": 1},
    )  # fmt: skip
    airflow.wait(lambda: world.statuses("daily") == ["succeeded"] * 3, "the backfill does not end")
    assert [run.slice[:10] for run in world.workflow_runs("daily")] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [(number, since[:10]) for number, since in world.rows("days")] == [
        (1, "2026-01-01"), (2, "2026-01-02"), (3, "2026-01-03"),
    ]  # fmt: skip


def test_a_group_in_a_dag_of_the_users_own_is_a_run_like_any_other(set_off: World, airflow: Airflow) -> None:
    before = len(set_off.statuses("stock"))
    states = airflow.run("own")
    assert set(states.values()) == {"success"}
    assert len(set_off.statuses("stock")) == before + 1
    assert set_off.workflow_runs("stock")[-1].trigger == "airflow"


def test_the_example_runs(world: World, airflow: Airflow) -> None:
    assert set(airflow.run("nightly").values()) == {"success"}
    airflow.wait(lambda: [run["state"] for run in airflow.runs("report")] == ["success"], "report does not run")
    with closing(duckdb.connect(str(world.folder / "example" / "warehouse.duckdb"), read_only=True)) as warehouse:
        assert warehouse.sql("SELECT orders FROM days ORDER BY day").fetchall() == [(2,), (1,)]


def test_a_dag_runs_in_one_process_for_who_develops_it(world: World, airflow: Airflow) -> None:
    before = len(world.statuses("outside"))  # which no other test sets off
    done = subprocess.run(
        [BIN / "airflow", "dags", "test", "outside"], env=dict(airflow.env), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs = world.workflow_runs("outside")[before:]
    assert [(str(run.status), run.error) for run in runs] == [("succeeded", "")], done.stdout + done.stderr
