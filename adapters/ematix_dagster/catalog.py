"""The assets of a project: each table that it loads, as the translator sees it, and what that comes after."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dagster import AssetDep, AssetKey, AssetSpec, FreshnessPolicy

from ematix_core.errors import ProjectError
from ematix_core.orchestration import CompiledStream
from ematix_dagster.code import code_reference
from ematix_dagster.lineage import loaders, reads, upstream, writers
from ematix_dagster.names import definition_names, table_key
from ematix_dagster.partitions import check_mapped, partitions_of
from ematix_dagster.translator import JobAsset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dagster import PartitionsDefinition

    from ematix_core.orchestration import CompiledJob, CompiledTarget
    from ematix_dagster.lineage import Loader, Table
    from ematix_dagster.source import Source
    from ematix_dagster.translator import EmatixTranslator

_SHORTEST = timedelta(minutes=1)
"""Dagster looks for what is late once a minute."""


@dataclass(frozen=True)
class Catalog:
    """What the code location has of a project."""

    source: Source
    specs: Mapping[str, tuple[AssetSpec, ...]]
    """By job and stream, in the order of its targets."""
    tables: Mapping[Table, AssetKey]
    """The asset of each table that the project loads."""

    @cached_property
    def starts(self) -> Mapping[str, str]:
        """Dagster's name of the job that runs the whole of each unit; see `whole`."""
        names = {
            one.name: f"{one.name}_whole" if any(map(self._has_partitions, one.jobs)) else self.source.jobs[one.name]
            for one in self.source.project.workflows
        }
        plain = definition_names(names.values(), "job")
        return {unit: plain[name] for unit, name in names.items()}

    def _has_partitions(self, job: CompiledJob) -> bool:
        return any(spec.partitions_def is not None for spec in self.specs[job.name])

    def keys(self, job: str) -> list[AssetKey]:
        """Return the keys of the assets of a job or stream."""
        return [spec.key for spec in self.specs[job]]

    def partitions_of(self, job: str) -> PartitionsDefinition[Any] | None:
        """Return the partitions of a job; when it has none, those that a workflow which has it is run for."""
        if not self.specs[job]:
            return None
        own = self.specs[job][0].partitions_def
        together = (other.name for unit in self.source.homes.get(job, ()) for other in unit.jobs)
        return own or next(filter(None, (self.specs[other][0].partitions_def for other in together)), None)

    def read_by(self, job: CompiledJob) -> dict[str, AssetKey]:
        """Return the asset of each table that the job reads, ours or not."""
        return {
            table: self.tables.get((job.source, table)) or table_key(job.source, table)
            for table in dict.fromkeys(table for sources in job.lineage.values() for table, _ in sources)
        }


def catalog(
    source: Source,
    translator: EmatixTranslator,
    partitions: Mapping[str, PartitionsDefinition[str]],
) -> Catalog:
    """Return the assets of the project.

    Raises ProjectError for two assets of one key, for partitions of an unknown name, and for those that are no slices.
    """
    project = source.project
    made = writers(project)
    parts = partitions_of(source, partitions)
    plain = {
        one.name: tuple(
            _translated(translator, _job_asset(source, one, target, made, parts.get(one.name)))
            for target in one.targets
        )
        for one in loaders(project)
    }
    _check(plain)
    before = upstream(project, source.homes)
    specs = {
        name: _after(own, [spec.key for other in before[name] for spec in plain[other]]) for name, own in plain.items()
    }
    tables = {
        (target.connection, target.name): spec.key
        for one in loaders(project)
        for target, spec in zip(one.targets, specs[one.name], strict=True)
    }
    return Catalog(source, specs, tables)


def _job_asset(
    source: Source,
    job: Loader,
    target: CompiledTarget,
    made: Mapping[Table, tuple[str, ...]],
    partitions: PartitionsDefinition[str] | None,
) -> JobAsset:
    homes = source.homes.get(job.name, ())
    key = table_key(target.connection, target.name)
    if len(made[target.connection, target.name]) > 1:
        key = AssetKey([*key.path, job.name])
    windows = [unit.freshness for unit in homes if unit.freshness is not None]
    return JobAsset(
        job=job, target=target, key=key, group=homes[0].name if homes else None, partitions=partitions,
        outside=tuple(table_key(*place) for place in reads(job) if place not in made),
        freshness=_freshness(min(windows)) if windows else None, code=code_reference(source, job),
    )  # fmt: skip


def _freshness(seconds: float) -> FreshnessPolicy:
    return FreshnessPolicy.time_window(fail_window=max(timedelta(seconds=seconds), _SHORTEST))


def _translated(translator: EmatixTranslator, job: JobAsset) -> AssetSpec:
    spec = translator.get_asset_spec(job)
    if not isinstance(spec, AssetSpec):
        raise ProjectError(
            f"{type(translator).__name__}.get_asset_spec has returned {spec!r}", where=_where(job),
            hint="Return an AssetSpec: super().get_asset_spec(job), or that with replace_attributes(...).",
        )  # fmt: skip
    if spec.partitions_def is not None:
        if isinstance(job.job, CompiledStream):
            raise ProjectError("a stream has no partitions: it goes on from where it is", where=_where(job))
        check_mapped(spec.partitions_def, _where(job))
    return spec


def _where(job: JobAsset) -> str:
    return f"{'stream' if isinstance(job.job, CompiledStream) else 'job'} {job.job.name}"


def _after(own: tuple[AssetSpec, ...], keys: list[AssetKey]) -> tuple[AssetSpec, ...]:
    """Return the assets with dependencies on these keys, besides those that they have."""
    if not keys:
        return own
    return tuple(_with(spec, keys) for spec in own)


def _with(spec: AssetSpec, keys: list[AssetKey]) -> AssetSpec:
    known = {dep.asset_key for dep in spec.deps} | {spec.key}
    further = [AssetDep(key) for key in dict.fromkeys(keys) if key not in known]
    return spec.replace_attributes(deps=[*spec.deps, *further]) if further else spec


def _check(specs: Mapping[str, tuple[AssetSpec, ...]]) -> None:
    """Raise ProjectError for two assets of one key, and for targets of a job whose partitions differ."""
    counted = Counter(spec.key for _, spec in _each(specs))
    for key, number in counted.items():
        if number > 1:
            jobs = ", ".join(dict.fromkeys(job for job, spec in _each(specs) if spec.key == key))
            raise ProjectError(
                f"the translator gives {number} tables the key {key.to_user_string()}", where=f"jobs {jobs}",
                hint="Let get_asset_spec return a key of its own for each: job.key is one.",
            )  # fmt: skip
    for job, own in specs.items():
        if any(spec.partitions_def != own[0].partitions_def for spec in own):
            raise ProjectError(
                "the targets of one job have different partitions", where=f"job {job}",
                hint="They are loaded together, by one step: give them the same.",
            )  # fmt: skip


def _each(specs: Mapping[str, tuple[AssetSpec, ...]]) -> Iterator[tuple[str, AssetSpec]]:
    for job, own in specs.items():
        for spec in own:
            yield job, spec
