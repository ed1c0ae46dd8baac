"""`flow explain`: why a workflow or job runs, or does not."""

from __future__ import annotations

import click

from ematix_core.cli.history import history
from ematix_core.cli.loading import load
from ematix_core.cli.options import project_options
from ematix_core.cli.output import print_json
from ematix_core.cli.pause import UNIT_HELP, units_argument
from ematix_core.engine.environment import now
from ematix_core.errors import ProjectError, near
from ematix_core.model.unit import units


@click.command("explain", epilog=UNIT_HELP)
@units_argument
@project_options
def explain(*, names: tuple[str, ...], modules: tuple[str, ...], as_json: bool) -> None:
    """Say why a workflow or a job runs, or does not run.

    For each condition: whether it is met, since when, and by what; then what will happen next. From what the store
    knows, as the scheduler decides.
    """
    from ematix_core.scheduler.triggers import Triggers

    project, wanted = load(names, modules)
    if not wanted:
        raise click.UsageError("Name a workflow or job.")
    known = {unit.name: unit for unit in units(project)}
    for name in wanted:
        if name not in known:
            raise ProjectError(
                f"{name!r} is nothing that a scheduler starts by itself", hint=near(name, known) + f" {UNIT_HELP}"
            )
    triggers = Triggers(known.values())
    with history() as store:
        for event in store.events():
            triggers.apply(event)
    found = [triggers.explain(name, now()) for name in dict.fromkeys(wanted)]
    if as_json:
        print_json({"units": [one.to_dict() for one in found]})
    else:
        click.echo("\n\n".join(map(str, found)))
