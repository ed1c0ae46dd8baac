"""Jobs and streams as assets: each one is a step of its own, with its retries, log and pool.

No `from __future__ import annotations`: Dagster looks at the annotation of a step's `context` as it stands.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dagster import AssetExecutionContext, AssetsDefinition, MaterializeResult, PartitionsDefinition, multi_asset

from ematix_core import Workflow
from ematix_core.errors import ProjectError
from ematix_core.orchestration import CompiledJob, ModuleLike, Recompile, module_of
from ematix_dagster.carrying import Whole
from ematix_dagster.catalog import Catalog, catalog
from ematix_dagster.checks import check_specs
from ematix_dagster.consuming import StreamConfig, StreamStep
from ematix_dagster.failures import retry_policy
from ematix_dagster.names import RESOURCE, definition_names, pool_name
from ematix_dagster.source import ADAPTER, read
from ematix_dagster.step import Step
from ematix_dagster.translator import EmatixTranslator


def ematix_assets(
    workflow: str | Workflow,
    module: ModuleLike | None = None,
    *,
    directory: str | Path | None = None,
    compiled_file: str | Path | None = None,
    recompile: Recompile | None = None,
    translator: EmatixTranslator | None = None,
    partitions: Mapping[str, PartitionsDefinition[str]] | None = None,
) -> list[AssetsDefinition]:
    """Return the assets of one workflow, for Definitions of your own, which need a resource `ematix`.

    `workflow`: a name together with its `module`, or the imported workflow itself. For the other options see
    `to_definitions`. Nothing of the workflow's own conditions is asked: what sets the assets off is yours to say.
    Raises ProjectError for an unknown name, with the nearest one.
    """
    name = workflow if isinstance(workflow, str) else workflow.name
    if module is None:
        if isinstance(workflow, str):
            raise ProjectError(f"where is {name!r}?", hint=f"Name its module: ematix_assets({name!r}, 'my_pipelines').")
        module = module_of(workflow, adapter=ADAPTER, example=f"ematix_assets({name!r}, 'my_pipelines')")
    source = read(module, directory=directory, compiled_file=compiled_file, recompile=recompile)
    jobs = source.project.workflow(name).jobs
    found = catalog(source, translator or EmatixTranslator(), partitions or {})
    made = assets_of(found, steps_of(found), {})
    return [made[job.name] for job in jobs]


def steps_of(found: Catalog) -> dict[str, Step]:
    """Return what runs each job of the project, by its name."""
    wholes: dict[str, dict[str, Whole]] = {}
    for workflow in found.source.project.workflows:
        whole = Whole(workflow.unit, frozenset(key for job in workflow.jobs for key in found.keys(job.name)))
        for job in workflow.jobs:
            names = (found.source.jobs[workflow.name], found.starts[workflow.name])
            wholes.setdefault(job.name, {}).update(dict.fromkeys(names, whole))
    return {
        job.name: Step(
            job=job, source=found.source, keys=tuple(found.keys(job.name)), wholes=wholes.get(job.name, {}),
            tables=found.read_by(job), partitions=found.partitions_of(job.name),
        )
        for job in found.source.project.jobs
    }  # fmt: skip


def stream_steps_of(found: Catalog) -> dict[str, StreamStep]:
    """Return what consumes each stream of the project, by its name."""
    return {
        stream.name: StreamStep(stream=stream, source=found.source, keys=tuple(found.keys(stream.name)))
        for stream in found.source.project.streams
    }


def assets_of(
    found: Catalog, steps: Mapping[str, Step], streams: Mapping[str, StreamStep]
) -> dict[str, AssetsDefinition]:
    """Return the assets of each job and stream. Raises ProjectError for two that would be one step."""
    names = definition_names([*steps, *streams], "step")
    jobs = {name: _asset(found, step, names[name]) for name, step in steps.items()}
    return jobs | {name: _stream_asset(found, step, names[name]) for name, step in streams.items()}


def options_of(found: Catalog, job: CompiledJob) -> dict[str, Any]:
    """Return what Dagster is told of a job's step: retries, pool, priority."""
    homes = found.source.homes.get(job.name, ())
    priority = job.priority + max((unit.priority for unit in homes), default=0)
    pool = job.pool or next((unit.pool for unit in homes if unit.pool), "")
    return {
        "required_resource_keys": {RESOURCE},
        "retry_policy": retry_policy(job.retry),
        "pool": pool_name(pool),
        "description": job.description or None,
        "tags": {"dagster/priority": str(priority)} if priority else {},
    }


def _asset(found: Catalog, step: Step, name: str) -> AssetsDefinition:
    specs, options = found.specs[step.job.name], options_of(found, step.job)
    checks = [
        check
        for spec, target in zip(specs, step.job.targets, strict=True)
        for check in check_specs(target, spec.key)
    ]  # fmt: skip

    @multi_asset(
        name=name, specs=specs, can_subset=len(specs) > 1, check_specs=checks, op_tags=options.pop("tags"), **options
    )
    def asset(context: AssetExecutionContext) -> Any:  # noqa: ANN401 - events; Dagster evaluates it 8 times an asset
        yield from step.run(context)

    return asset


def _stream_asset(found: Catalog, step: StreamStep, name: str) -> AssetsDefinition:
    stream = step.stream

    @multi_asset(
        name=name, specs=found.specs[stream.name], required_resource_keys={RESOURCE},
        description=stream.description or None,
    )  # fmt: skip
    def asset(context: AssetExecutionContext, config: StreamConfig) -> Iterator[MaterializeResult[None]]:
        yield from step.run(context, config)

    return asset
