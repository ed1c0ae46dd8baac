"""The step of a job: one attempt of ours, in the process that Dagster has started for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import AssetCheckResult, AssetMaterialization, DataVersion, MaterializeResult, MetadataValue

from ematix_core.errors import CheckFailedError, EmatixError
from ematix_core.orchestration import LoggedProgress
from ematix_dagster import checks, facts
from ematix_dagster.carrying import carried
from ematix_dagster.failures import dagster_error
from ematix_dagster.names import RESOURCE
from ematix_dagster.partitions import slice_of
from ematix_dagster.stopping import stoppable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from dagster import AssetExecutionContext, AssetKey, OpExecutionContext, PartitionsDefinition

    from ematix_core import RunResult
    from ematix_core.orchestration import Cancellation, CompiledJob, CompiledTarget, OpenSite
    from ematix_dagster.carrying import Whole
    from ematix_dagster.resource import EmatixResource
    from ematix_dagster.source import Source

Event = MaterializeResult[None] | AssetCheckResult
_DATA_VERSION = "dagster/data_version"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One job, and what a process needs to know to run it."""

    job: CompiledJob
    source: Source
    keys: tuple[AssetKey, ...]
    """The assets, in the order of the job's targets."""
    wholes: Mapping[str, Whole]
    """The units that have the job, by Dagster's name of theirs."""
    tables: Mapping[str, AssetKey]
    """The assets that the job's columns come from."""
    partitions: PartitionsDefinition[Any] | None

    def run(self, context: AssetExecutionContext) -> Iterator[Event]:
        """Yield what the attempt has brought to the assets that the run has chosen. Raises Failure, RetryRequested.

        The rows are read once for all targets, and loaded into all of them: of the others the catalog is told, too.
        """
        chosen = {(check.asset_key, check.name) for check in context.selected_asset_check_keys}
        for event in self.events(context.op_execution_context):
            if isinstance(event, AssetCheckResult):
                if (event.asset_key, event.check_name) in chosen:
                    yield event
            elif event.asset_key in context.selected_asset_keys:
                yield event
            else:
                context.log.info("%s: %s was loaded, too", self.job.name, event.asset_key)
                context.log_event(materialization(event))

    def events(self, context: OpExecutionContext) -> Iterator[Event]:
        """Yield what the attempt has brought to all assets. Raises Failure, or RetryRequested."""
        resource: EmatixResource = getattr(context.resources, RESOURCE)
        try:
            with resource.site(self.source).opened() as site:
                result = self._attempt(context, site)
        except EmatixError as error:
            if isinstance(error, CheckFailedError):
                for target, key in self._targets():
                    yield from checks.after_failure(target, key, error)
            failure = dagster_error(error, self.job.retry, context.retry_number + 1)
            raise failure from failure.__cause__
        yield from self._loaded(context, result, resource.run_url(result.run_id))

    def _attempt(self, context: OpExecutionContext, site: OpenSite) -> RunResult:
        from ematix_core.orchestration import run_attempt  # the engine: no process needs it that only loads

        part = slice_of(context, self.partitions)
        told = carried(context, site, self.wholes.get(context.run.job_name), part)

        def work(cancellation: Cancellation) -> RunResult:
            return run_attempt(
                site, self.job.name, carrier=told.carrier, again=context.retry_number < self.job.retry.retries,
                workflow_run_id=told.workflow_run_id, trigger=told.trigger, slice=told.slice,
                parameters=told.parameters, cancellation=cancellation, progress=LoggedProgress(context.log),
            )  # fmt: skip

        return stoppable(work)

    def _loaded(self, context: OpExecutionContext, result: RunResult, url: str) -> Iterator[Event]:
        for number, (target, key) in enumerate(self._targets()):
            for warning in result.targets[number].warnings:
                context.log.warning("%s: %s", self.job.name, warning)
            metadata = facts.of_target(result, number, target)
            if (lineage := facts.column_lineage(self.job, target, self.tables)) is not None:
                metadata["dagster/column_lineage"] = lineage
            if url:
                metadata["ematix/run"] = MetadataValue.url(url)
            version = _version(context, key, result, number)
            yield MaterializeResult(asset_key=key, metadata=metadata, data_version=version)
            yield from checks.after_load(target, key, result, number)

    def _targets(self) -> Iterator[tuple[CompiledTarget, AssetKey]]:
        yield from zip(self.job.targets, self.keys, strict=True)


def materialization(result: MaterializeResult[None]) -> AssetMaterialization:
    """Return the event of an asset that is no output of the step."""
    assert result.asset_key is not None  # noqa: S101 - see Step.events
    tags = {_DATA_VERSION: result.data_version.value} if result.data_version is not None else None
    return AssetMaterialization(result.asset_key, metadata=result.metadata, tags=tags)


def _version(context: OpExecutionContext, key: AssetKey, result: RunResult, number: int) -> DataVersion:
    """Return the version of the rows: the last one when the load has changed none of them."""
    before = None if facts.has_changed(result, number) else last_version(context, key)
    return before or facts.data_version(result, number)


def last_version(context: OpExecutionContext | AssetExecutionContext, key: AssetKey) -> DataVersion | None:
    """Return the version that the asset has had until now; None when it has none."""
    event = context.instance.get_latest_materialization_event(key)
    before = event.asset_materialization if event is not None else None
    known = before.tags if before is not None else None
    return DataVersion(known[_DATA_VERSION]) if known and _DATA_VERSION in known else None
