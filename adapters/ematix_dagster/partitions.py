"""Partitions of Dagster as slices of ours: a run of one loads that part of the data, and sets nothing off."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any

from dagster import DynamicPartitionsDefinition, StaticPartitionsDefinition, TimeWindowPartitionsDefinition

from ematix_core.errors import ProjectError, RunError, near

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from dagster import OpExecutionContext, PartitionsDefinition

    from ematix_dagster.source import Source

_KEYED = (StaticPartitionsDefinition, DynamicPartitionsDefinition)


@dataclass(frozen=True)
class Slice:
    """A part of a job's data: its name, and the values that SQL is given. Without a name it is the whole."""

    name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def partitions_of(
    source: Source, partitions: Mapping[str, PartitionsDefinition[str]]
) -> dict[str, PartitionsDefinition[str]]:
    """Return the partitions of each job: its own, else those of its workflow.

    Raises ProjectError for an unknown name, for a definition that is no slice, and for a job whose workflows differ.
    """
    workflows = {unit.name: unit for units in source.homes.values() for unit in units}
    jobs = {job.name for job in source.project.jobs}
    found: dict[str, PartitionsDefinition[str]] = {}
    for name, definition in partitions.items():
        if name not in workflows and name not in jobs:
            raise ProjectError(f"partitions of {name!r}: no workflow or job", hint=near(name, [*workflows, *jobs]))
        check_mapped(definition, f"partitions of {name}")
        for job in workflows[name].jobs if name in workflows else ():
            if found.setdefault(job.name, definition) != definition and job.name not in partitions:
                raise ProjectError(
                    "its workflows have different partitions", where=f"job {job.name}",
                    hint=f"Say which it has: partitions={{{job.name!r}: ...}}.",
                )  # fmt: skip
    return found | {name: definition for name, definition in partitions.items() if name in jobs}


def check_mapped(definition: PartitionsDefinition[Any], where: str) -> None:
    """Raise ProjectError for partitions that are neither time windows nor keys of one dimension."""
    if not isinstance(definition, (TimeWindowPartitionsDefinition, *_KEYED)):
        raise ProjectError(
            f"a {type(definition).__name__} is no slice of a job's data", where=where,
            hint="Time windows (daily, hourly, ...) become :slice_start and :slice_end, static and dynamic partitions "
            ":partition_key. Give the job one of these.",
        )  # fmt: skip


def slice_of(context: OpExecutionContext, definition: PartitionsDefinition[Any] | None) -> Slice:
    """Return the slice that the run is of; the whole when it has no partition.

    `definition`: of the job's own partitions, or of those that its workflow has: it runs as a whole for a slice. Time
    windows that follow each other are one slice. Raises RunError for several keys at once.
    """
    if definition is None or not (context.has_partition_key or context.has_partition_key_range):
        return Slice()
    if isinstance(definition, TimeWindowPartitionsDefinition):
        window = context.partition_time_window
        start, end = _instant(window.start), _instant(window.end)
        return Slice(f"{start}/{end}", {"slice_start": start, "slice_end": end})
    keys = context.partition_key_range
    if keys.start != keys.end:
        raise RunError(
            f"several partitions in one run: from {keys.start} to {keys.end}",
            hint="A key is a slice of its own: let the backfill start a run for each.",
        )
    return Slice(keys.start, {"partition_key": keys.start})


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
