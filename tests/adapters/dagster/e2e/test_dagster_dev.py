"""A real `dagster dev` runs a project: by hand, by the sensor, by a backfill, killed; and as it runs natively.

One instance does it all. What takes a while is started first, so that it happens beside the rest.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ematix_core.store import Status
from tests.adapters.dagster.e2e.dev import Dev
from tests.adapters.dagster.e2e.pages import (
    ASSETS,
    again,
    backfill,
    backfilled,
    ended,
    launch,
    runs,
    sensor_errors,
    terminate,
)
from tests.adapters.dagster.e2e.records import latest, rows, store_of, workflow_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.dagster.e2e.pages import Seen

# One worker has the instance to itself, and two such instances are too much for two cores.

PROJECT = Path(__file__).with_name("project")
SINGLE = ("ledger/flaky", "ledger/wrong", "ledger/checked", "ledger/refused", "crash/killed_and_retried")
"""Tables whose jobs no workflow has: they are materialized together, each as a step for itself."""
COUNT = "SELECT count(*), count(DISTINCT n) FROM"
DAYS = ("2026-01-01", "2026-01-03")


@dataclass(frozen=True)
class Started:
    """The ids of what was started when the instance was up."""

    backfill: str
    nightly: str
    singles: str
    killed: str


def copy_of_the_project(folder: Path) -> Path:
    """Return a folder with the project, and a letter in its inbox."""
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    post(folder, "hello")
    return folder


def post(folder: Path, text: str) -> None:
    """Put a letter into the inbox; it has been there for a while."""
    inbox = folder / "desk" / "in"
    inbox.mkdir(parents=True, exist_ok=True)
    letter = inbox / f"{text.replace(' ', '_')}.txt"
    letter.write_text(text)
    past = time.time() - 60
    os.utime(letter, (past, past))


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    one = Dev(copy_of_the_project(tmp_path_factory.mktemp("dagster") / "shop"))
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.fixture(scope="module")
def launched(dev: Dev) -> Started:
    return Started(
        backfill=backfill(dev, "ledger/daily", DAYS),
        nightly=launch(dev, "nightly"),
        singles=launch(dev, assets=SINGLE),
        killed=launch(dev, assets=["crash_too/killed"]),
    )


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory, launched: Started) -> Path:  # noqa: ARG001 - Dagster works beside it
    """Return the folder of the project after everything was run without Dagster."""
    folder = copy_of_the_project(tmp_path_factory.mktemp("native") / "shop")

    def flow(*words: str, code: int = 0) -> None:
        command = [sys.executable, "-m", "ematix_core", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{words}\n{done.stdout}{done.stderr}"

    flow("run-due", "-m", "pipelines.py")  # from now on the ticks count
    flow("run", "pipelines.py", "nightly")
    flow("run", "pipelines.py", "flaky", "checked", "wrong", "refused", code=1)
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    flow("run-due", "-m", "pipelines.py", "--now", later)
    return folder


@pytest.fixture(scope="module")
def started(dev: Dev, launched: Started, native: Path) -> Started:  # noqa: ARG001 - meanwhile it has come far enough
    """Return what was started, after two processes in the middle of their loads were killed."""
    for job in ("killed", "killed_and_retried"):
        kill(dev, job)
    return launched


def failure(seen: Seen) -> str:
    (found,) = seen.messages("ExecutionStepFailureEvent")
    return found


def test_the_tables_of_the_project_are_listed_as_assets(dev: Dev) -> None:
    found = {"/".join(one["assetKey"]["path"]): one for one in dev.query(ASSETS)["assetNodes"]}
    assert set(found) == {
        "warehouse/customers", "warehouse/cities", "ledger/ticks", "ledger/echoes", "ledger/letters", "ledger/daily",
        "crash_too/killed", *SINGLE,
    }  # fmt: skip
    cities = found["warehouse/cities"]
    assert (cities["groupName"], cities["kinds"]) == ("nightly", ["duckdb"])
    assert cities["dependencyKeys"] == [{"path": ["warehouse", "customers"]}]
    assert "GROUP BY city" in cities["description"]
    assert "nightly" in cities["jobNames"]
    assert found["ledger/daily"]["isPartitioned"]


def test_the_code_location_is_valid_and_says_nothing_else(dev: Dev) -> None:
    done = subprocess.run(
        ["dagster", "definitions", "validate", "-f", "definitions.py"],
        cwd=dev.folder, env=dev.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "All code locations passed validation" in said
    assert "WARNING" not in said.upper().replace("SUPERSESSIONWARNING", ""), said


def test_a_workflow_that_is_started_by_hand_is_a_run_of_ours_that_the_sensor_closes(
    dev: Dev, started: Started, native: Path
) -> None:
    seen = ended(dev, started.nightly)
    assert seen.status == "SUCCESS"
    assert seen.numbers("warehouse/customers")["dagster/row_count"] == 3
    dev.wait_for(lambda: over(dev, "nightly"), what="the sensor closes the run")
    ours, theirs = (workflow_record(folder, "nightly") for folder in (dev.folder, native))
    assert ours.pop("cause") == [f"Dagster run {started.nightly}"], "natively, it is known who did it"
    theirs.pop("cause")
    assert ours == theirs
    assert rows(dev.folder, "FROM cities ORDER BY city", file="warehouse.duckdb") == [("Lyon", 1), ("Nice", 2)]


def test_a_transient_failure_is_retried_by_dagster_as_an_attempt_of_one_run(
    dev: Dev, started: Started, native: Path
) -> None:
    seen = ended(dev, started.singles).of("flaky")
    assert len(seen.messages("ExecutionStepSuccessEvent")) == 1
    assert len(seen.messages("ExecutionStepUpForRetryEvent")) == 1
    assert latest(dev.folder, "flaky") == latest(native, "flaky")
    assert latest(dev.folder, "flaky")["attempts"] == 2


def test_a_permanent_failure_is_shown_with_our_message_and_not_retried(
    dev: Dev, started: Started, native: Path
) -> None:
    seen = ended(dev, started.singles).of("wrong")
    assert "the price list has no prices (job wrong)\nAsk the shop for a new one." in failure(seen)
    assert seen.messages("ExecutionStepUpForRetryEvent") == []
    assert latest(dev.folder, "wrong") == latest(native, "wrong")


def test_checks_are_shown_and_those_that_fail_the_load_stop_it(dev: Dev, started: Started, native: Path) -> None:
    seen = ended(dev, started.singles)
    assert seen.of("checked").checks() == {"not_null_n": (True, "ERROR"), "row_count": (False, "WARN")}
    assert seen.of("refused").checks() == {"not_null_n": (False, "ERROR")}
    assert "check not_null(n): 1 rows break it" in failure(seen.of("refused"))
    for name in ("checked", "refused"):
        assert latest(dev.folder, name) == latest(native, name)


def test_our_log_lines_are_in_the_event_log(dev: Dev, started: Started) -> None:
    lines = ended(dev, started.singles).of("flaky").messages("LogMessageEvent")
    assert any("flaky" in line for line in lines), lines


def test_a_step_that_is_killed_in_the_middle_is_started_again_and_the_target_is_exact(
    dev: Dev, started: Started
) -> None:
    seen = ended(dev, started.singles).of("killed_and_retried")
    assert len(seen.messages("ExecutionStepUpForRetryEvent")) == len(seen.messages("ExecutionStepSuccessEvent")) == 1
    assert rows(dev.folder, f"{COUNT} killed_and_retried", file="crash.db") == [(1000, 1000)]
    record = latest(dev.folder, "killed_and_retried")
    assert [status for status, _ in record["each attempt"]] == ["interrupted", "succeeded"]


def test_a_killed_run_is_gone_on_with_by_hand_and_the_target_is_exact(dev: Dev, started: Started) -> None:
    assert ended(dev, started.killed).status == "FAILURE"
    assert ended(dev, again(dev, started.killed)).status == "SUCCESS"
    assert rows(dev.folder, f"{COUNT} killed", file="crash_too.duckdb") == [(1000, 1000)]
    assert [status for status, _ in latest(dev.folder, "killed")["each attempt"]] == ["interrupted", "succeeded"]


def test_a_message_and_a_tick_and_a_success_set_workflows_off_as_they_do_natively(dev: Dev, native: Path) -> None:
    for workflow in ("letters", "every_minute", "after_it"):
        dev.wait_for(partial(over, dev, workflow), what=f"{workflow} has run")
        assert workflow_record(dev.folder, workflow) == workflow_record(native, workflow)
    with store_of(dev.folder) as store:
        store.pause("every_minute")  # a run each minute takes time that the other tests need
    assert rows(dev.folder, "SELECT text FROM letters") == [("hello",)]
    assert not sensor_errors(dev)


def test_a_backfill_runs_exactly_its_slices(dev: Dev, started: Started) -> None:
    assert backfilled(dev, started.backfill) == "COMPLETED_SUCCESS"
    assert rows(dev.folder, "SELECT substr(since, 1, 10), substr(until, 1, 10) FROM daily ORDER BY 1") == [
        ("2026-01-01", "2026-01-02"), ("2026-01-03", "2026-01-04"),
    ]  # fmt: skip
    with store_of(dev.folder) as store:
        found = store.runs(job="daily")
    assert {(run.trigger, run.status) for run in found} == {("backfill", Status.SUCCEEDED)}
    assert sorted(run.slice[:10] for run in found) == list(DAYS)


def test_a_run_that_is_terminated_is_recorded_as_cancelled_and_rolled_back(dev: Dev) -> None:
    for name in ("began", "pid"):
        (dev.folder / f"killed.{name}").unlink()
    run_id = launch(dev, assets=["crash_too/killed"])
    dev.wait_for((dev.folder / "killed.pid").exists, what="the job is in the middle of its load")
    terminate(dev, run_id)
    assert ended(dev, run_id).status == "CANCELED"
    assert latest(dev.folder, "killed")["status"] == "cancelled"
    assert rows(dev.folder, f"{COUNT} killed", file="crash_too.duckdb") == [(1000, 1000)], "what was there before"


def test_a_daemon_that_is_killed_and_started_again_doubles_and_loses_nothing(dev: Dev) -> None:
    post(dev.folder, "wait for it")
    dev.wait_for((dev.folder / "waiting").exists, what="the letter is being read")
    dev.kill_daemon()
    post(dev.folder, "meanwhile")
    dev.start()
    (dev.folder / "go on").touch()
    dev.wait_for(lambda: over(dev, "letters", 3), what="both letters are read")
    assert sorted(rows(dev.folder, "SELECT text FROM letters")) == [("hello",), ("meanwhile",), ("wait for it",)]
    with store_of(dev.folder) as store:
        ours = {run.workflow_run_id: run.status for run in store.workflow_runs(workflow="letters")}
    assert list(ours.values()) == [Status.SUCCEEDED] * 3
    assert sorted(run["tags"]["ematix/workflow_run_id"] for run in runs(dev, "letters")) == sorted(ours)


def over(dev: Dev, workflow: str, number: int = 1) -> bool:
    """Say whether that many runs of the workflow have ended."""
    with store_of(dev.folder) as store:
        found = store.workflow_runs(workflow=workflow, limit=None)
    return sum(run.finished_at is not None for run in found) >= number


def kill(dev: Dev, job: str) -> None:
    """`kill -9` the process of a job, once it is in the middle of its load."""
    file = dev.folder / f"{job}.pid"
    dev.wait_for(lambda: file.exists() and file.read_text(), what=f"{job} is in the middle of its load")
    os.kill(int(file.read_text()), signal.SIGKILL)
