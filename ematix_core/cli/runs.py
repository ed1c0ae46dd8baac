"""`flow runs`: what ran, and what became of it; and the commands that act on a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.again import rerun, restart
from ematix_core.cli.cancel import cancel
from ematix_core.cli.follow import watch
from ematix_core.cli.history import as_data, history, place, unknown
from ematix_core.cli.moments import moment_option
from ematix_core.cli.options import ListByDefault, output_options
from ematix_core.cli.output import print_json, print_table, styled_status
from ematix_core.cli.prune import prune
from ematix_core.cli.show import COUNTS, seconds_of, show, worked
from ematix_core.store.records import Status, WorkflowRun

if TYPE_CHECKING:
    from datetime import datetime

    from ematix_core.store.protocol import RunStore
    from ematix_core.store.records import Run

HEADERS = ("run", "job", "status", "started", "seconds", *(name.replace("_", " ") for name in COUNTS))
WORKFLOW_HEADERS = ("run", "workflow", "status", "started", "seconds", "trigger", "tick", "slice", "because")
EXAMPLES = """\
\b
flow runs list nightly --status failed           the failed runs of a workflow's jobs
flow runs list --since "2 hours ago"             what ran lately
flow runs list --workflows --since 2026-01-31    workflow runs, and why they ran
"""


@click.group("runs", cls=ListByDefault)
def runs() -> None:
    """List past runs; show, watch, cancel or repeat one of them.

    Without a subcommand: list.
    """


@dataclass(frozen=True)
class _Filters:
    names: tuple[str, ...]
    status: Status | None
    since: datetime | None
    until: datetime | None
    limit: int

    def runs(self, store: RunStore) -> list[Run]:
        """Return the latest runs that pass; a name is a job's, or a workflow's for the runs of all its jobs."""
        if not self.names:
            return store.runs(status=self.status, since=self.since, until=self.until, limit=self.limit)
        found = {run.run_id: run for name in self.names for run in self._named(store, name)}
        return sorted(found.values(), key=lambda run: run.started_at, reverse=True)[: self.limit]

    def _named(self, store: RunStore, name: str) -> list[Run]:
        if of_job := store.runs(job=name, status=self.status, since=self.since, until=self.until, limit=self.limit):
            return of_job
        groups = store.workflow_runs(workflow=name, since=self.since, until=self.until, limit=self.limit)
        inside = (run for one in groups for run in store.runs(workflow_run_id=one.workflow_run_id, limit=None))
        return [run for run in inside if self.status in {None, run.status}]

    def workflow_runs(self, store: RunStore) -> list[WorkflowRun]:
        """Return the latest workflow runs that pass."""
        found = [
            run
            for name in self.names or [None]
            for run in store.workflow_runs(
                workflow=name, status=self.status, since=self.since, until=self.until, limit=self.limit
            )
        ]
        return sorted(found, key=lambda run: run.started_at, reverse=True)[: self.limit]


@runs.command("list", epilog=EXAMPLES)
@click.argument("names", nargs=-1, metavar="[JOB|WORKFLOW]...")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only runs in this state.")
@moment_option("--since", "Only runs that began then or later: a date, a time, or '2 hours ago'.")
@moment_option("--until", "Only runs that began before then.")
@click.option("-w", "--workflows", is_flag=True, help="List workflow runs: what set them off, and what came of them.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many at most; the latest."
)
@output_options
def list_runs(
    *,
    names: tuple[str, ...],
    status: str | None,
    since: datetime | None,
    until: datetime | None,
    workflows: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List past runs, the latest first."""
    filters = _Filters(names, Status(status) if status else None, since, until, limit)
    with history() as store:
        found = filters.workflow_runs(store) if workflows else filters.runs(store)
        hint = "" if found else unknown(store, names)
    if as_json:
        print_json({"workflow_runs" if workflows else "runs": [as_data(run) for run in found]})
    elif found:
        rows = [_workflow_row(run) if isinstance(run, WorkflowRun) else _row(run) for run in found]
        print_table(WORKFLOW_HEADERS if workflows else HEADERS, rows)
    elif names or status or since or until:
        click.echo(f"no such run in {place()}{f'. {hint}' if hint else ''}")
    else:
        click.echo(f"no run is recorded yet in {place()}")


for command in (show, watch, cancel, rerun, restart, prune):
    runs.add_command(command)


def _row(run: Run) -> tuple[Any, ...]:
    counts = [getattr(run, name) for name in COUNTS]
    return (run.run_id, run.job, styled_status(run.status), run.started_at, worked(run), *counts)


def _workflow_row(run: WorkflowRun) -> tuple[Any, ...]:
    return (
        run.workflow_run_id, run.workflow, styled_status(run.status), run.started_at, seconds_of(run), run.trigger,
        run.tick, run.slice or None, "; ".join(run.cause) or None,
    )  # fmt: skip
