"""`flow runs`: what ran, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.history import RUN_HELP, find_runs, history, place
from ematix_core.cli.options import ListByDefault, output_options
from ematix_core.cli.output import local_time, print_json, print_table, styled_status
from ematix_core.store.records import Status

if TYPE_CHECKING:
    from ematix_core.store.records import Attempt, Run

COUNTS = ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")
HEADERS = ("run", "job", "status", "started", "seconds", *(name.replace("_", " ") for name in COUNTS))


@click.group("runs", cls=ListByDefault)
def runs() -> None:
    """List past runs; show one of them.

    Without a subcommand: list.
    """


@runs.command("list")
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only runs in this state.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many at most; the latest."
)
@output_options
def list_runs(*, jobs: tuple[str, ...], status: str | None, limit: int, as_json: bool) -> None:
    """List past runs, the latest first."""
    wanted = Status(status) if status else None
    with history() as store:
        found = [run for job in jobs or [None] for run in store.runs(job=job, status=wanted, limit=limit)]
    found = sorted(found, key=lambda run: run.started_at, reverse=True)[:limit]
    if as_json:
        print_json({"runs": [run_data(run) for run in found]})
    elif found:
        print_table(HEADERS, [_row(run) for run in found])
    else:
        click.echo(f"no such run in {place()}" if jobs or status else f"no run is recorded yet in {place()}")


@runs.command("show", epilog=RUN_HELP)
@click.argument("run", default="", metavar="[RUN]")
@output_options
def show(*, run: str, as_json: bool) -> None:
    """Show a run: attempts, counts, targets, plan hash, error."""
    with history() as store:
        found = [(one, store.attempts(one.run_id)) for one in find_runs(store, run)]
    if as_json:
        data = [run_data(one) | {"attempt_list": [_attempt_data(a) for a in attempts]} for one, attempts in found]
        print_json({"runs": data})
        return
    for number, (one, attempts) in enumerate(found):
        if number:
            click.echo()
        _print_run(one, attempts)


def run_data(run: Run) -> dict[str, Any]:
    """Return what a user wants to know of a run, as plain data: without the process's inner particulars."""
    inner = ("machine", "process_started", "heartbeat_at")
    return {key: value for key, value in run.to_dict().items() if key not in inner}


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    return {key: value for key, value in vars(attempt).items() if key != "run_id"}


def _row(run: Run) -> tuple[Any, ...]:
    counts = [getattr(run, name) for name in COUNTS]
    return (run.run_id, run.job, styled_status(run.status), run.started_at, run.seconds, *counts)


def _print_run(run: Run, attempts: list[Attempt]) -> None:
    counts = ", ".join(f"{getattr(run, name):,} {name.replace('_', ' ')}" for name in COUNTS)
    facts = {
        "run": run.run_id,
        "job": run.job,
        "status": styled_status(run.status),
        "trigger": run.trigger,
        "started with": run.workflow_run_id,
        "started": local_time(run.started_at),
        "finished": local_time(run.finished_at),
        "seconds": f"{run.seconds:.2f}",
        "counts": counts,
        "plan": run.plan_hash,
        "load": run.load_id,
        "process": f"{run.pid} on {run.host}",
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name.ljust(width)}  {value or '-'}")
    if len(attempts) > 1:
        click.echo()
        rows = [
            (a.number, styled_status(a.status), a.started_at, a.finished_at, a.error.partition("\n")[0] or "-")
            for a in attempts
        ]
        print_table(("attempt", "status", "started", "finished", "error"), rows)
    if run.error:
        click.echo(f"\n{run.error}")
