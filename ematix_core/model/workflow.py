"""Workflows: jobs that run together in the order of their dependencies, and what sets them off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ematix_core.errors import DeclarationError, near
from ematix_core.model.duration import parse_seconds
from ematix_core.model.graph import find_cycle, levels
from ematix_core.model.job import Job
from ematix_core.model.message import MessageSource
from ematix_core.model.names import require_short
from ematix_core.model.options import check_queueing, explained, listed, listed_as, tags_of
from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import AnyOf, Trigger, TriggerLike, parse_trigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from ematix_core.engine.result import WorkflowResult
    from ematix_core.model.connection import ConnectionLookup

Catchup = Literal["latest", "all", "none"]
_CATCHUPS = ("latest", "all", "none")


@dataclass(frozen=True, kw_only=True, repr=False)
class Workflow:
    """One declared workflow. Made by `workflow()`; see there for the options."""

    name: str
    jobs: tuple[Job, ...]
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
    tags: tuple[str, ...] = ()
    owner: str = ""
    description: str = field(default="", compare=False)

    def graph(self) -> dict[str, tuple[str, ...]]:
        """Return each job's name with the jobs of this workflow that it depends on."""
        inside = {job.name for job in self.jobs}
        return {job.name: tuple(name for name in job.depends_on if name in inside) for job in self.jobs}

    def waits_for(self) -> tuple[str, ...]:
        """Return the names of the workflows and jobs whose success the trigger looks at."""
        return self.trigger.names() if self.trigger is not None else ()

    def order(self) -> tuple[tuple[Job, ...], ...]:
        """Return the jobs in levels: each depends only on jobs of earlier levels, so a level may run at once."""
        by_name = {job.name: job for job in self.jobs}
        return tuple(tuple(by_name[name] for name in level) for level in levels(self.graph()))

    def summary(self) -> str:
        """Return in one line what sets the workflow off: `After: orders, stock; at 0 2 * * * Europe/London`."""
        conditions = []
        if self.trigger is not None:
            conditions.append(f"{'After any' if isinstance(self.trigger, AnyOf) else 'After'}: {self.trigger}")
        if self.schedule is not None:
            conditions.append(f"at {self.schedule}")
        if self.messages is not None:
            conditions.append(f"on each message of {self.messages}")
        line = "; ".join(conditions)
        return line[0].upper() + line[1:]

    def run(self, project: ConnectionLookup | None = None, **options: Any) -> WorkflowResult:  # noqa: ANN401 - handed on to engine.run_workflow
        """Run the jobs in this process, in the order of their dependencies, and return the WorkflowResult.

        A job whose upstream failed is skipped. `project` finds connections given by name.
        """
        from ematix_core.engine import run_workflow

        return run_workflow(self, project, **options)

    def __repr__(self) -> str:
        """Show the name and the jobs on one line."""
        return f"<workflow {self.name} ({', '.join(job.name for job in self.jobs)})>"


@explained("a workflow", kind="workflow")
def workflow(
    name: str,
    *,
    jobs: Sequence[Job] | Job,
    schedule: str | None = None,
    timezone: str | None = None,
    triggered_by: TriggerLike | None = None,
    on_message: MessageSource | None = None,
    catchup: Catchup = "latest",
    pool: str = "",
    priority: int = 0,
    freshness: float | str | timedelta | None = None,
    long_run: float | str | timedelta | None = None,
    alerts: Sequence[str] | str = (),
    tags: Sequence[str] | str = (),
    owner: str = "",
    description: str = "",
    depends_on: None = None,
) -> Workflow:
    """Declare a workflow: jobs that run together, and what sets them off.

    `schedule` (cron) and `timezone` (default UTC), `triggered_by` (names, workflows or jobs; a list means all of
    them): the workflow fires when all that is given holds. `on_message` (an `inbox()` or `queue()`): fires for each
    message, and excludes the others. `catchup`: which ticks missed in a downtime are made up for. `pool`, `priority`:
    limits shared with other runs. `freshness`, `long_run` (seconds, or "2 hours"): alert when no success came for so
    long, when a run takes so long; `alerts`: which alerters are told, by name (default all). Dependencies stand on the
    jobs. Raises DeclarationError for options that contradict each other, without any condition, for a job that is
    listed twice, and for jobs that depend on each other in a circle.
    """
    try:
        _refuse_dependencies(depends_on)
        made = Workflow(
            name=name, jobs=_checked_jobs(jobs), trigger=None if triggered_by is None else parse_trigger(triggered_by),
            schedule=Schedule.of(schedule, timezone), messages=_checked_source(on_message), catchup=catchup, pool=pool,
            priority=priority, freshness=_length(freshness, "freshness"), long_run=_length(long_run, "long_run"),
            alerts=listed_as(str, alerts, "alerts", "Write alerts='oncall' or alerts=['oncall', 'mail']."),
            tags=tags_of(tags), owner=owner, description=description,
        )  # fmt: skip
        _check(made)
    except DeclarationError as error:
        raise error.at(f"workflow {name}") from None
    return made


def _refuse_dependencies(depends_on: object) -> None:
    if depends_on is not None:
        raise DeclarationError(
            "depends_on belongs to jobs",
            hint="Order jobs by @ematix.job(depends_on=[...]); wait for other workflows by triggered_by=[...].",
        )


def _checked_jobs(jobs: Sequence[Job] | Job) -> tuple[Job, ...]:
    several = listed(jobs)
    for job in several:
        if not isinstance(job, Job):
            raise DeclarationError(f"{job!r} is no job", hint="List the functions decorated with @ematix.job.")
    return several


def _checked_source(source: MessageSource | None) -> MessageSource | None:
    if source is not None and not isinstance(source, MessageSource):
        raise DeclarationError(
            f"on_message={source!r} is no source of messages",
            hint="Give what ematix.inbox() or ematix.queue() returns.",
        )
    return source


def _length(value: float | str | timedelta | None, option: str) -> float | None:
    return None if value is None else parse_seconds(value, option)


def _check(workflow: Workflow) -> None:
    names = [job.name for job in workflow.jobs]
    if not workflow.name:
        raise DeclarationError("a workflow needs a name")
    require_short(name=workflow.name)
    if not names:
        raise DeclarationError("a workflow needs at least one job")
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"two jobs are named {name!r}", hint="List each job once, under a name of its own.")
    check_queueing(workflow.pool, workflow.priority)
    if workflow.catchup not in _CATCHUPS:
        raise DeclarationError(f"unknown catchup {workflow.catchup!r}", hint=near(workflow.catchup, _CATCHUPS))
    if cycle := find_cycle(workflow.graph()):
        raise DeclarationError(f"jobs depend on each other in a circle: {' -> '.join(cycle)}")
    _check_conditions(workflow)


def _check_conditions(workflow: Workflow) -> None:
    waits = workflow.trigger is not None or workflow.schedule is not None
    if workflow.messages is not None and waits:
        raise DeclarationError(
            "on_message excludes schedule and triggered_by", hint="Make two workflows of it, with the same jobs."
        )
    if workflow.messages is None and not waits:
        together = " ".join(job.name for job in workflow.jobs)
        raise DeclarationError(
            "nothing sets it off",
            hint="Add schedule='0 2 * * *', triggered_by=['...'] or on_message=ematix.inbox(...). "
            f"Jobs that are started by hand need no workflow: `flow run {together}`.",
        )
