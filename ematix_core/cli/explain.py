"""`flow explain`: why a workflow or job runs, or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ematix_core.cli.history import history
from ematix_core.cli.loading import load_good
from ematix_core.cli.moments import moment_option
from ematix_core.cli.options import project_options
from ematix_core.cli.output import print_json
from ematix_core.cli.pause import UNIT_HELP, units_argument
from ematix_core.engine.environment import now as current_time
from ematix_core.errors import ProjectError, near
from ematix_core.model.unit import units
from ematix_core.store.records import SCHEDULER_LEASE, Event, EventKind, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ematix_core.model.project import Project


@click.command("explain", epilog=UNIT_HELP)
@units_argument
@moment_option("--now", "Explain how it stands at this moment, with what is known by now.")
@project_options
def explain(*, names: tuple[str, ...], now: datetime | None, modules: tuple[str, ...], as_json: bool) -> None:
    """Say why a workflow or a job runs, or does not run.

    For each condition: whether it is met, since when, and by what; then what will happen next. From what the store
    knows, as the scheduler decides. What is broken of the project is left out, as a scheduler does.
    """
    from ematix_core.scheduler.triggers import Triggers

    project, wanted, problems = load_good(names, modules)
    if not wanted:
        raise click.UsageError("Name a workflow or job.")
    known = {unit.name: unit for unit in units(project)}
    for name in wanted:
        if name not in known:
            raise _unknown(name, known, project, problems)
    triggers = Triggers(known.values())
    moment = now or current_time()
    with history() as store:
        last = 0
        for event in store.events():
            triggers.apply(event)
            last = event.id
        away = store.downtime(SCHEDULER_LEASE, moment)
        lost = {name: store.workflow_runs(workflow=name, status=Status.INTERRUPTED, limit=None) for name in wanted}
    if away is not None:  # as a scheduler notes that begins now
        triggers.apply(Event(last + 1, EventKind.GAP, "", moment, started_at=away))
    found = [triggers.explain(name, moment, of_dead) for name, of_dead in lost.items()]
    if as_json:
        print_json({"units": [one.to_dict() for one in found], "left_out": problems})
    else:
        click.echo("\n\n".join(map(str, found)))


def _unknown(name: str, known: Iterable[str], project: Project, problems: tuple[str, ...]) -> ProjectError:
    """Return the error that says what the name is instead, or what was left out."""
    if name in project.jobs:
        homes = [workflow.name for workflow in project.workflows.values() if name in workflow.graph()]
        hint = f"It runs in: {', '.join(homes)}." if homes else "Give it schedule= or depends_on=."
        return ProjectError(f"{name!r} is nothing that a scheduler starts by itself", hint=hint)
    if name in project.streams:
        return ProjectError(f"{name!r} is a stream, which no trigger starts", hint=f"See: flow streams show {name}")
    left_out = ["Left out of the project:", *problems] if problems else []
    return ProjectError(f"no workflow or job is named {name!r}", hint="\n".join([near(name, known), *left_out]))
