"""`flow runs` and `flow logs`: what the store knows, as a user sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.settings import Settings
from ematix_core.store.opening import open_store
from ematix_core.store.records import LogLine, Status

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Flow

pytestmark = pytest.mark.usefixtures("folder")
COUNTS = {"rows_read": 1_200, "inserted": 10, "updated": 2, "unchanged": 1_188, "deleted": 0, "closed": 2}


@pytest.fixture
def ids(folder: Path) -> dict[str, str]:
    """Record a `flow run` of two jobs: `orders` failed at the second attempt, `customers` succeeded after it."""
    assert folder == Path.cwd()
    with open_store(Settings.load().store) as store:
        together = store.begin_workflow("nightly").workflow_run_id
        orders = store.begin("orders", workflow_run_id=together).run_id
        store.attempt_failed(orders, "no route to shop\nIs it running?")
        store.log([LogLine(orders, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "WARNING", "slow")])
        store.finish(orders, Status.FAILED, seconds=1.5, error="no table crm.orders")
        customers = store.begin("customers", workflow_run_id=together).run_id
        store.finish(customers, Status.SUCCEEDED, seconds=0.5, counts=COUNTS, plan_hash="abc123")
        store.finish_workflow(together, Status.FAILED)
    return {"together": together, "orders": orders, "customers": customers}


@pytest.mark.parametrize("command", [["runs"], ["runs", "list"]])
def test_runs_are_listed_latest_first(command: list[str], ids: dict[str, str], flow: Flow) -> None:
    header, customers, orders = flow(*command).stdout.splitlines()
    assert header.split() == [
        "run", "job", "status", "started", "seconds", "rows", "read", "inserted", "updated", "unchanged", "deleted",
        "closed",
    ]  # fmt: skip
    assert customers.split()[:3] == [ids["customers"], "customers", "succeeded"]
    assert customers.split()[-7:] == ["0.50", "1,200", "10", "2", "1,188", "0", "2"]
    assert orders.split()[:3] == [ids["orders"], "orders", "failed"]


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["orders"], ["orders"]),
        (["--status", "succeeded"], ["customers"]),
        (["--limit", "1"], ["customers"]),
        (["orders", "customers"], ["customers", "orders"]),
        (["orders", "--status", "succeeded"], []),
    ],
)
def test_runs_are_filtered(filters: list[str], expected: list[str], flow: Flow) -> None:
    listed = json.loads(flow("runs", "list", *filters, "--json").stdout)["runs"]
    assert [run["job"] for run in listed] == expected


def test_run_is_shown_with_its_attempts_and_error(ids: dict[str, str], flow: Flow) -> None:
    text = flow("runs", "show", ids["orders"]).stdout
    assert f"run           {ids['orders']}\n" in text
    assert "counts        0 rows read, " in text
    assert [line.split()[:2] for line in text.splitlines()[-4:-2]] == [["1", "failed"], ["2", "failed"]]
    assert "no route to shop\n" in text
    assert text.endswith("\nno table crm.orders\n")


def test_run_is_found_by_beginning_job_whole_run_or_as_the_latest(ids: dict[str, str], flow: Flow) -> None:
    def jobs(*wanted: str) -> list[str]:
        return [run["job"] for run in json.loads(flow("runs", "show", *wanted, "--json").stdout)["runs"]]

    assert jobs(ids["orders"][:-2]) == ["orders"]
    assert jobs("orders") == ["orders"]
    assert jobs(ids["together"]) == ["orders", "customers"]
    assert jobs() == ["customers"]


def test_unknown_run_is_an_error(ids: dict[str, str], flow: Flow) -> None:
    assert ids
    result = flow("runs", "show", "zzz")
    assert result.exit_code == 1
    assert "zzz" in result.stderr


@pytest.mark.parametrize("command", [["runs", "show"], ["logs"]])
def test_without_any_run_the_first_step_is_said(command: list[str], flow: Flow) -> None:
    result = flow(*command)
    assert result.exit_code == 1
    assert "no run is recorded yet" in result.stderr
    assert flow("runs").stdout.startswith("no run is recorded yet in sqlite:///")


def test_log_lines_have_time_level_and_message(ids: dict[str, str], flow: Flow) -> None:
    line = flow("logs", "orders").stdout
    assert line.endswith(" WARNING slow\n")
    together = flow("logs", ids["together"])
    assert together.stdout.endswith(" WARNING orders: slow\n")
    assert together.stderr == f"run {ids['customers']} of customers (succeeded) logged nothing\n"
    assert json.loads(flow("logs", "orders", "--json").stdout)["lines"] == [
        {
            "at": "2026-01-02T03:04:05+00:00", "level": "WARNING", "job": "orders", "run_id": ids["orders"],
            "message": "slow",
        }
    ]  # fmt: skip
