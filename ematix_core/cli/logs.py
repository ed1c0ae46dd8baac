"""`flow logs`: what a run logged, or what it logs right now."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.exit_codes import INTERRUPTED
from ematix_core.cli.history import RUN_HELP, find, history, id_of, is_open, jobs_of, name_of
from ematix_core.cli.moments import moment_option
from ematix_core.cli.options import output_options
from ematix_core.cli.output import local_time, print_json
from ematix_core.store.records import Run, Status

if TYPE_CHECKING:
    from datetime import datetime

    from ematix_core.store.protocol import RunStore
    from ematix_core.store.records import LogLine, WorkflowRun

EVERY = 0.5
"""Seconds between two looks for new lines."""
EXAMPLES = """\
\b
flow logs nightly --follow               all jobs of the run that is under way
flow logs orders --tail 20               the last lines of a job's latest run
flow logs nightly --since "1 hour ago"   what it has logged since then
"""


@click.command("logs", epilog=f"{EXAMPLES}\n{RUN_HELP} Default: the latest run.")
@click.argument("run", default="", metavar="[RUN]")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until the run ends. Ctrl-C stops only that.")
@moment_option("--since", "Only lines since then: a date, a time, or '2 hours ago'.")
@click.option(
    "--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines, and with --follow new ones."
)
@output_options
def logs(*, run: str, follow: bool, since: datetime | None, tail: int | None, as_json: bool) -> None:
    """Print the log of a run; of a workflow run the lines of all its jobs, by time.

    With `--follow --json` each line is a JSON document of its own.
    """
    with history() as store:
        record = find(store, run)
        new = _NewLines(store, record, since)
        if follow:
            _follow(store, record, new, tail, as_json=as_json)
            return
        lines = _last(new.read(), tail)
        silent = [one for one in new.runs if not new.seen[one.run_id] and one.status is not Status.SKIPPED]
    if as_json:
        print_json({"lines": [_data(one, line) for one, line in lines]})
        return
    for one, line in lines:
        click.echo(_text(one, line, named=not isinstance(record, Run)))
    for one in silent:
        click.echo(f"run {one.run_id} of {one.job} ({one.status}) logged nothing", err=True)


@dataclass
class _NewLines:
    """Reads the lines of a run, or of all runs of a workflow run, that have not been read before."""

    store: RunStore
    record: Run | WorkflowRun
    since: datetime | None
    runs: list[Run] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)

    def read(self) -> list[tuple[Run, LogLine]]:
        """Return the lines that are new, by time."""
        self.runs = jobs_of(self.store, self.record)
        lines = [(run, line) for run in self.runs for line in self._of_run(run.run_id)]
        return sorted(lines, key=lambda pair: pair[1].at)

    def _of_run(self, run_id: str) -> list[LogLine]:
        seen = self.seen.get(run_id, 0)
        new = self.store.logs(run_id, skip=seen)
        self.seen[run_id] = seen + len(new)
        return [line for line in new if self.since is None or line.at >= self.since]


def _follow(
    store: RunStore, record: Run | WorkflowRun, new: _NewLines, tail: int | None, *, as_json: bool
) -> None:  # fmt: skip
    try:
        while True:
            # The state first: what was logged until then is written, so that the last lines are not missed.
            record = store.run(record.run_id) if isinstance(record, Run) else store.workflow_run(id_of(record))
            for one, line in _last(new.read(), tail):
                text = (
                    json.dumps(_data(one, line), default=str)
                    if as_json
                    else _text(one, line, named=not isinstance(record, Run))
                )
                click.echo(text)
            tail = None
            if not is_open(record):
                break
            time.sleep(EVERY)
    except KeyboardInterrupt:
        click.echo("\nno longer following; the run goes on", err=True)
        click.get_current_context().exit(INTERRUPTED)
    click.echo(f"run {id_of(record)} of {name_of(record)}: {record.status}", err=True)


def _last(lines: list[tuple[Run, LogLine]], tail: int | None) -> list[tuple[Run, LogLine]]:
    return lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]


def _data(run: Run, line: LogLine) -> dict[str, Any]:
    return {
        "at": line.at.isoformat(), "level": line.level, "job": run.job, "run_id": run.run_id, "message": line.message,
    }  # fmt: skip


def _text(run: Run, line: LogLine, *, named: bool) -> str:
    return f"{local_time(line.at)} {line.level:<7}{f' {run.job}:' if named else ''} {line.message}"
