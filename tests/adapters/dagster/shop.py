"""A small project, and ways to run its jobs in Dagster."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

from dagster import DagsterEventType, SensorResult, build_sensor_context
from ematix_dagster import EmatixResource, to_definitions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dagster import DagsterInstance, ExecuteInProcessResult, PartitionsDefinition, RunRequest

SHOP = '''
import pathlib
from typing import Annotated

import pyarrow as pa

import ematix_core as ematix
from ematix_core import pk
from ematix_core.errors import SourceError, Transient
from ematix_core.types import BigInt, Text


class Flaky(SourceError, Transient):
    pass


warehouse = ematix.DuckDBConnection("warehouse", path="warehouse.duckdb")
lake = ematix.SQLiteConnection("lake", path="lake.db")


@ematix.table(schema="analytics")
class Numbers:
    n: Annotated[BigInt, pk()]
    word: Text | None


@ematix.job(
    target=Numbers, target_connection=warehouse, mode="merge", retries=ematix.Retry(2, delay=0.05, jitter=0.0),
    checks=[ematix.expect.not_null("word", severity="warn"), ematix.expect.between("n", 0, 100)],
    owner="ann@example.com", tags=["layer=gold", "nightly"], priority=2, pool="small",
)
def numbers():
    """Numbers, each with its word."""
    plan = pathlib.Path("plan").read_text().split() if pathlib.Path("plan").exists() else []
    tried = pathlib.Path("tried")
    tried.write_text(tried.read_text() + "x" if tried.exists() else "x")
    what = plan[len(tried.read_text()) - 1] if len(tried.read_text()) <= len(plan) else "well"
    if what == "flaky":
        raise Flaky("the network is down")
    if what == "wrong":
        raise SourceError("the source is no source", hint="Mend it.")
    words = [None if what == "wordless" else "one", "two", "three"]
    return pa.table({"n": [1, 2, 300 if what == "high" else 3], "word": words})


@ematix.job(target="doubled", target_connection=warehouse, mode="truncate", depends_on=[numbers])
def doubled():
    return "SELECT n * 2 AS twice, word FROM analytics.numbers"


@ematix.job(targets=[ematix.target("copies", connection=lake), ematix.target("copies", connection=warehouse)],
            source_connection=warehouse)
def copies():
    return "SELECT twice FROM doubled"


@ematix.job(target="alone", target_connection=lake, source_connection=warehouse)
def alone():
    return "SELECT m FROM elsewhere.measures"


nightly = ematix.workflow("nightly", jobs=[numbers, doubled], schedule="0 2 * * *", triggered_by=alone,
                          freshness="1 day", description="Everything of the night.")
after = ematix.workflow("after", jobs=[copies], triggered_by=[nightly])
'''


def write(folder: Path, module: str, text: str) -> None:
    """Write a module of a project."""
    (folder / f"{module}.py").write_text(dedent(text))


def run(
    folder: Path,
    instance: DagsterInstance,
    job: str = "nightly",
    *,
    tags: dict[str, str] | None = None,
    partitions: Mapping[str, PartitionsDefinition[str]] | None = None,
    partition_key: str | None = None,
) -> ExecuteInProcessResult:
    """Run a Dagster job of the shop in this process."""
    definitions = to_definitions("shop", directory=folder, partitions=partitions)
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, tags=tags, partition_key=partition_key
    )


def facts_of(result: ExecuteInProcessResult, step: str) -> dict[str, Any]:
    """Return the metadata of the step's one materialization."""
    (event,) = result.asset_materializations_for_node(step)
    return {name: value.value for name, value in event.metadata.items()}


def plan(folder: Path, *what: str) -> None:
    """Say what becomes of the attempts of `numbers`: well, flaky, wrong, wordless, high."""
    (folder / "plan").write_text(" ".join(what))


def failure_of(result: ExecuteInProcessResult, step: str) -> str:
    """Return what Dagster says of the step's failure."""
    (event,) = (e for e in result.events_for_node(step) if e.event_type is DagsterEventType.STEP_FAILURE)
    said = event.step_failure_data.user_failure_data
    return str(said.description) if said else ""


class Looking:
    """The sensor of a project, and its cursor from one look to the next."""

    def __init__(
        self,
        folder: Path,
        instance: DagsterInstance,
        module: str = "shop",
        partitions: Mapping[str, PartitionsDefinition[str]] | None = None,
    ) -> None:
        definitions = to_definitions(module, directory=folder, partitions=partitions)
        self.sensor = definitions.resolve_sensor_def("ematix_triggers")
        self.instance = instance
        self.cursor: str | None = None
        self.reason = ""

    def look(self) -> list[RunRequest]:
        """Return what the sensor asks for now."""
        resources = {"ematix": EmatixResource()}
        with build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            result = self.sensor(context)
        assert isinstance(result, SensorResult)
        self.cursor = result.cursor or self.cursor
        self.reason = result.skip_reason.skip_message or "" if result.skip_reason else ""
        return list(result.run_requests or ())
