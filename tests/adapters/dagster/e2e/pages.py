"""What somebody does on Dagster's pages, by the GraphQL that those pages send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.adapters.dagster.e2e.dev import LOCATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.adapters.dagster.e2e.dev import Dev

_REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
_SINGLE_ASSETS = "__ASSET_JOB"
_OVER = ("SUCCESS", "FAILURE", "CANCELED")

ASSETS = """{ assetNodes {
    assetKey { path } groupName kinds description jobNames dependencyKeys { path } isPartitioned } }"""
SENSORS = """query($repository: RepositorySelector!) { sensorsOrError(repositorySelector: $repository) {
    ... on Sensors { results { name sensorState { status ticks(limit: 20) { status error { message } } } } } } }"""
_LAUNCH = """mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_AGAIN = """mutation($params: ReexecutionParams!) { launchPipelineReexecution(reexecutionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_STOP = """mutation($id: String!) { terminateRun(runId: $id) { __typename } }"""
_RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run {
    status tags { key value } stepStats { stepKey status }
    eventConnection(limit: 1000) { events { eventType: __typename
        ... on MessageEvent { message stepKey level }
        ... on ErrorEvent { error { message } }
        ... on MaterializationEvent { assetKey { path } metadataEntries { label
            ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text } } }
        ... on AssetCheckEvaluationEvent { evaluation { checkName success severity } } } } } } }"""
_RUNS = """query($job: String!) { runsOrError(filter: { pipelineName: $job }) {
    ... on Runs { results { runId status tags { key value } } } } }"""
_BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_BACKFILL_STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status } } }"""


@dataclass(frozen=True)
class Seen:
    """A run as its page shows it."""

    status: str
    events: Sequence[dict[str, Any]]

    def of(self, step: str) -> Seen:
        """Return what there is of one step."""
        return Seen(self.status, [event for event in self.events if event.get("stepKey") == step])

    def messages(self, kind: str) -> list[str]:
        """Return the messages of the events of that type, such as `LogMessageEvent`; for an error, the error's."""
        found = [event for event in self.events if event["eventType"] == kind]
        return [event["error"]["message"] if event.get("error") else event["message"] for event in found]

    def checks(self) -> dict[str, tuple[bool, str]]:
        """Return of each check whether it passed, and how severe it is."""
        found = [event["evaluation"] for event in self.events if event["eventType"] == "AssetCheckEvaluationEvent"]
        return {one["checkName"]: (one["success"], one["severity"]) for one in found}

    def numbers(self, asset: str) -> dict[str, int]:
        """Return the whole numbers in the metadata of an asset's materialization."""
        (found,) = [
            event for event in self.events
            if event["eventType"] == "MaterializationEvent" and "/".join(event["assetKey"]["path"]) == asset
        ]  # fmt: skip
        return {one["label"]: one["intValue"] for one in found["metadataEntries"] if "intValue" in one}


def launch(dev: Dev, job: str = _SINGLE_ASSETS, *, assets: Sequence[str] = ()) -> str:
    """Start a job, or materialize single assets; return the run's id."""
    selector: dict[str, Any] = {**_REPOSITORY, "jobName": job}
    if assets:
        selector["assetSelection"] = [{"path": key.split("/")} for key in assets]
    said = dev.query(_LAUNCH, params={"selector": selector, "runConfigData": {}})["launchPipelineExecution"]
    return _run_of(said)


def again(dev: Dev, run_id: str) -> str:
    """Re-execute a run from where it failed; return the new run's id."""
    params = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
    return _run_of(dev.query(_AGAIN, params=params)["launchPipelineReexecution"])


def terminate(dev: Dev, run_id: str) -> None:
    """Terminate a run."""
    assert dev.query(_STOP, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"


def backfill(dev: Dev, asset: str, partitions: Sequence[str]) -> str:
    """Start a backfill of some partitions of an asset; return its id."""
    return _backfill(dev, {"assetSelection": [{"path": asset.split("/")}], "partitionNames": partitions})


def backfill_job(dev: Dev, job: str, partitions: Sequence[str]) -> str:
    """Start a backfill of some partitions of a job; return its id."""
    selector = {"partitionSetName": f"{job}_partition_set", "repositorySelector": _REPOSITORY}
    return _backfill(dev, {"selector": selector, "partitionNames": partitions})


def _backfill(dev: Dev, params: dict[str, Any]) -> str:
    said = dev.query(_BACKFILL, params=params)["launchPartitionBackfill"]
    assert said["__typename"] == "LaunchBackfillSuccess", said
    return str(said["backfillId"])


def backfilled(dev: Dev, backfill_id: str) -> str:
    """Wait for the end of a backfill; return its status."""

    def look() -> str:
        status = dev.query(_BACKFILL_STATUS, id=backfill_id)["partitionBackfillOrError"]["status"]
        return str(status) if status.startswith(("COMPLETED", "FAILED")) else ""

    return str(dev.wait_for(look, what=f"the end of backfill {backfill_id}"))


def ended(dev: Dev, run_id: str) -> Seen:
    """Wait for the end of a run; return what its page shows."""

    def look() -> Seen | None:
        found = dev.query(_RUN, id=run_id)["runOrError"]
        return Seen(found["status"], found["eventConnection"]["events"]) if found["status"] in _OVER else None

    seen = dev.wait_for(look, what=f"the end of run {run_id}")
    assert isinstance(seen, Seen)
    return seen


def runs(dev: Dev, job: str) -> list[dict[str, Any]]:
    """Return the runs of a job: `runId`, `status`, and `tags` as a mapping."""
    found = dev.query(_RUNS, job=job)["runsOrError"]["results"]
    return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]


def _run_of(said: dict[str, Any]) -> str:
    assert said["__typename"] == "LaunchRunSuccess", said
    return str(said["run"]["runId"])


def sensor_errors(dev: Dev) -> list[str]:
    """Return the errors of the latest ticks of all sensors."""
    found = dev.query(SENSORS, repository=_REPOSITORY)["sensorsOrError"]["results"]
    ticks = [tick for sensor in found for tick in sensor["sensorState"]["ticks"]]
    return [tick["error"]["message"] for tick in ticks if tick["error"]]
