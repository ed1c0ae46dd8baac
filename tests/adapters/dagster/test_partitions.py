"""Partitions of Dagster are slices of ours: what SQL is given, what is loaded, and that nothing is set off by them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DailyPartitionsDefinition,
    Definitions,
    DynamicPartitionsDefinition,
    PartitionsDefinition,
    StaticPartitionsDefinition,
)
from ematix_dagster import to_definitions

from ematix_core.orchestration import Status
from ematix_core.store import EventKind
from tests.adapters.dagster.shop import Looking, failure_of, write

if TYPE_CHECKING:
    from pathlib import Path

    from dagster import ExecuteInProcessResult

    from ematix_core.orchestration import OpenSite

DAILY = DailyPartitionsDefinition("2026-01-01", timezone="Europe/Berlin")
PIPELINES = """
import pyarrow as pa
import ematix_core as ematix

lake = ematix.SQLiteConnection("lake", path="lake.db")

@ematix.job(target="windows", target_connection=lake)
def windows(run):
    names = ("slice_start", "slice_end", "partition_key")
    return pa.table({name: [str(run.parameters.get(name))] for name in names})

@ematix.job(target="beside", target_connection=lake, depends_on=[windows])
def beside(run):
    return pa.table({"slice": [run.slice]})

flow = ematix.workflow("flow", jobs=[windows, beside], schedule="0 2 * * *")
"""


@pytest.fixture
def place(folder: Path) -> Path:
    write(folder, "pipelines", PIPELINES)
    return folder


def run(
    place: Path,
    instance: DagsterInstance,
    partitions: dict[str, PartitionsDefinition[str]],
    *,
    key: str | None = None,
    tags: dict[str, str] | None = None,
) -> ExecuteInProcessResult:
    definitions = to_definitions("pipelines", directory=place, partitions=partitions)
    job = definitions.resolve_job_def("flow")
    return job.execute_in_process(instance=instance, partition_key=key, tags=tags, raise_on_error=False)


def rows(place: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(place / "lake.db")) as lake:
        return lake.execute(query).fetchall()


def test_a_day_is_a_slice_of_the_workflow(place: Path, instance: DagsterInstance, site: OpenSite) -> None:
    result = run(place, instance, {"flow": DAILY}, key="2026-03-29", tags={"dagster/backfill": "b1"})

    assert result.success
    first, last = "2026-03-28T23:00:00+00:00", "2026-03-29T22:00:00+00:00"  # the clock change makes it 23 hours
    assert rows(place, "SELECT * FROM windows") == [(first, last, "None")]
    assert rows(place, "SELECT * FROM beside") == [(f"{first}/{last}",)]
    (whole,) = site.store.workflow_runs()
    assert (whole.trigger, whole.slice) == ("backfill", f"{first}/{last}")
    assert whole.parameters == {"slice_start": first, "slice_end": last}
    assert {(one.slice, one.trigger) for one in site.store.runs()} == {(f"{first}/{last}", "backfill")}
    assert {event.kind for event in site.store.events(names=["flow", "windows", "beside"])} <= {EventKind.SEEN}


def test_days_in_one_run_are_one_slice(place: Path, instance: DagsterInstance) -> None:
    tags = {
        "dagster/asset_partition_range_start": "2026-02-01", "dagster/asset_partition_range_end": "2026-02-03",
    }  # fmt: skip
    assert run(place, instance, {"flow": DAILY}, tags=tags).success
    assert rows(place, "SELECT slice_start, slice_end FROM windows") == [
        ("2026-01-31T23:00:00+00:00", "2026-02-03T23:00:00+00:00")
    ]


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_key_is_a_slice_and_a_parameter(place: Path, instance: DagsterInstance, site: OpenSite, kind: str) -> None:
    instance.add_dynamic_partitions("shops", ["berlin", "london"])
    definition: PartitionsDefinition[str] = (
        StaticPartitionsDefinition(["berlin", "london"])
        if kind == "static"
        else DynamicPartitionsDefinition(name="shops")
    )

    assert run(place, instance, {"flow": definition}, key="london").success
    assert rows(place, "SELECT partition_key FROM windows") == [("london",)]
    (whole,) = site.store.workflow_runs()
    assert (whole.trigger, whole.slice, whole.parameters) == ("manual", "london", {"partition_key": "london"})


def test_several_keys_in_one_run_are_refused(place: Path, instance: DagsterInstance) -> None:
    tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}

    result = run(place, instance, {"flow": StaticPartitionsDefinition(["a", "b"])}, tags=tags)

    assert "let the backfill start a run for each" in failure_of(result, "windows")


def test_a_job_without_partitions_loads_the_slice_of_its_workflow(place: Path, instance: DagsterInstance) -> None:
    assert run(place, instance, {"windows": DAILY}, key="2026-01-05").success
    assert rows(place, "SELECT slice FROM beside") == [("2026-01-04T23:00:00+00:00/2026-01-05T23:00:00+00:00",)]


def test_the_whole_is_run_by_a_job_of_its_own_which_tells_the_same_assets(
    place: Path, instance: DagsterInstance, site: OpenSite
) -> None:
    definitions = to_definitions("pipelines", directory=place, partitions={"flow": DAILY})
    Definitions.validate_loadable(definitions)

    result = definitions.resolve_job_def("flow_whole").execute_in_process(instance=instance)

    assert result.success
    (whole,) = site.store.workflow_runs()
    assert (whole.slice, whole.trigger, whole.status) == ("", "manual", Status.RUNNING)
    assert rows(place, "SELECT slice_start FROM windows") == [("None",)]
    event = instance.get_latest_materialization_event(AssetKey(["lake", "beside"]))
    assert event is not None
    told = event.asset_materialization
    assert told is not None
    assert (told.metadata["dagster/row_count"].value, told.partition) == (1, None)


def test_the_sensor_starts_the_whole(place: Path, instance: DagsterInstance, site: OpenSite) -> None:
    site.store.see(["flow"], at=datetime(2026, 1, 1, tzinfo=UTC))
    sensor = Looking(place, instance, "pipelines", partitions={"flow": DAILY})
    sensor.look()

    (request,) = sensor.look()

    assert (request.job_name, request.partition_key) == ("flow_whole", None)
    definitions = to_definitions("pipelines", directory=place, partitions={"flow": DAILY})
    job = definitions.resolve_job_def("flow_whole")
    assert job.execute_in_process(instance=instance, tags=dict(request.tags)).success
    sensor.look()
    (whole,) = site.store.workflow_runs()
    assert (whole.trigger, whole.status) == ("schedule", Status.SUCCEEDED)
