"""`flow run`: run jobs and workflows in this process."""

from __future__ import annotations

import logging

import click

from ematix_core.cli.interrupt import cancel_on_signal
from ematix_core.cli.loading import load
from ematix_core.cli.options import DEBUG, names_argument, project_options
from ematix_core.cli.output import print_json
from ematix_core.cli.select import GRAMMAR, select_some
from ematix_core.cli.summary import as_data, complain, exit_code, print_summary
from ematix_core.cli.watch import watching

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
@click.option(
    "-p", "--parallel", type=click.IntRange(min=1), default=4, show_default=True, help="Jobs that run at one time."
)
@click.option(
    "--lock-wait",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a database file that another process holds.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print a line for every step on stderr, instead of bars.")
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
    # What a run logs is kept with it; nothing is printed, as long as the user's modules configure no handler.
    logging.getLogger().setLevel(logging.INFO)
    project, patterns = load(names, modules)
    chosen = select_some(project.jobs, project.workflows, [*patterns, *selected])
    from ematix_core.engine import run_workflow

    with watching(verbose=verbose) as watch, cancel_on_signal(watch.cancelling):
        result = run_workflow(
            chosen.workflow or chosen.jobs, project, progress=watch, parallel=parallel, lock_wait=lock_wait
        )
    if as_json:
        print_json(as_data(result))
    else:
        print_summary(result, chosen.jobs)
    context = click.get_current_context()
    complain(result, watch, debug=context.meta.get(DEBUG, False))
    context.exit(exit_code(result))
