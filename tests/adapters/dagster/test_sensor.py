"""The sensor: what it asks Dagster for, what it closes, and what becomes of runs that Dagster lost or ran again."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pytest
from dagster import DagsterRun, DagsterRunStatus

from ematix_core.orchestration import Gate, Opened, Status
from tests.adapters.dagster.shop import Looking, plan, run, write

if TYPE_CHECKING:
    from pathlib import Path

    from dagster import DagsterInstance, RunRequest

    from ematix_core.orchestration import OpenSite


@pytest.fixture
def sensor(folder: Path, instance: DagsterInstance) -> Looking:
    """Return the shop's sensor, which has a name."""
    looking = Looking(folder, instance)
    assert looking.look() == []
    return looking


def pretend(instance: DagsterInstance, request: RunRequest, status: DagsterRunStatus) -> None:
    """Let Dagster have a run of the request, in which no step was started."""
    run_id = str(uuid.uuid4())
    instance.add_run(DagsterRun(job_name="after", run_id=run_id, tags=request.tags, status=status))


def test_a_workflow_is_run_when_its_conditions_hold(
    folder: Path, instance: DagsterInstance, site: OpenSite, sensor: Looking
) -> None:
    assert sensor.look() == []
    assert "missing  nightly: has not succeeded yet" in sensor.reason
    assert run(folder, instance).success

    (request,) = sensor.look()

    (whole, nightly) = site.store.workflow_runs()
    assert (nightly.status, nightly.trigger) == (Status.SUCCEEDED, "manual")
    assert (whole.workflow, whole.trigger, whole.status) == ("after", "upstream", Status.RUNNING)
    assert (request.run_key, request.job_name) == (whole.workflow_run_id, "after")
    assert request.tags["ematix/carrier"] == whole.host
    assert request.tags["ematix/cause"].startswith("nightly succeeded")
    assert run(folder, instance, "after", tags=dict(request.tags)).success
    assert sensor.look() == []
    ended = site.store.workflow_run(whole.workflow_run_id)
    assert ended.status is Status.SUCCEEDED
    assert [one.job for one in site.store.runs(workflow_run_id=ended.workflow_run_id)] == ["copies"]


def test_a_run_that_dagster_lost_is_asked_for_again_and_never_twice(
    folder: Path, instance: DagsterInstance, site: OpenSite, sensor: Looking
) -> None:
    run(folder, instance)
    (lost,) = sensor.look()
    (again,) = sensor.look()
    assert again == lost
    pretend(instance, again, DagsterRunStatus.STARTED)
    assert sensor.look() == []
    assert "after: run" in sensor.reason
    assert len(site.store.workflow_runs(workflow="after")) == 1


def test_a_sensor_leaves_the_runs_of_another_instance_alone(
    folder: Path, instance: DagsterInstance, sensor: Looking
) -> None:
    run(folder, instance)
    assert len(sensor.look()) == 1
    other = Looking(folder, instance)
    other.look()
    assert other.look() == []
    assert "is open: dagster:" in other.reason


def test_a_run_whose_instance_is_gone_for_good_ends_when_somebody_cancels_it(
    folder: Path, instance: DagsterInstance, site: OpenSite, sensor: Looking
) -> None:
    run(folder, instance)
    (lost,) = sensor.look()
    other = Looking(folder, instance)
    other.look()

    site.store.cancel(str(lost.run_key))
    other.look()

    assert site.store.workflow_run(str(lost.run_key)).status is Status.CANCELLED


@pytest.mark.parametrize("status", [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED, DagsterRunStatus.SUCCESS])
def test_a_run_that_dagster_has_ended_is_closed(
    folder: Path, instance: DagsterInstance, site: OpenSite, sensor: Looking, status: DagsterRunStatus
) -> None:
    run(folder, instance)
    (request,) = sensor.look()
    pretend(instance, request, status)

    assert sensor.look() == []
    ours = Status.CANCELLED if status is DagsterRunStatus.CANCELED else Status.FAILED  # no step was started
    assert site.store.workflow_run(str(request.run_key)).status is ours


def test_a_process_that_still_rolls_back_is_waited_for(
    folder: Path, instance: DagsterInstance, site: OpenSite, sensor: Looking
) -> None:
    run(folder, instance)
    (request,) = sensor.look()
    record = site.store.begin("copies", workflow_run_id=request.run_key)
    pretend(instance, request, DagsterRunStatus.FAILURE)

    sensor.look()
    assert site.store.workflow_run(str(request.run_key)).status is Status.RUNNING
    site.store.finish(record.run_id, Status.CANCELLED, seconds=0.0)
    sensor.look()
    assert site.store.workflow_run(str(request.run_key)).status is Status.CANCELLED


def test_a_run_by_hand_that_dagster_has_forgotten_can_be_cancelled(
    instance: DagsterInstance, site: OpenSite, sensor: Looking
) -> None:
    begun = Gate(site.store, site.unit("after"), carrier=f"dagster:{uuid.uuid4()}").begin()
    assert isinstance(begun, Opened)
    sensor.look()
    assert site.store.workflow_run(begun.run.workflow_run_id).status is Status.RUNNING

    site.store.cancel(begun.run.workflow_run_id)
    sensor.look()

    assert site.store.workflow_run(begun.run.workflow_run_id).status is Status.CANCELLED
    assert instance.get_runs() == []


def test_a_run_that_is_executed_again_goes_on_with_what_failed(
    folder: Path, instance: DagsterInstance, site: OpenSite, sensor: Looking
) -> None:
    plan(folder, "wrong", "well")
    failed = run(folder, instance)
    sensor.look()

    again = run(folder, instance, tags={"ematix/carrier": f"dagster:{failed.run_id}", "ematix/workflow_run_id": "?"})
    sensor.look()

    assert again.success
    second, first = site.store.workflow_runs(workflow="nightly")
    assert (first.status, second.status) == (Status.FAILED, Status.SUCCEEDED)
    assert second.trigger == f"restart of {first.workflow_run_id}"


MESSAGES = """
import ematix_core as ematix

drops = ematix.ObjectStoreConnection("drops", path="drops", format="csv")
lake = ematix.SQLiteConnection("lake", path="lake.db")
nowhere = ematix.SQLiteConnection("nowhere", path="missing/nowhere.db")

@ematix.job(target="orders", target_connection=lake)
def orders(run):
    return f"SELECT '{run.parameters['message']['path']}' AS path"

@ematix.job(target="others", target_connection=lake)
def others():
    return "SELECT 1 AS n"

incoming = ematix.workflow("incoming", jobs=[orders], on_message=ematix.inbox("orders", connection=drops))
broken = ematix.workflow("broken", jobs=[others], on_message=ematix.queue("queue", connection=nowhere, table="q"))
"""


def test_messages_start_a_workflow_and_what_is_broken_does_not_keep_it(
    folder: Path, instance: DagsterInstance, site: OpenSite
) -> None:
    write(folder, "pipelines", MESSAGES)
    (folder / "drops").mkdir()
    sensor = Looking(folder, instance, "pipelines")
    sensor.look()
    assert sensor.look() == []
    assert sensor.reason.startswith("broken: ")
    assert "incoming: there is no message" in sensor.reason

    dropped = folder / "drops" / "one.json"
    dropped.write_text('{"n": 1}')
    os.utime(dropped, (1, 1))  # what has changed just now is still being written
    (request,) = sensor.look()

    assert request.job_name == "incoming"
    (whole,) = site.store.workflow_runs()
    assert (whole.trigger, whole.status) == ("message", Status.RUNNING)
