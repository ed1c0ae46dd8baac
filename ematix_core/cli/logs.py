"""`flow logs`: what a run logged."""

from __future__ import annotations

import click

from ematix_core.cli.history import RUN_HELP, find_runs, history
from ematix_core.cli.options import output_options
from ematix_core.cli.output import local_time, print_json


@click.command("logs", epilog=RUN_HELP)
@click.argument("run", default="", metavar="[RUN]")
@output_options
def logs(*, run: str, as_json: bool) -> None:
    """Print the log of a run."""
    with history() as store:
        found = [(one, store.logs(one.run_id)) for one in find_runs(store, run)]
    lines = [
        {"at": line.at, "level": line.level, "job": one.job, "run_id": one.run_id, "message": line.message}
        for one, logged in found
        for line in logged
    ]
    if as_json:
        print_json({"lines": lines})
        return
    for one, logged in found:
        name = f" {one.job}:" if len(found) > 1 else ""
        for line in logged:
            click.echo(f"{local_time(line.at)} {line.level:<7}{name} {line.message}")
        if not logged:
            click.echo(f"run {one.run_id} of {one.job} ({one.status}) logged nothing", err=True)
