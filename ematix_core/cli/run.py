"""`flow run`: run jobs and workflows in this process."""

from __future__ import annotations

import click

from ematix_core.cli.execution import execute, execution_options, keep_logs
from ematix_core.cli.loading import load
from ematix_core.cli.options import names_argument, project_options
from ematix_core.cli.select import GRAMMAR, select_some

EXAMPLES = """\
\b
flow run                          everything in the modules of ematix.toml
flow run pipelines.py customers   one job of one file
flow run +revenue                 a job and all that it depends on
"""


@click.command("run", epilog=f"{EXAMPLES}\n{GRAMMAR}")
@names_argument
@click.option(
    "-s", "--select", "selected", multiple=True, metavar="NAME", help="As NAME; never taken for a module. Repeatable."
)
@execution_options
@project_options
def run(
    *,
    names: tuple[str, ...],
    selected: tuple[str, ...],
    parallel: int,
    lock_wait: float,
    modules: tuple[str, ...],
    verbose: bool,
    as_json: bool,
) -> None:
    """Run jobs and workflows: upstream first, independent jobs in parallel. Without NAME: all jobs.

    A job whose upstream failed is skipped; the others still run. Ctrl-C cancels and rolls back; pressed again, it
    leaves at once.
    """
    keep_logs()
    project, patterns = load(names, modules)
    chosen = select_some(project.jobs, project.workflows, [*patterns, *selected], project.streams)
    execute(
        chosen.workflow or chosen.jobs, chosen.jobs, project,
        verbose=verbose, as_json=as_json, parallel=parallel, lock_wait=lock_wait,
    )  # fmt: skip
