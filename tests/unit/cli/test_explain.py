"""`flow explain`: what it prints of a workflow or job, and what it says of names that are none."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ematix_core.config.settings import Settings
from ematix_core.store import SCHEDULER_LEASE, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Flow

NOW = ("--now", "2026-03-28T12:00+01:00")


def test_a_workflow_that_waits_says_for_what(project: Path, flow: Flow) -> None:
    assert project.exists()
    result = flow("explain", "nightly", *NOW)
    assert result.stdout.splitlines() == [
        "nightly waits; never succeeded",
        "  missing  schedule 0 2 * * * Europe/Paris: no scheduler has seen it yet; its ticks count from then on",
        "next tick: 2026-03-29 03:00 CEST",
        "next: it runs when a scheduler has seen it and a tick has come",
    ]


def test_a_run_whose_process_was_killed_is_not_said_to_be_running(project: Path, flow: Flow) -> None:
    assert project.exists()
    begin = "import os, sys, ematix_core.store as s; s.open_store(sys.argv[1]).begin_workflow('nightly', unit=True); "
    subprocess.run([sys.executable, "-c", f"{begin} os._exit(9)", Settings.load().store], check=False)
    lines = flow("explain", "nightly", *NOW).stdout.splitlines()
    assert "nightly has a run whose process is gone, begun" in lines[0]
    assert "next: a scheduler records this run as failed" in lines[-1]


@pytest.mark.parametrize("catchup", ["none", "latest"])
def test_a_tick_of_the_time_without_a_scheduler_is_due_only_where_it_is_made_up_for(
    project: Path, flow: Flow, catchup: str
) -> None:
    pipelines = project / "pipelines.py"
    pipelines.write_text(pipelines.read_text().replace("timezone=", f"catchup={catchup!r}, timezone="))
    with open_store(Settings.load().store) as store:
        lease = store.acquire_lease(SCHEDULER_LEASE, "a", 60)
        assert lease is not None
        store.see(["nightly"], token=lease.token)
        store.release_lease(lease)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    first, *_, last = flow("explain", "nightly", "--now", tomorrow).stdout.splitlines()
    assert first.startswith("nightly waits" if catchup == "none" else "nightly is due")
    assert last.startswith("next: it runs when the tick" if catchup == "none" else "next: a scheduler starts it")
    assert flow("explain", "nightly").stdout.startswith("nightly waits")


def test_json_has_the_conditions_as_data(project: Path, flow: Flow) -> None:
    assert project.exists()
    data = json.loads(flow("explain", "pipelines.py", "orders", "--json", *NOW).stdout)
    (unit,) = data["units"]
    assert (unit["unit"], unit["state"], unit["next_tick"]) == ("orders", "waiting", "2026-03-29T03:00:00+00:00")
    assert [condition["met"] for condition in unit["conditions"]] == [False]
    assert data["left_out"] == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nightl", "no workflow or job is named 'nightl'\nDid you mean 'nightly'? Known: nightly, orders."),
        ("customers", "'customers' is nothing that a scheduler starts by itself\nIt runs in: nightly."),
    ],
)
def test_a_name_that_nothing_starts_is_answered(project: Path, flow: Flow, name: str, message: str) -> None:
    assert project.exists()
    result = flow("explain", name)
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_is_broken_is_left_out_and_named_when_it_is_asked_for(project: Path, flow: Flow) -> None:
    pipelines = project / "pipelines.py"
    pipelines.write_text(
        pipelines.read_text() + "hourly = ematix.workflow('hourly', jobs=customers, schedule='0 * * *')\n"
    )
    assert flow("explain", "nightly").exit_code == 0
    result = flow("explain", "hourly")
    assert result.exit_code == 2
    assert "Left out of the project:\nschedule='0 * * *' is no cron pattern: it has not five fields" in result.stderr
