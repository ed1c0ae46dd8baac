"""Which jobs a command means: names, patterns, and what lies up- or downstream of them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ematix_core.errors import ProjectError, near

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ematix_core.model.job import Job
    from ematix_core.model.workflow import Workflow

GRAMMAR = """\
NAME is a job, a workflow (all its jobs) or a pattern: `crm_*`. `+NAME` adds everything upstream of it, `NAME+`
everything downstream, `+NAME+` both."""


@dataclass(frozen=True)
class Selection:
    """The selected jobs, in the project's order; `workflow` when exactly one workflow was asked for, as a whole."""

    jobs: tuple[Job, ...]
    workflow: Workflow | None = None


def select(jobs: Mapping[str, Job], workflows: Mapping[str, Workflow], patterns: Sequence[str]) -> Selection:
    """Return what the patterns select; without any, every job.

    Raises ProjectError for a name that nothing has and for a pattern that matches nothing.
    """
    if not patterns:
        return Selection(tuple(jobs.values()))
    if len(patterns) == 1 and patterns[0] in workflows:
        workflow = workflows[patterns[0]]
        return Selection(workflow.jobs, workflow)
    chosen: set[str] = set()
    for pattern in patterns:
        chosen |= _expand(pattern, jobs, workflows)
    return Selection(tuple(job for name, job in jobs.items() if name in chosen))


def select_some(
    jobs: Mapping[str, Job], workflows: Mapping[str, Workflow], patterns: Sequence[str], streams: Collection[str] = ()
) -> Selection:
    """Select as `select` does. Raises ProjectError when there is no job at all, and for a stream, which is no job."""
    for name in patterns:
        if name in streams:
            raise ProjectError(
                f"{name!r} is a stream", hint=f"Consume it: flow consume {name}. Its plan: flow streams show {name}."
            )
    if not jobs:
        raise ProjectError("the modules declare no job", hint="Decorate a function at the top of one with @ematix.job.")
    return select(jobs, workflows, patterns)


def _expand(pattern: str, jobs: Mapping[str, Job], workflows: Mapping[str, Workflow]) -> set[str]:
    upstream, downstream = pattern.startswith("+"), pattern.endswith("+")
    name = pattern.removeprefix("+").removesuffix("+")
    found = {job for job in jobs if fnmatchcase(job, name)}
    for workflow in workflows.values():
        if fnmatchcase(workflow.name, name):
            found |= {job.name for job in workflow.jobs}
    if not found:
        kind = "job or workflow matches" if any(c in name for c in "*?[") else "job or workflow is named"
        raise ProjectError(f"no {kind} {name!r}", hint=near(name, [*jobs, *workflows]))
    parents = {job.name: job.depends_on for job in jobs.values()}
    children = {name: [child for child, ups in parents.items() if name in ups] for name in jobs}
    result = set(found)
    if upstream:
        result |= _reach(found, parents)
    if downstream:
        result |= _reach(found, children)
    return result


def _reach(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    reached: set[str] = set()
    frontier = list(start)
    while frontier:
        for name in edges.get(frontier.pop(), ()):
            if name not in reached:
                reached.add(name)
                frontier.append(name)
    return reached
