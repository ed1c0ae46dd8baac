"""`flow runs`: filters, workflow runs, and what acts on runs that have ended; tests/e2e has those under way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.settings import Settings
from ematix_core.store.opening import open_store
from ematix_core.store.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.store.protocol import RunStore
    from tests.unit.cli.conftest import Flow

pytestmark = pytest.mark.usefixtures("folder")
TICK = datetime(2026, 1, 2, 2, tzinfo=UTC)


@pytest.fixture
def store(folder: object) -> Iterator[RunStore]:
    """Open the store of the test's folder."""
    assert folder
    with open_store(Settings.load().store) as opened:
        yield opened


@pytest.fixture
def nightly(store: RunStore) -> str:
    """Record a run of a workflow at a tick: `orders` failed and `report` was skipped. Return its id."""
    run = store.begin_workflow(
        "nightly", unit=True, trigger="schedule", tick=TICK, cause=["tick 02:00 has passed", "orders succeeded"],
        parameters={"slice_start": "2026-01-01T02:00:00+00:00"},
    )  # fmt: skip
    orders = store.begin("orders", workflow_run_id=run.workflow_run_id)
    store.finish(orders.run_id, Status.FAILED, seconds=1, error="no table crm.orders\nMake one.")
    store.skip("report", "upstream orders failed", workflow_run_id=run.workflow_run_id)
    store.finish_workflow(run.workflow_run_id, Status.FAILED)
    return run.workflow_run_id


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize(
    ("filters", "jobs"),
    [
        (["nightly"], ["report", "orders"]),
        (["nightly", "orders"], ["report", "orders"]),
        (["nightly", "--status", "failed"], ["orders"]),
        (["--since", "1 hour ago"], ["report", "orders"]),
        (["--until", "1 hour ago"], []),
        (["nightly", "--since", "1 hour ago", "-n", "1"], ["report"]),
    ],
)
def test_runs_are_filtered_by_workflow_and_time(filters: list[str], jobs: list[str], flow: Flow) -> None:
    listed = json.loads(flow("runs", "list", *filters, "--json").stdout)["runs"]
    assert [run["job"] for run in listed] == jobs


def test_workflow_runs_are_listed_with_what_set_them_off(nightly: str, flow: Flow) -> None:
    header, line = flow("runs", "list", "--workflows").stdout.splitlines()
    assert header.split()[:3] == ["run", "workflow", "status"]
    assert line.split()[:3] == [nightly, "nightly", "failed"]
    assert "schedule" in line
    assert line.endswith("tick 02:00 has passed; orders succeeded")
    (data,) = json.loads(flow("runs", "list", "-w", "nightly", "--json").stdout)["workflow_runs"]
    assert (data["trigger"], data["tick"], data["slice"]) == ("schedule", TICK.isoformat(), "")


@pytest.mark.usefixtures("nightly")
def test_a_name_that_nothing_has_gets_the_nearest(flow: Flow) -> None:
    assert "Did you mean 'nightly'?" in flow("runs", "list", "nightyl").stdout
    assert "Did you mean 'nightly'?" in flow("runs", "list", "-w", "nightyl").stdout
    result = flow("runs", "show", "nightyl")
    assert result.exit_code == 1
    assert "there is no run 'nightyl'" in result.stderr
    assert "Did you mean 'nightly'?" in result.stderr


def test_a_moment_that_is_none_is_a_wrong_command(flow: Flow) -> None:
    result = flow("runs", "list", "--since", "yesterday")
    assert result.exit_code == 2
    assert "'yesterday' is no moment" in result.stderr


def test_a_workflow_run_is_shown_with_its_jobs(nightly: str, flow: Flow) -> None:
    lines = flow("runs", "show", nightly[:-2]).stdout.splitlines()
    assert f"workflow run  {nightly}" in lines
    assert "because       tick 02:00 has passed" in lines
    assert "              orders succeeded" in lines
    assert "parameters    slice_start = 2026-01-01T02:00:00+00:00" in lines
    assert [line.split()[:2] for line in lines[-2:]] == [["orders", "failed"], ["report", "skipped"]]
    assert lines[-2].endswith("no table crm.orders")
    assert lines[-1].endswith("upstream orders failed")
    data = json.loads(flow("runs", "show", "nightly", "--json").stdout)
    assert data["workflow_run"]["cause"] == ["tick 02:00 has passed", "orders succeeded"]
    assert [run["job"] for run in data["runs"]] == ["orders", "report"]


def test_a_beginning_that_a_run_and_a_workflow_run_share_is_ambiguous(nightly: str, flow: Flow) -> None:
    result = flow("runs", "show", nightly[:4])
    assert result.exit_code == 1
    assert "Give more of the id." in result.stderr


@pytest.mark.parametrize("command", ["cancel", "restart", "rerun", "show", "watch"])
def test_an_unknown_run_is_an_error(command: str, flow: Flow) -> None:
    result = flow("runs", command, "zzz")
    assert result.exit_code == 1
    assert "there is no run 'zzz'" in result.stderr


def test_what_does_not_run_cannot_be_cancelled(nightly: str, flow: Flow) -> None:
    result = flow("runs", "cancel", nightly)
    assert result.exit_code == 1
    assert f"run {nightly} of nightly cannot be cancelled: it failed at " in result.stderr
    assert json.loads(flow("runs", "cancel", nightly, "--json").stdout) == {
        "runs": [{"run_id": nightly, "asked": False, "status": "failed"}]
    }


def test_cancelling_asks_each_run_and_says_what_comes(store: RunStore, nightly: str, flow: Flow) -> None:
    whole = store.begin_workflow("hourly").workflow_run_id
    job = store.begin("orders", workflow_run_id=whole).run_id
    result = flow("runs", "cancel", "hourly", job, nightly)
    assert result.exit_code == 1
    assert (
        f"run {whole} of hourly is asked to stop: within seconds it rolls back and ends as cancelled." in result.stdout
    )
    assert f"run {job} of orders is asked to stop" in result.stdout
    assert "the other jobs of its workflow run go on" in result.stdout
    assert nightly in result.stderr
    assert store.workflow_run(whole).cancel_requested
    assert store.heartbeat(whole)
    assert store.heartbeat(job)


def test_watching_what_has_ended_says_how(nightly: str, flow: Flow) -> None:
    result = flow("runs", "watch", nightly)
    assert result.exit_code == 1
    assert [line.split(" ", 1)[1] for line in result.stdout.splitlines()] == [
        f"nightly: failed, run {nightly}",
        "nightly/orders: failed, no table crm.orders",
        "nightly/report: skipped, upstream orders failed",
    ]


def test_watching_nothing_ends_at_once(nightly: str, flow: Flow) -> None:
    assert nightly
    result = flow("runs", "watch")
    assert (result.exit_code, result.stdout) == (0, "nothing runs\n")
    assert json.loads(flow("runs", "watch", "--json").stdout) == {"workflow_runs": [], "runs": []}


def test_old_runs_are_deleted(store: RunStore, nightly: str, flow: Flow) -> None:
    assert flow("runs", "prune", "--before", "1 day ago").stdout.startswith("deleted 0 runs that ended before ")
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    dry = json.loads(flow("runs", "prune", "--before", later, "--dry-run", "--json").stdout)
    assert (dry["runs"], dry["deleted"]) == (2, False)
    assert store.workflow_run(nightly).workflow == "nightly"
    assert flow("runs", "prune", "--before", later).stdout.startswith("deleted 2 runs that ended before ")
    assert not store.runs()
    assert not store.workflow_runs()


def test_the_latest_runs_are_kept(store: RunStore, flow: Flow) -> None:
    for _ in range(5):
        store.finish(store.begin("orders").run_id, Status.SUCCEEDED, seconds=0)
    kept = [run.run_id for run in store.runs(limit=2)]
    assert json.loads(flow("runs", "prune", "--keep", "2", "--json").stdout)["runs"] == 3
    assert [run.run_id for run in store.runs()] == kept
    assert flow("runs", "prune", "--keep", "7").stdout == "there are no more than 7 runs: nothing to delete\n"


def test_how_long_runs_are_kept_is_a_setting(store: RunStore, nightly: str, flow: Flow) -> None:
    assert nightly
    result = flow("runs", "prune")
    assert result.exit_code == 2
    assert "set [store] keep in ematix.toml" in result.stderr
    assert flow("runs", "prune", "--keep", "2", "--before", "1 day ago").exit_code == 2
    settings = Settings.load()
    settings.project_file.path.write_text('[store]\nkeep = "1 millisecond"\n', encoding="utf-8")
    assert flow("runs", "prune").stdout.startswith("deleted 2 runs that ended before ")
    assert store.runs() == []
