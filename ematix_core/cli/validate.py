"""`flow validate`: load the project and say whether it holds together."""

from __future__ import annotations

import click

from ematix_core.cli.loading import counts, load, modules_here, tally
from ematix_core.cli.options import project_options
from ematix_core.cli.output import print_json
from ematix_core.config.connections import find_connection
from ematix_core.config.settings import Settings
from ematix_core.errors import EmatixError, ProjectError, near


@click.command("validate")
@click.argument("names", nargs=-1, metavar="[FILE|MODULE]")
@project_options
def validate(names: tuple[str, ...], modules: tuple[str, ...], *, as_json: bool) -> None:
    """Check the declarations without connecting to anything.

    Names, dependencies, schedules, keys, options: whatever is wrong is an error, with exit code 2.
    """
    project, unknown = load(names, modules)
    known = [*project.jobs, *project.workflows, *project.streams]
    for name in unknown:
        if name not in known:
            raise ProjectError(
                f"no module, job, workflow or stream is named {name!r}", hint=near(name, [*known, *modules_here()])
            )
    settings = Settings.load()
    for name, jobs in project.unresolved_connections().items():
        try:
            find_connection(name, project.connections, settings)
        except EmatixError as error:
            raise error.at(f"used by {', '.join(jobs)}") from None
    if as_json:
        print_json({"valid": True, **counts(project)})
    else:
        click.echo(f"ok: {tally(project)}")
