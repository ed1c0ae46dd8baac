"""`flow perform-task`: carry out one task of a scheduler; what images and functions run."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ematix_core.cli.exit_codes import FAILED, OK
from ematix_core.cli.options import debug_option

if TYPE_CHECKING:
    from ematix_core.scheduler.protocols import Ending, Task

_SHORT = 900
"""Characters of a reason in the file: Kubernetes takes 4,096 bytes of it."""


@click.command("perform-task", hidden=True)
@click.argument("task", required=False)
@debug_option
def perform_task(*, task: str | None) -> None:
    """Carry out one task of a scheduler, given as JSON: as TASK, in EMATIX_TASK, or on standard input.

    Prints the ending as the last line, as JSON, and writes it to the file that EMATIX_ENDING names. Exits with 0 when
    the run succeeded, with 1 otherwise. SIGTERM rolls back, and the run is recorded as cancelled.
    """
    from ematix_core.engine.cancel import Cancellation
    from ematix_core.scheduler.executors.perform import perform
    from ematix_core.scheduler.executors.stopping import stoppable
    from ematix_core.store import Status

    wanted = _parse(task or os.environ.get("EMATIX_TASK") or sys.stdin.read())
    if wanted.directory:
        _enter(wanted.directory)
    faulthandler.enable(2)
    logging.getLogger().setLevel(logging.INFO)  # what a run logs is kept with it
    cancellation = Cancellation()
    with stoppable(cancellation):
        ending = perform(wanted, cancellation=cancellation)
    click.echo(json.dumps(ending.to_dict()))
    _write(ending)
    click.get_current_context().exit(OK if ending.status is Status.SUCCEEDED else FAILED)


def _parse(text: str) -> Task:
    from ematix_core.scheduler.protocols import Task

    try:
        return Task.from_dict(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise click.UsageError(f"This is no task: {text[:80]!r} ({type(error).__name__}: {error})") from error


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise click.UsageError(f"The task's folder {directory} cannot be entered: {error.strerror}") from error


def _write(ending: Ending) -> None:
    if place := os.environ.get("EMATIX_ENDING"):
        short = ending.to_dict() | {"reason": ending.reason[:_SHORT]}
        Path(place).write_text(json.dumps(short, ensure_ascii=False), encoding="utf-8")
