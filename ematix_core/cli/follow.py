"""`flow runs watch`: how runs go that are under way, until they end."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ematix_core.cli.exit_codes import FAILED, INTERRUPTED
from ematix_core.cli.history import RUN_HELP, as_data, find, history, id_of, is_open, jobs_of
from ematix_core.cli.options import output_options
from ematix_core.cli.output import print_json, styled_status
from ematix_core.cli.watch import draws
from ematix_core.cli.watched import Watched, state
from ematix_core.store.records import Run, Status, WorkflowRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ematix_core.store.protocol import RunStore

EVERY = 0.5
"""Seconds between two looks."""
EXAMPLES = """\
\b
flow runs watch            everything that runs now, whoever started it
flow runs watch nightly    the latest run of a workflow
"""


@click.command("watch", epilog=f"{EXAMPLES}\n{RUN_HELP}")
@click.argument("run", default="", metavar="[RUN]")
@output_options
def watch(*, run: str, as_json: bool) -> None:
    """Follow a run until it ends; without RUN, everything that runs.

    On a terminal as a table, else as a line for each change. Ctrl-C stops only the watching. Exit code 1 when a
    run did not succeed.
    """
    context = click.get_current_context()
    with history() as store:
        look = _Look(store, find(store, run) if run else None)
        try:
            with _display(as_json=as_json) as show:
                show(found := look())
                while any(is_open(one.record) for one in found):
                    time.sleep(EVERY)
                    show(found := look())
        except KeyboardInterrupt:
            click.echo("\nno longer watching; what runs goes on", err=True)
            context.exit(INTERRUPTED)
    if as_json:
        whole = [as_data(one.record) for one in found if isinstance(one.record, WorkflowRun)]
        runs = [as_data(record) for one in found for _, record in one.named() if isinstance(record, Run)]
        print_json({"workflow_runs": whole, "runs": runs})
    elif not found:
        click.echo("nothing runs")
    if any(one.record.status is not Status.SUCCEEDED for one in found):
        context.exit(FAILED)


@dataclass
class _Look:
    """Reads what is watched: one run, or whatever has been open since the first look."""

    store: RunStore
    only: Run | WorkflowRun | None
    _found: dict[str, Watched] = field(default_factory=dict)

    def __call__(self) -> list[Watched]:
        opened = [self.only] if self.only else self._open()
        for record in opened:
            self._found.setdefault(id_of(record), Watched(record))
        for run_id, one in self._found.items():
            if is_open(one.record) or not one.jobs:
                self._found[run_id] = self._again(one.record)
        return list(self._found.values())

    def _open(self) -> list[Run | WorkflowRun]:
        groups = self.store.workflow_runs(status=Status.RUNNING, limit=None)
        known = {run.workflow_run_id for run in groups} | set(self._found)
        alone = (run for run in self.store.runs(status=Status.RUNNING, limit=None) if run.workflow_run_id not in known)
        return sorted([*groups, *alone], key=lambda record: record.started_at)

    def _again(self, record: Run | WorkflowRun) -> Watched:
        if isinstance(record, Run):
            return Watched(self.store.run(record.run_id))
        whole = self.store.workflow_run(record.workflow_run_id)  # before its jobs: once it has ended, so have they
        return Watched(whole, tuple(jobs_of(self.store, whole)))


@contextmanager
def _display(*, as_json: bool) -> Iterator[Callable[[list[Watched]], None]]:
    """Yield what shows the state of things: a table that is drawn again, or lines for what has changed."""
    if as_json or not draws(sys.stdout):
        yield _Changes(to_stderr=as_json)
        return
    from ematix_core.cli.board import Board

    with Board() as board:
        yield board.show


@dataclass
class _Changes:
    """Prints a line for each record whose status has changed."""

    to_stderr: bool
    _said: dict[str, str] = field(default_factory=dict)

    def __call__(self, found: list[Watched]) -> None:
        for one in found:
            for name, record in one.named():
                status = f"{record.status} {record.cancel_requested}"
                if self._said.get(id_of(record)) != status:
                    self._said[id_of(record)] = status
                    self._say(name, record)

    def _say(self, name: str, record: Run | WorkflowRun) -> None:
        time_of_day = f"{datetime.now().astimezone():%H:%M:%S}"
        detail = state(record) or f"run {id_of(record)}"
        click.echo(f"{time_of_day} {name}: {styled_status(record.status)}, {detail}", err=self.to_stderr)
