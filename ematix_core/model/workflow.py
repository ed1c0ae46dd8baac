"""Workflows: jobs that run together in the order of their dependencies, and what sets them off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ematix_core.errors import DeclarationError, near
from ematix_core.model.graph import find_cycle, levels
from ematix_core.model.job import Job
from ematix_core.model.options import explained, listed, tags_of
from ematix_core.model.schedule import Schedule
from ematix_core.model.trigger import AnyOf, Named, Trigger, TriggerLike, parse_trigger

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    on_message: str = ""
    catchup: Catchup = "latest"
    pool: str = ""
    priority: int = 0
    tags: tuple[str, ...] = ()
    owner: str = ""
    description: str = field(default="", compare=False)

    def graph(self) -> dict[str, tuple[str, ...]]:
        """Return each job's name with the jobs of this workflow that it depends on."""
        inside = {job.name for job in self.jobs}
        return {job.name: tuple(name for name in job.depends_on if name in inside) for job in self.jobs}

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
        if self.on_message:
            conditions.append(f"on each message of {self.on_message}")
        line = "; ".join(conditions) or "by hand"
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
    on_message: str | Named | None = None,
    catchup: Catchup = "latest",
    pool: str = "",
    priority: int = 0,
    tags: Sequence[str] | str = (),
    owner: str = "",
    description: str = "",
    depends_on: None = None,
) -> Workflow:
    """Declare a workflow; without any condition it runs when somebody runs it.

    `schedule` (cron) and `timezone` (default UTC), `triggered_by` (names, workflows or jobs; a list means all of
    them): the workflow fires when all that is given holds. `on_message`: fires for each message of that stream, and
    excludes the others. `catchup`: which ticks missed in a downtime are made up for. `pool`, `priority`: limits
    shared with other runs. Dependencies stand on the jobs. Raises DeclarationError for options that contradict
    each other, for a job that is listed twice, and for jobs that depend on each other in a circle.
    """
    try:
        _refuse_dependencies(depends_on)
        made = Workflow(
            name=name, jobs=_checked_jobs(jobs), trigger=None if triggered_by is None else parse_trigger(triggered_by),
            schedule=Schedule.of(schedule, timezone), on_message=_stream_name(on_message), catchup=catchup, pool=pool,
            priority=priority, tags=tags_of(tags), owner=owner, description=description,
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


def _stream_name(stream: str | Named | None) -> str:
    return "" if stream is None else stream if isinstance(stream, str) else stream.name


def _check(workflow: Workflow) -> None:
    names = [job.name for job in workflow.jobs]
    if not workflow.name:
        raise DeclarationError("a workflow needs a name")
    if not names:
        raise DeclarationError("a workflow needs at least one job")
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"two jobs are named {name!r}", hint="List each job once, under a name of its own.")
    if workflow.on_message and (workflow.trigger is not None or workflow.schedule is not None):
        raise DeclarationError(
            "on_message excludes schedule and triggered_by", hint="Make two workflows of it, with the same jobs."
        )
    if workflow.catchup not in _CATCHUPS:
        raise DeclarationError(f"unknown catchup {workflow.catchup!r}", hint=near(workflow.catchup, _CATCHUPS))
    if cycle := find_cycle(workflow.graph()):
        raise DeclarationError(f"jobs depend on each other in a circle: {' -> '.join(cycle)}")
