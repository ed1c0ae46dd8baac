"""`flow validate`: load the project and say whether it holds together."""

from __future__ import annotations

import click

from ematix_core.cli.loading import load
from ematix_core.cli.options import project_options
from ematix_core.cli.output import print_json


@click.command("validate")
@click.argument("names", nargs=-1, metavar="[PATH.py|MODULE]")
@project_options
def validate(names: tuple[str, ...], modules: tuple[str, ...], *, as_json: bool) -> None:
    """Check the declarations without connecting to anything.

    Names, dependencies, schedules, keys, options: whatever is wrong is an error, with exit code 2.
    """
    project, _ = load(names, modules)
    counts = {
        "jobs": len(project.jobs),
        "workflows": len(project.workflows),
        "connections": len(project.connections),
    }
    if as_json:
        print_json({"valid": True, **counts})
    else:
        click.echo("ok: " + ", ".join(f"{n} {kind if n != 1 else kind[:-1]}" for kind, n in counts.items()))
