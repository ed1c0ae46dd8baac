"""The sensor of streams: when it asks for a run, and what keeps it from that."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from dagster import AssetKey, DagsterEvent, DagsterRun, DagsterRunStatus, RunRequest, SensorResult, build_sensor_context
from ematix_dagster import EmatixResource, to_definitions
from ematix_dagster.supervising import Look, Supervised

from ematix_core.orchestration import CompiledStream, Site
from ematix_core.store import ConsumerState
from ematix_core.streaming.control import Control
from ematix_core.streaming.sole import alone
from tests.adapters.dagster.shop import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dagster import DagsterInstance, SensorEvaluationContext

    from ematix_core.orchestration import OpenSite

JOB, NAME = "clicks_job", "clicks"
TABLE = AssetKey(["lake", "clicks"])
STREAM = Supervised(CompiledStream(name=NAME), JOB, frozenset({TABLE}))
SOON = timedelta(seconds=5)
STARTED, SUCCESS, FAILURE, CANCELED = (
    DagsterRunStatus.STARTED, DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED,
)  # fmt: skip

EVENTS = {
    STARTED: ["PIPELINE_START"],
    SUCCESS: ["PIPELINE_START", "PIPELINE_SUCCESS"],
    FAILURE: ["PIPELINE_START", "PIPELINE_FAILURE"],
    CANCELED: ["PIPELINE_START", "PIPELINE_CANCELED"],
}
"""How a run comes to be in a state."""
PIPELINES = """
import ematix_core as ematix

desk = ematix.ObjectStoreConnection("desk", path="desk", format="csv")
lake = ematix.SQLiteConnection("lake", path="lake.db")
clicks = ematix.stream("clicks", source=desk, source_query="*.csv", target=lake, target_table="clicks")
"""


@dataclass
class Dagster:
    """An instance, what runs it has, and what the sensor says at a moment."""

    instance: DagsterInstance
    site: OpenSite
    reason: str = ""
    keys: list[str] = field(default_factory=list)

    def run(self, status: DagsterRunStatus, *, assets: frozenset[AssetKey] | None = None) -> str:
        """Let Dagster have one more run in that state; it began and ended just now. Return its id."""
        run_id, job = str(uuid.uuid4()), "__ASSET_JOB" if assets else JOB
        self.instance.add_run(
            DagsterRun(
                job_name=job, run_id=run_id, tags={} if assets else {"ematix/stream": NAME}, asset_selection=assets,
                status=DagsterRunStatus.NOT_STARTED if status in EVENTS else status,
            )
        )  # fmt: skip
        for event in EVENTS.get(status, ()):
            self.instance.report_dagster_event(DagsterEvent(event_type_value=event, job_name=job), run_id)
        return run_id

    def look(self, *, later: timedelta = SOON) -> list[RunRequest]:
        """Return what the sensor asks for, so much later than now."""
        with build_sensor_context(instance=self.instance) as context:
            result = Look(context, self.site, datetime.now(UTC) + later).at([STREAM])
        assert isinstance(result, SensorResult)
        self.reason = result.skip_reason.skip_message or "" if result.skip_reason else ""
        return list(result.run_requests or ())


@pytest.fixture
def dagster(instance: DagsterInstance, tmp_path: Path) -> Iterator[Dagster]:
    with Site(directory=str(tmp_path), store=f"sqlite:///{tmp_path}/runs.db").opened() as site:
        yield Dagster(instance, site)


def test_a_run_is_asked_for_when_there_is_none(dagster: Dagster) -> None:
    (request,) = dagster.look()
    assert (request.job_name, request.run_key) == (JOB, "clicks/none")
    assert request.tags == {"ematix/stream": NAME, "dagster/max_retries": "0"}
    assert dagster.look() == [request], "Dagster has not made it yet: of one key it makes one run"


@pytest.mark.parametrize("status", [DagsterRunStatus.NOT_STARTED, STARTED, DagsterRunStatus.CANCELING])
def test_a_run_that_is_in_progress_is_enough(dagster: Dagster, status: DagsterRunStatus) -> None:
    run_id = dagster.run(status)
    assert dagster.look() == []
    assert dagster.reason == f"clicks: run {run_id} is in progress"


def test_a_run_of_the_asset_alone_is_enough(dagster: Dagster) -> None:
    dagster.run(STARTED, assets=frozenset({AssetKey("other")}))
    assert len(dagster.look()) == 1
    run_id = dagster.run(STARTED, assets=frozenset({AssetKey("other"), TABLE}))
    assert dagster.look() == []
    assert dagster.reason == f"clicks: run {run_id} consumes it"


@pytest.mark.parametrize("status", [SUCCESS, FAILURE])
def test_each_run_that_has_ended_is_followed_by_one_more(dagster: Dagster, status: DagsterRunStatus) -> None:
    first = dagster.run(status)
    assert [one.run_key for one in dagster.look()] == [f"clicks/{first}"]
    assert dagster.run(SUCCESS) != first
    assert [one.run_key for one in dagster.look()] != [f"clicks/{first}"]


def test_after_several_short_failures_in_a_row_the_next_run_is_put_off(dagster: Dagster) -> None:
    dagster.run(SUCCESS)
    dagster.run(FAILURE)
    assert len(dagster.look()) == 1, "the first one is followed at once"
    last = dagster.run(FAILURE)
    assert dagster.look() == []
    assert dagster.reason.startswith(f"clicks: run {last} failed; the next one is started after ")
    assert dagster.look(later=timedelta(minutes=2)) != []
    for _ in range(9):
        dagster.run(FAILURE)
    assert dagster.look(later=timedelta(minutes=14)) == []
    assert dagster.look(later=timedelta(minutes=16)) != []


def test_what_somebody_has_terminated_stays_so_until_it_is_started_by_hand(dagster: Dagster) -> None:
    run_id = dagster.run(CANCELED)
    assert dagster.look(later=timedelta(days=1)) == []
    assert dagster.reason == (
        f"clicks: run {run_id} was terminated: start clicks_job by hand, and it is kept going again"
    )
    dagster.run(SUCCESS)
    assert len(dagster.look()) == 1


def test_a_paused_stream_is_not_started(dagster: Dagster) -> None:
    dagster.site.store.pause(NAME)
    assert (dagster.look(), dagster.reason) == ([], "clicks: it is paused")
    dagster.site.store.resume(NAME)
    assert len(dagster.look()) == 1


def test_who_consumes_elsewhere_is_left_alone(dagster: Dagster) -> None:
    with alone(dagster.site.store, NAME, holder="airflow:clicks/manual", control=Control()):
        assert dagster.look() == []
        assert "clicks: it is consumed by airflow:clicks/manual, process " in dagster.reason
    dagster.site.store.note_consumer(_consumer("running"))
    assert dagster.look() == [], "`flow consume`, which takes no lease"
    assert dagster.reason.startswith("clicks: it is consumed by process ")
    dagster.site.store.note_consumer(_consumer("stopped"))
    assert len(dagster.look()) == 1


def test_the_process_of_a_run_that_has_ended_here_is_waited_for_by_the_next_run(dagster: Dagster) -> None:
    ended = dagster.run(FAILURE)
    with alone(dagster.site.store, NAME, holder=f"dagster:{ended}", control=Control()):
        (request,) = dagster.look()
    assert request.run_key == f"clicks/{ended}"


def test_a_run_whose_process_is_gone_without_a_word_is_followed(dagster: Dagster) -> None:
    run_id = dagster.run(STARTED)
    later = timedelta(minutes=3)
    assert dagster.look() == [], "it may not have come so far"
    with alone(dagster.site.store, NAME, holder=f"dagster:{run_id}", control=Control()):
        assert dagster.look(later=later) == [], "it is at work"
    (request,) = dagster.look(later=later)
    assert request.run_key == f"clicks/{run_id}"
    dagster.site.store.note_consumer(_consumer("stopped"))
    assert dagster.look(later=later) == [], "it has said that it ended: the run will, too"


def test_the_runs_of_another_code_location_are_not_ours(dagster: Dagster) -> None:
    for location, count in (("here", 0), ("there", 1)):
        context = SimpleNamespace(
            instance=dagster.instance, repository_name="__repository__", log=logging.getLogger(),
            code_location_origin=SimpleNamespace(location_name=location),
        )  # fmt: skip
        if not count:
            tags = {"ematix/stream": NAME, ".dagster/repository": "__repository__@here"}
            dagster.instance.add_run(DagsterRun(job_name=JOB, run_id=str(uuid.uuid4()), tags=tags, status=STARTED))
        look = Look(cast("SensorEvaluationContext", context), dagster.site, datetime.now(UTC))
        assert len(look.at([STREAM]).run_requests or ()) == count


def test_the_sensor_of_a_project_looks_at_its_streams(folder: Path, instance: DagsterInstance) -> None:
    write(folder, "pipelines", PIPELINES)
    sensor = to_definitions("pipelines", directory=folder).resolve_sensor_def("ematix_streams")
    with build_sensor_context(instance=instance, resources={"ematix": EmatixResource()}) as context:
        result = sensor(context)
    assert isinstance(result, SensorResult)
    assert [(one.job_name, one.run_key) for one in result.run_requests or ()] == [(JOB, "clicks/none")]


def _consumer(status: str) -> ConsumerState:
    return ConsumerState("one", NAME, "clicks", status, datetime.now(UTC))
