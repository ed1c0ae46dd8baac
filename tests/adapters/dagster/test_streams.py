"""Streams as assets: what the catalog has of them, and what a run of one tells it until any of its ends."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from dagster import (
    AssetKey,
    AssetSpec,
    DagsterExecutionInterruptedError,
    DailyPartitionsDefinition,
    Definitions,
    RunsFilter,
    define_asset_job,
)
from ematix_dagster import EmatixTranslator, JobAsset, StreamConfig, to_definitions
from ematix_dagster.consuming import labels

import ematix_core as ematix
from ematix_core.errors import ProjectError
from ematix_core.orchestration import CompiledStream, CompiledTarget, Site, holder_of
from ematix_core.streaming.control import Control
from ematix_core.streaming.sole import alone
from tests.adapters.dagster.shop import failure_of, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dagster import DagsterInstance, ExecuteInProcessResult

    from ematix_core.orchestration import OpenSite

VISITS = '''
from typing import Annotated

import ematix_core as ematix
from ematix_core import pk
from ematix_core.types import BigInt, Text

desk = ematix.ObjectStoreConnection("desk", path="desk")
warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")


@ematix.table(schema="raw")
class Visits:
    id: Annotated[BigInt, pk()]
    page: Text | None


@ematix.streaming_pipeline(
    source=desk, source_query="*.json", tags=["layer=raw"], owner="ann@example.com",
    targets=[ematix.target(Visits, connection=warehouse, mode="merge"), ematix.target("copies", connection=warehouse)],
)
def visits():
    """Who has come."""
    return "SELECT id, page FROM source WHERE page <> 'nowhere'"


@ematix.job(target="pages", target_connection=warehouse, mode="truncate")
def pages():
    return "SELECT page, count(*) AS n FROM raw.visits GROUP BY page"


nightly = ematix.workflow("nightly", jobs=[pages], schedule="0 2 * * *")
'''
TABLE, COPIES = AssetKey(["warehouse", "raw", "visits"]), AssetKey(["warehouse", "copies"])
TO_THE_END = StreamConfig(until_idle=True)


@pytest.fixture
def desk(folder: Path) -> Path:
    """Return the folder of a project whose stream reads the files of `desk`."""
    write(folder, "pipelines", VISITS)
    (folder / "desk").mkdir()
    return folder


@pytest.fixture
def store(desk: Path) -> Iterator[OpenSite]:
    with Site(modules=("pipelines",), directory=str(desk)).opened() as opened:
        yield opened


def arrive(folder: Path, number: int, page: str = "home") -> None:
    half = folder / "desk" / "half"
    half.write_text(json.dumps({"id": number, "page": page}))
    os.utime(half, (time.time() - 600 + number,) * 2)  # one that has just changed is not read at once
    half.rename(folder / "desk" / f"{number:03}.json")


def consume(folder: Path, instance: DagsterInstance, config: StreamConfig = TO_THE_END) -> ExecuteInProcessResult:
    job = to_definitions("pipelines", directory=folder, streams=config).resolve_job_def("visits_job")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def told(result: ExecuteInProcessResult, key: AssetKey) -> list[dict[str, Any]]:
    """Return what the materializations of an asset say, in their order."""
    events = [event for event in result.asset_materializations_for_node("visits") if event.asset_key == key]
    return [{name: value.value for name, value in event.metadata.items()} for event in events]


def version(instance: DagsterInstance, key: AssetKey) -> str:
    event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    return (event.asset_materialization.tags or {})["dagster/data_version"]


def log_of(instance: DagsterInstance, run_id: str) -> str:
    return "\n".join(entry.user_message for entry in instance.all_logs(run_id))


def rows(folder: Path) -> list[int]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        return [number for (number,) in connection.sql("SELECT id FROM raw.visits ORDER BY id").fetchall()]


def rows_so_far(folder: Path) -> list[int]:
    return rows(folder) if (folder / "warehouse.duckdb").exists() else []


def test_the_tables_of_a_stream_are_assets_with_what_is_declared(desk: Path) -> None:
    definitions = to_definitions("pipelines", directory=desk)
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    spec = specs[TABLE]
    assert spec.kinds == {"duckdb", "objects"}
    assert (spec.tags["layer"], list(spec.owners)) == ("raw", ["ann@example.com"])
    assert "Who has come." in (spec.description or "")
    assert "page <> 'nowhere'" in (spec.description or "")
    assert (spec.metadata["ematix/stream"], spec.metadata["ematix/mode"]) == ("visits", "merge")
    assert [column.name for column in spec.metadata["dagster/column_schema"].columns] == ["id", "page"]
    (reference,) = spec.metadata["dagster/code_references"].code_references
    line = (desk / "pipelines.py").read_text().splitlines()[reference.line_number - 1]
    assert (reference.file_path, line) == (str(desk / "pipelines.py"), "@ematix.streaming_pipeline(")
    assert {dep.asset_key for dep in specs[AssetKey(["warehouse", "pages"])].deps} == {TABLE, COPIES}
    job = definitions.resolve_job_def("visits_job")
    assert job.asset_layer.selected_asset_keys == {TABLE, COPIES}
    assert job.tags["ematix/stream"] == "visits"
    assert definitions.resolve_sensor_def("ematix_streams").name == "ematix_streams"


def test_a_project_without_streams_has_no_sensor_of_streams(folder: Path) -> None:
    sensors = to_definitions("shop", directory=folder).sensors or ()
    assert [one.name for one in sensors] == ["ematix_triggers"]


def test_the_translator_is_asked_about_streams(desk: Path) -> None:
    class Translator(EmatixTranslator):
        def get_asset_spec(self, job: JobAsset) -> AssetSpec:
            spec = super().get_asset_spec(job)
            if isinstance(job.job, CompiledStream):
                return spec.replace_attributes(key=spec.key.with_prefix("live"), deps=job.outside, group_name="live")
            return spec

    definitions = to_definitions("pipelines", directory=desk, translator=Translator())
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    live = specs[TABLE.with_prefix("live")]
    assert ([dep.asset_key for dep in live.deps], live.group_name) == ([AssetKey(["desk", "_", "json"])], "live")
    assert live.key in {dep.asset_key for dep in specs[AssetKey(["warehouse", "pages"])].deps}


class Partitioned(EmatixTranslator):
    def get_asset_spec(self, job: JobAsset) -> AssetSpec:
        return super().get_asset_spec(job).replace_attributes(partitions_def=DailyPartitionsDefinition("2026-01-01"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"translator": Partitioned()}, r"a stream has no partitions: .* \(stream visits\)"),
        ({"streams": {"visit": StreamConfig()}}, r"unknown stream 'visit'\nDid you mean 'visits'\?"),
        (
            {"others": Definitions(jobs=[define_asset_job("visits_job")])},
            r"the job visits_job is there already, in the other definitions \(stream visits\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_while_the_location_loads(
    desk: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProjectError, match=message):
        to_definitions("pipelines", directory=desk, **options)


def test_a_run_tells_what_it_has_loaded(desk: Path, instance: DagsterInstance) -> None:
    arrive(desk, 1)
    arrive(desk, 2, "nowhere")
    arrive(desk, 3)
    result = consume(desk, instance)
    assert result.success
    (facts,) = told(result, TABLE)
    counts = {name: facts[f"ematix/{name}"] for name in ("records", "inserted", "updated", "dead_letters", "restarts")}
    assert counts == {"records": 3, "inserted": 2, "updated": 0, "dead_letters": 0, "restarts": 0}
    assert (facts["dagster/row_count"], facts["dagster/table_name"]) == (2, "raw.visits")
    assert facts["ematix/batches"] >= 1
    assert facts["ematix/positions"]
    assert len(told(result, COPIES)) == 1
    assert "visits into raw.visits: 3 records in" in log_of(instance, result.run_id)
    before = version(instance, TABLE)

    (facts,) = told(consume(desk, instance), TABLE)

    assert (facts["dagster/row_count"], facts["ematix/records"]) == (0, 0)
    assert version(instance, TABLE) == before, "nothing has come"
    arrive(desk, 4)
    assert consume(desk, instance).success
    assert version(instance, TABLE) != before
    assert rows(desk) == [1, 3, 4]


def test_a_long_run_tells_meanwhile_and_ends_when_its_time_is_over(desk: Path, instance: DagsterInstance) -> None:
    arrive(desk, 1)
    is_told = partial(instance.get_latest_materialization_event, TABLE)
    threading.Thread(target=_once, args=(is_told, lambda: arrive(desk, 2))).start()
    begun = time.monotonic()
    result = consume(desk, instance, StreamConfig(seconds=15.0, report_seconds=1.0))
    assert result.success
    assert 15.0 <= time.monotonic() - begun < 60.0
    facts = [one["dagster/row_count"] for one in told(result, TABLE)]
    assert facts == [1, 1, 0], "each file when it was there, and what was left at the end"
    assert rows(desk) == [1, 2]


def test_a_run_that_cannot_go_on_fails_with_our_message(desk: Path, instance: DagsterInstance) -> None:
    arrive(desk, 1)
    (desk / "desk" / "002.json").write_text("<<<")
    result = consume(desk, instance)
    assert not result.success
    said = failure_of(result, "visits")
    assert "002.json, line 1" in said
    assert "stream visits" in said


def test_a_run_that_is_terminated_tells_what_it_has_loaded_and_gives_the_stream_back(
    desk: Path, instance: DagsterInstance, store: OpenSite
) -> None:
    arrive(desk, 1)
    job = to_definitions("pipelines", directory=desk).resolve_job_def("visits_job")
    threading.Thread(target=_once, args=(lambda: loaded(store), lambda: os.kill(os.getpid(), signal.SIGINT))).start()
    with pytest.raises(DagsterExecutionInterruptedError):
        job.execute_in_process(instance=instance)
    assert holder_of(store.store, "visits") == ""
    assert {one.status for one in store.store.consumers("visits")} <= {"stopped", "failed"}
    event = instance.get_latest_materialization_event(TABLE)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["ematix/inserted"].value == 1
    assert rows(desk) == [1]


def test_a_consumer_ends_when_dagster_has_ended_its_run(desk: Path, instance: DagsterInstance, store: OpenSite) -> None:
    def end() -> None:
        (run,) = instance.get_runs(RunsFilter(job_name="visits_job"))
        instance.report_run_canceled(run)

    threading.Thread(target=_once, args=(lambda: holder_of(store.store, "visits"), end)).start()
    result = consume(desk, instance, StreamConfig(report_seconds=1.0))
    assert not result.success
    assert "Dagster has ended this run" in failure_of(result, "visits")
    assert holder_of(store.store, "visits") == ""


def test_a_run_waits_for_a_process_that_still_consumes(desk: Path, instance: DagsterInstance, store: OpenSite) -> None:
    arrive(desk, 1)
    told: list[str] = []

    def still_there() -> None:
        with alone(store.store, "visits", holder="dagster:gone", control=Control()):
            held.set()
            assert waiting.wait(60)
            told.append(str(rows_so_far(desk)))

    held, waiting = threading.Event(), threading.Event()
    zombie = threading.Thread(target=still_there)
    zombie.start()
    assert held.wait(60)

    def waits() -> bool:
        runs = instance.get_runs(RunsFilter(job_name="visits_job"))
        return any("another consumer of stream visits" in log_of(instance, run.run_id) for run in runs)

    threading.Thread(target=_once, args=(waits, waiting.set)).start()
    assert consume(desk, instance).success
    zombie.join()
    assert told == ["[]"]
    assert rows(desk) == [1]


def test_the_step_has_the_config_that_the_location_gives_it(desk: Path) -> None:
    definitions = to_definitions("pipelines", directory=desk, streams={"visits": StreamConfig(seconds=5)})
    config = definitions.resolve_job_def("visits_job").run_config
    assert config is not None
    assert config["ops"] == {"visits": {"config": {"seconds": 5.0, "until_idle": False, "report_seconds": 60.0}}}


def test_targets_are_called_as_consumers_call_them() -> None:
    lakes = [ematix.SQLiteConnection(name, path=f"{name}.db") for name in ("one", "two")]
    targets = [ematix.target("visits", connection=lake) for lake in lakes]
    targets.append(ematix.target("pages", connection=lakes[0]))
    declared = ematix.stream("visits", source=lakes[0], source_query="seen", targets=targets)
    made = [CompiledTarget(name=str(one.name), connection=one.connection_name) for one in declared.targets]
    assert labels(CompiledStream(name="visits", targets=tuple(made))) == [declared.label(one) for one in targets]


def loaded(site: OpenSite) -> bool:
    """Say whether the consumer of the table with a key has told of a record."""
    return any(one.stats.get("records") for one in site.store.consumers("visits") if one.target == "raw.visits")


def _once(true: Callable[[], object], act: Callable[[], None]) -> None:
    """Act as soon as something is true."""
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    act()
