"""`flow plan`: every statement that a run would execute, with the reason for each choice."""

from __future__ import annotations

import click

from ematix_core.cli.loading import load
from ematix_core.cli.options import names_argument, project_options
from ematix_core.cli.output import print_json
from ematix_core.cli.select import GRAMMAR, select_some


@click.command("plan", epilog=GRAMMAR)
@names_argument
@project_options
def plan(names: tuple[str, ...], modules: tuple[str, ...], *, as_json: bool) -> None:
    """Show what a run would do, and why, without doing it.

    Connects to read the source's columns and the target's tables; changes nothing. Without NAME: all jobs.
    """
    project, patterns = load(names, modules)
    chosen = select_some(project.jobs, project.workflows, patterns)
    from ematix_core.engine import plan_job

    plans = [plan_job(job, project) for job in chosen.jobs]
    if as_json:
        print_json({"plans": [one.to_dict() for one in plans]})
    else:
        click.echo("\n\n".join(str(one) for one in plans))
