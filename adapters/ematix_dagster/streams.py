"""The streams of a project in Dagster: a job for each, and the sensor that keeps them going."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import AssetSelection, RunConfig, define_asset_job, in_process_executor

from ematix_dagster.consuming import StreamConfig
from ematix_dagster.names import STREAM, plain_name, tags_of
from ematix_dagster.supervising import Supervised, supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagster import DefaultSensorStatus, SensorDefinition

    from ematix_dagster.catalog import Catalog


def stream_jobs(found: Catalog, configs: StreamConfig | Mapping[str, StreamConfig] | None) -> list[Any]:
    """Return the job of each stream, in their order: one process, which is told how its runs go."""
    streams = found.source.project.streams
    if isinstance(configs, Mapping):
        for name in configs:
            found.source.project.stream(name)
    else:
        configs = {one.name: configs for one in streams if configs is not None}
    return [
        define_asset_job(
            found.source.jobs[one.name], selection=AssetSelection.assets(*found.keys(one.name)),
            config=RunConfig(ops={plain_name(one.name): configs.get(one.name, StreamConfig())}),
            description=one.doc or None, tags=tags_of(one.tags) | {STREAM: one.name},
            executor_def=in_process_executor,
        )
        for one in streams
    ]  # fmt: skip


def stream_sensor(
    found: Catalog, jobs: Sequence[Any], *, status: DefaultSensorStatus, interval: int
) -> SensorDefinition:
    """Return the sensor of the streams. `jobs`: of `stream_jobs`."""
    streams = [
        Supervised(one, job.name, frozenset(found.keys(one.name)))
        for one, job in zip(found.source.project.streams, jobs, strict=True)
    ]
    return supervisor(found.source, streams, jobs, status=status, interval=interval)
