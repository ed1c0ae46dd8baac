"""What Dagster's catalog says of a table that a job or stream loads: one method, which a subclass may override."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster import AssetSpec

from ematix_core.orchestration import CompiledStream
from ematix_dagster.facts import column_schema
from ematix_dagster.names import owners_of, plain_name, tags_of

if TYPE_CHECKING:
    from dagster import AssetKey, CodeReferencesMetadataValue, FreshnessPolicy, PartitionsDefinition

    from ematix_core.orchestration import CompiledJob, CompiledTarget


@dataclass(frozen=True, kw_only=True)
class JobAsset:
    """One table that a job or stream loads, as the translator is given it."""

    job: CompiledJob | CompiledStream
    target: CompiledTarget
    key: AssetKey
    """The default key: connection, then the parts of the table's name; then the job, if several load the table."""
    group: str | None = None
    """The workflow that has the job, the first one by name; None when none has, and for a stream."""
    outside: tuple[AssetKey, ...] = ()
    """What the job or stream reads and none of the project writes."""
    partitions: PartitionsDefinition[str] | None = None
    """What `partitions=` says of the job or its workflow."""
    freshness: FreshnessPolicy | None = None
    """What the workflow's `freshness=` says."""
    code: CodeReferencesMetadataValue | None = None
    """Where the function is."""


class EmatixTranslator:
    """Says what becomes of jobs and streams. Override `get_asset_spec`, and begin with what `super()` returns."""

    def get_asset_spec(self, job: JobAsset) -> AssetSpec:
        """Return the asset of one table of the job or stream. Called while a code location loads; must not connect.

        The dependencies between them are added afterwards, by the keys that this has returned: `deps` are for tables
        from elsewhere, such as `job.outside`. Two equal keys are refused.
        """
        return AssetSpec(
            job.key,
            description=job.job.doc or None,
            metadata=_metadata(job),
            group_name=plain_name(job.group) if job.group else None,
            owners=owners_of(job.job.owner),
            tags=tags_of(job.job.tags),
            kinds=_kinds(job) or None,
            partitions_def=job.partitions,
            freshness_policy=job.freshness,
        )


def _kinds(job: JobAsset) -> set[str]:
    """Return the kind of the target; of a stream that of its source, too."""
    read = job.job.kind if isinstance(job.job, CompiledStream) else ""
    return {plain_name(kind) for kind in (job.target.kind, read) if kind}


def _metadata(job: JobAsset) -> dict[str, Any]:
    target, what = job.target, "stream" if isinstance(job.job, CompiledStream) else "job"
    found: dict[str, Any] = {
        "dagster/table_name": target.name, f"ematix/{what}": job.job.name, "ematix/mode": target.mode,
    }  # fmt: skip
    if target.keys:
        found["ematix/keys"] = ", ".join(target.keys)
    if target.columns:
        found["dagster/column_schema"] = column_schema(target.columns)
    if job.code is not None:
        found["dagster/code_references"] = job.code
    return found
