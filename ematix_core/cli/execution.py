"""Carrying out a run in the process of a command: its options, its progress, what it says at the end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ematix_core.cli.interrupt import cancel_on_signal
from ematix_core.cli.options import DEBUG
from ematix_core.cli.output import print_json
from ematix_core.cli.summary import as_data, complain, exit_code, print_summary
from ematix_core.cli.watch import watching

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ematix_core.model.job import Job
    from ematix_core.model.project import Project
    from ematix_core.model.workflow import Workflow

_Command = TypeVar("_Command", bound="Callable[..., Any]")

lock_wait_option = click.option(
    "--lock-wait",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a database file that another process holds.",
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Print a line for every step on stderr, instead of bars."
)


def execution_options(command: _Command) -> _Command:
    """Give a command `--parallel`, `--lock-wait` and `--verbose`."""
    parallel = click.option(
        "-p", "--parallel", type=click.IntRange(min=1), default=4, show_default=True, help="Jobs that run at one time."
    )
    return parallel(lock_wait_option(verbose_option(command)))


def keep_logs() -> None:
    """Let what runs log be kept with them; nothing is printed, as long as the user's modules configure no handler."""
    logging.getLogger().setLevel(logging.INFO)


def execute(
    work: Workflow | Sequence[Job],
    jobs: Sequence[Job],
    project: Project,
    *,
    verbose: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - handed on to run_workflow
) -> None:
    """Run the work, which has these jobs, say what came of it, and leave with the exit code."""
    from ematix_core.engine import run_workflow

    with watching(verbose=verbose) as watch, cancel_on_signal(watch.cancelling):
        result = run_workflow(work, project, progress=watch, **options)
    if as_json:
        print_json(as_data(result))
    else:
        print_summary(result, jobs)
    context = click.get_current_context()
    complain(result, watch, debug=context.meta.get(DEBUG, False))
    context.exit(exit_code(result))
