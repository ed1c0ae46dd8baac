"""Units: what a scheduler runs, as plain data: a workflow, or a job that has conditions of its own.

A job is a unit by itself when it has a schedule, or when it depends on other jobs and no workflow has it. Then its
`depends_on` are its trigger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ematix_core.model.trigger import AllOf, Event, Trigger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job
    from ematix_core.model.message import MessageSource
    from ematix_core.model.schedule import Schedule
    from ematix_core.model.workflow import Catchup, Workflow


@dataclass(frozen=True)
class UnitJob:
    """One job of a unit."""

    name: str
    depends_on: tuple[str, ...] = ()
    """Jobs of the same unit; others are not waited for here."""
    pool: str = ""
    priority: int = 0
    limit: float | None = None
    """Seconds that all attempts and the waits between them may take; None for no limit."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A workflow or a single job, with what sets it off. Holds no function and no secret, so it can be sent."""

    name: str
    jobs: tuple[UnitJob, ...]
    single: bool = False
    """Whether it is a job by itself: then each success of the job counts as one of the unit."""
    trigger: Trigger | None = None
    schedule: Schedule | None = None
    messages: MessageSource | None = None
    catchup: Catchup = "latest"
    pool: str = ""
    priority: int = 0
    freshness: float | None = None
    """Seconds within which a success is expected after the last one."""
    long_run: float | None = None
    """Seconds after which a run is reported as a long one."""
    alerts: tuple[str, ...] = ()
    """The alerters that are told, by name; empty for all."""
    tags: tuple[str, ...] = ()
    owner: str = ""

    def waits_for(self) -> tuple[str, ...]:
        """Return the names of the workflows and jobs whose success the trigger looks at."""
        return self.trigger.names() if self.trigger is not None else ()


class Declared(Protocol):
    """What a project declares, by name."""

    @property
    def jobs(self) -> Mapping[str, Job]: ...

    @property
    def workflows(self) -> Mapping[str, Workflow]: ...

    @property
    def connections(self) -> Mapping[str, Connection]: ...


def units(project: Declared) -> tuple[Unit, ...]:
    """Return all units of a project: its workflows, then the jobs that are units by themselves."""
    grouped = {job.name for workflow in project.workflows.values() for job in workflow.jobs}
    return (
        *(_of_workflow(workflow, project) for workflow in project.workflows.values()),
        *_single(project, grouped),
    )


def _of_workflow(workflow: Workflow, project: Declared) -> Unit:
    graph = workflow.graph()
    messages = workflow.messages
    if messages is not None and messages.connection_name in project.connections:  # else the settings have it
        messages = replace(messages, connection=project.connections[messages.connection_name])
    return Unit(
        name=workflow.name, jobs=tuple(_unit_job(job, graph[job.name]) for job in workflow.jobs),
        trigger=workflow.trigger, schedule=workflow.schedule, messages=messages, catchup=workflow.catchup,
        pool=workflow.pool, priority=workflow.priority, freshness=workflow.freshness, long_run=workflow.long_run,
        alerts=workflow.alerts, tags=workflow.tags, owner=workflow.owner,
    )  # fmt: skip


def _single(project: Declared, grouped: set[str]) -> Iterator[Unit]:
    for job in project.jobs.values():
        if job.schedule is None and (job.name in grouped or not job.depends_on):
            continue
        upstream = tuple(Event(name) for name in job.depends_on)
        yield Unit(
            name=job.name, jobs=(_unit_job(job, ()),), single=True, schedule=job.schedule,
            trigger=upstream[0] if len(upstream) == 1 else AllOf(upstream) if upstream else None,
            priority=job.priority, tags=job.tags, owner=job.owner,
        )  # fmt: skip


def _unit_job(job: Job, depends_on: tuple[str, ...]) -> UnitJob:
    return UnitJob(job.name, depends_on, job.pool, job.priority, job.retry.longest(job.timeout))
