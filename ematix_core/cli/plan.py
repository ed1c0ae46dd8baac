"""`flow plan`: every statement that a run would execute, with the reason for each choice."""

from __future__ import annotations

import click

from ematix_core.cli.loading import load
from ematix_core.cli.options import names_argument, project_options
from ematix_core.cli.output import print_json
from ematix_core.cli.select import GRAMMAR, select_some
from ematix_core.errors import ConnectError, MissingSourceError


@click.command("plan", epilog=GRAMMAR)
@names_argument
@project_options
def plan(names: tuple[str, ...], modules: tuple[str, ...], *, as_json: bool) -> None:
    """Show what a run would do, and why, without doing it.

    Connects to read the source's columns and the target's tables; changes nothing. Without NAME: all jobs.
    A job that reads a table which an earlier job has yet to make is planned once that one has run.
    """
    project, patterns = load(names, modules)
    chosen = select_some(project.jobs, project.workflows, patterns, project.streams)
    from ematix_core.engine import plan_job

    plans, waiting = [], {}
    for job in chosen.jobs:
        try:
            plans.append(plan_job(job, project))
        except (ConnectError, MissingSourceError) as error:
            if not job.depends_on:
                raise
            waiting[job.name] = str(error)
    if as_json:
        print_json({"plans": [one.to_dict() for one in plans], "waiting": waiting})
        return
    texts = [str(one) for one in plans]
    texts += [
        f"job {name}\n  cannot be planned yet: it reads what jobs before it make ({reason.splitlines()[0]})"
        for name, reason in waiting.items()
    ]
    click.echo("\n\n".join(texts))
