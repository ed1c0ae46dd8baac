"""`flow explain`: why a unit runs or does not, from what the store knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ematix_core.cli.moments import moment_option
from ematix_core.cli.options import project_options
from ematix_core.cli.output import print_json
from ematix_core.cli.scheduling import modules_of
from ematix_core.config.settings import Settings
from ematix_core.errors import ProjectError, near
from ematix_core.model.project import Project
from ematix_core.model.unit import units
from ematix_core.scheduler.triggers import Triggers
from ematix_core.store.opening import open_store

if TYPE_CHECKING:
    from ematix_core.model.unit import Unit


@click.command("explain")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@moment_option("--now", "Explain how it stands at this moment, with what is known today. Default: now.")
@project_options
def explain(*, names: tuple[str, ...], now: datetime | None, modules: tuple[str, ...], as_json: bool) -> None:
    """Say why a workflow or a job runs, or does not run.

    For each condition: met or missing, since when, and by which run; then what will happen next. NAME is a workflow, or
    a job with a schedule or dependencies of its own; without NAME: all of them.
    """
    settings = Settings.load()
    project, problems = Project.load_good(*modules_of(modules, settings))
    known = {unit.name: unit for unit in units(project)}
    wanted = [_known(name, known, project, problems) for name in names or known]
    with open_store(settings.store) as store:
        triggers = Triggers(known.values())
        for event in store.events():
            triggers.apply(event)
    moment = now or datetime.now(UTC)
    explanations = [triggers.explain(unit.name, moment) for unit in wanted]
    if as_json:
        print_json({"explanations": [one.to_dict() for one in explanations], "left_out": list(problems)})
    else:
        click.echo("\n\n".join(map(str, explanations)) or "nothing is declared that a scheduler could start")
    if not names and not as_json:
        for problem in problems:
            click.secho(f"left out: {problem}", fg="red", err=True)


def _known(name: str, known: dict[str, Unit], project: Project, problems: tuple[str, ...]) -> Unit:
    """Return the unit of a name. Raises ProjectError that says what the name is instead, or what was left out."""
    if name in known:
        return known[name]
    if name in project.jobs:
        homes = [workflow.name for workflow in project.workflows.values() if name in workflow.graph()]
        hint = f"It runs in: {', '.join(homes)}." if homes else "Give it schedule= or depends_on=, or start it by hand."
        raise ProjectError(f"nothing sets off the job {name!r} by itself", hint=hint)
    left_out = "\n".join(["Left out of the project:", *problems]) if problems else ""
    raise ProjectError(
        f"no workflow or job is named {name!r}", hint="\n".join(filter(None, [near(name, known), left_out]))
    )
