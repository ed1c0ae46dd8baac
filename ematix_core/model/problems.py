"""What does not fit together in a project, each problem with the declarations that cannot be used because of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.errors import near
from ematix_core.model.graph import find_cycle
from ematix_core.model.unit import units

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ematix_core.model.unit import Declared


@dataclass(frozen=True)
class Problem:
    """One problem, in a sentence. `names`: the jobs and workflows that it is about."""

    text: str
    names: tuple[str, ...]


def is_outside(name: str) -> bool:
    """Say whether a trigger's name is the URI of something that another system tells of, such as `s3://lake/orders`."""
    return "://" in name


def problems(project: Declared, left_out: Collection[str] = ()) -> Iterator[Problem]:
    """Yield each problem of a project. `left_out`: jobs and workflows that it had and has no more.

    Who depends on one of these has a problem; who waits for its success just waits.
    """
    jobs, workflows = project.jobs, project.workflows
    for name in jobs:
        if name in workflows:
            yield Problem(
                f"{name!r} is the name of a job and of a workflow: triggers and commands could not tell them apart",
                (name,),
            )
    for name in getattr(project, "streams", ()):
        if name in jobs or name in workflows:
            yield Problem(f"{name!r} is the name of a stream and of a job or workflow", (name,))
    yield from _dependencies(project, left_out)
    known = [*jobs, *workflows]
    for workflow in workflows.values():
        for event in workflow.waits_for():
            if event not in known and event not in left_out and not is_outside(event):
                text = (
                    f"workflow {workflow.name} waits for {event!r}, which is no workflow or job. {near(event, known)}"
                )
                yield Problem(text, (workflow.name,))
    circle = find_cycle({job.name: job.depends_on for job in jobs.values()})
    if circle:
        yield Problem(f"jobs depend on each other in a circle: {' -> '.join(circle)}", circle[1:])
    if cycle := find_cycle({name: needs for name, needs in _unit_graph(project).items() if name not in circle}):
        kinds = "workflows" if all(name in workflows for name in cycle) else "workflows and jobs"
        yield Problem(f"{kinds} set each other off in a circle: {' -> '.join(cycle)}", cycle[1:])


def _dependencies(project: Declared, left_out: Collection[str]) -> Iterator[Problem]:
    for job in project.jobs.values():
        for upstream in job.depends_on:
            if upstream in left_out:
                yield Problem(f"job {job.name} depends on {upstream!r}, which is left out", (job.name,))
            elif upstream not in project.jobs:
                text = f"job {job.name} depends on {upstream!r}, which is no job. {near(upstream, project.jobs)}"
                yield Problem(text, (job.name,))
    for workflow in project.workflows.values():
        missing = [job.name for job in workflow.jobs if job.name not in project.jobs]
        if missing:
            yield Problem(f"workflow {workflow.name} has {', '.join(missing)}, which is left out", (workflow.name,))


def _unit_graph(project: Declared) -> dict[str, list[str]]:
    """Return each unit with the units that can set it off, themselves or through a job of theirs."""
    all_units = units(project)
    homes: dict[str, list[str]] = {unit.name: [unit.name] for unit in all_units}
    for unit in all_units:
        for job in unit.jobs:
            if job.name != unit.name:
                homes.setdefault(job.name, []).append(unit.name)
    return {unit.name: [home for name in unit.waits_for() for home in homes.get(name, [])] for unit in all_units}
