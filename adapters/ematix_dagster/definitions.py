"""A whole project as Dagster's definitions: assets, a job for each workflow and stream, the sensors that start them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagster import (
    AssetsDefinition,
    AssetSelection,
    AssetSpec,
    DefaultSensorStatus,
    Definitions,
    SourceAsset,
    define_asset_job,
)

from ematix_core.errors import ProjectError
from ematix_dagster.assets import assets_of, steps_of, stream_steps_of
from ematix_dagster.catalog import catalog
from ematix_dagster.names import RESOURCE, owners_of, tags_of
from ematix_dagster.resource import EmatixResource
from ematix_dagster.sensor import triggers
from ematix_dagster.source import read
from ematix_dagster.streams import stream_jobs, stream_sensor
from ematix_dagster.translator import EmatixTranslator
from ematix_dagster.whole import whole_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dagster import AssetKey, PartitionsDefinition

    from ematix_core.orchestration import ModuleLike, Recompile
    from ematix_dagster.catalog import Catalog
    from ematix_dagster.consuming import StreamConfig


def to_definitions(
    module: ModuleLike,
    *,
    directory: str | Path | None = None,
    compiled_file: str | Path | None = None,
    recompile: Recompile | None = None,
    translator: EmatixTranslator | None = None,
    partitions: Mapping[str, PartitionsDefinition[str]] | None = None,
    resource: EmatixResource | None = None,
    others: Definitions | None = None,
    sensor_status: DefaultSensorStatus = DefaultSensorStatus.RUNNING,
    interval: int = 30,
    streams: StreamConfig | Mapping[str, StreamConfig] | None = None,
) -> Definitions:
    """Return an asset for each table that a job or stream loads, a job for each workflow and stream, and two sensors.

    `ematix_triggers` starts workflows when their conditions hold; `ematix_streams` keeps one run of each stream going.

    `module`: a name, or the path of a `.py` file or a package, or several, in `directory` (default the folder of the
    calling file). Only the compiled project is read, from beside it (`compiled_file`, default `<module>.ematix.json`).
    `recompile`: "auto" makes it anew when the modules have changed, "never" raises then, "always" does not look;
    default what EMATIX_COMPILE says, else "auto". `partitions`: by the name of a workflow or job. `others`: definitions
    of your own that live beside these. `sensor_status`: whether the sensors are on when they are new. `interval`:
    seconds between their looks. `streams`: how the runs of streams go, of all or by name. Raises ProjectError for a
    project with problems, and for what would have one name in Dagster.
    """
    source = read(module, directory=directory, compiled_file=compiled_file, recompile=recompile)
    found = catalog(source, translator or EmatixTranslator(), partitions or {})
    if others is not None:
        _check_beside(found, others)
    resource = resource or EmatixResource()
    steps, stream_steps, jobs = steps_of(found), stream_steps_of(found), _jobs(found)
    starts = jobs | {
        one.name: whole_job(found, one, steps, resource)
        for one in source.project.workflows
        if found.starts[one.name] != jobs[one.name].name
    }
    consuming = stream_jobs(found, streams)
    sensors = [triggers(source, starts, status=sensor_status, interval=interval)]
    if consuming:
        sensors.append(stream_sensor(found, consuming, status=sensor_status, interval=interval))
    definitions = Definitions(
        assets=list(assets_of(found, steps, stream_steps).values()),
        jobs=[*{job.name: job for job in (*jobs.values(), *starts.values())}.values(), *consuming],
        sensors=sensors,
        resources={RESOURCE: resource},
    )
    return definitions if others is None else Definitions.merge(definitions, others)


def _jobs(found: Catalog) -> dict[str, Any]:  # Dagster has no public name for what `define_asset_job` returns
    """Return the job of each unit's assets, by the unit's name."""
    return {
        one.name: define_asset_job(
            found.source.jobs[one.name],
            selection=AssetSelection.assets(*(key for job in one.jobs for key in found.keys(job.name))),
            description=one.doc or one.description or None, tags=tags_of(one.unit.tags),
            owners=owners_of(one.unit.owner) or None,
        )
        for one in found.source.project.workflows
    }  # fmt: skip


def _check_beside(found: Catalog, others: Definitions) -> None:
    """Raise ProjectError for an asset or job that the other definitions have, too."""
    jobs = {key: job for job in found.specs for key in found.keys(job)}
    for key in _keys(others):
        if key in jobs:
            raise ProjectError(
                f"the asset {key.to_user_string()} is there already, in the other definitions",
                where=f"job {jobs[key]}",
                hint="Rename one of them; ours by a translator: "
                "get_asset_spec returns super().get_asset_spec(job).replace_attributes(key=...).",
            )
    project = found.source.project
    names = {found.source.jobs[one.name]: f"workflow {one.name}" for one in project.workflows}
    names |= {found.source.jobs[one.name]: f"stream {one.name}" for one in project.streams}
    for job in others.jobs or ():
        if job.name in names:
            raise ProjectError(
                f"the job {job.name} is there already, in the other definitions",
                where=names[job.name],
                hint="Rename one of them.",
            )


def _keys(definitions: Definitions) -> Iterator[AssetKey]:
    """Yield the keys of the assets that are defined, not of those that are only depended on."""
    for one in definitions.assets or ():
        if isinstance(one, AssetsDefinition):
            yield from one.keys
        elif isinstance(one, AssetSpec | SourceAsset):
            yield one.key
