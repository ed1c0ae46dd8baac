"""`flow runs show`: all that is recorded of a run, or of a workflow run and its jobs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.history import RUN_HELP, as_data, find, history, is_open, jobs_of
from ematix_core.cli.options import output_options
from ematix_core.cli.output import local_time, print_json, print_table, styled_status
from ematix_core.scheduler.restart import done_in
from ematix_core.store.process import whose
from ematix_core.store.records import WorkflowRun

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ematix_core.store.records import Attempt, Run

COUNTS = ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")
JOB_HEADERS = ("job", "status", "run", "started", "seconds", "attempts", "rows read", "because")


@click.command("show", epilog=RUN_HELP + " Default: the latest run.")
@click.argument("run", default="", metavar="[RUN]")
@output_options
def show(*, run: str, as_json: bool) -> None:
    """Show a run: attempts, counts, targets, plan hash, error; of a workflow run its jobs, and why it ran."""
    with history() as store:
        record = find(store, run)
        found = [(one, store.attempts(one.run_id)) for one in jobs_of(store, record)]
        before = _done_before(done_in(store, record), found) if isinstance(record, WorkflowRun) else []
    if as_json:
        data = [as_data(one) | {"attempt_list": [_attempt_data(a) for a in attempts]} for one, attempts in found]
        whole = {"workflow_run": as_data(record)} if isinstance(record, WorkflowRun) else {}
        print_json(whole | {"runs": data})
    elif isinstance(record, WorkflowRun):
        _print_workflow_run(record, [one for one, _ in found], before)
    else:
        _print_run(record, found[0][1])


def seconds_of(run: Run | WorkflowRun) -> float:
    """Return how long a run or workflow run took, from its beginning to its end; or has taken so far."""
    last_seen = datetime.now(UTC) if is_open(run) else run.heartbeat_at
    return ((run.finished_at or last_seen) - run.started_at).total_seconds()


def worked(run: Run) -> float:
    """Return how long a run was at work, without what it spent in queues; or how long ago it began."""
    return run.seconds if run.finished_at else seconds_of(run)


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    return {key: value for key, value in vars(attempt).items() if key != "run_id"}


def _done_before(done: Collection[str], found: list[tuple[Run, list[Attempt]]]) -> list[str]:
    return sorted(set(done) - {run.job for run, _ in found})


def _print_facts(facts: Mapping[str, Any], optional: Collection[str]) -> None:
    """Print a line for each fact; the optional ones only if there is something to say."""
    shown = {name: value for name, value in facts.items() if value or name not in optional}
    width = max(map(len, shown))
    for name, value in shown.items():
        lines = str(value or "-").splitlines()
        for number, line in enumerate(lines):
            click.echo(f"{('' if number else name).ljust(width)}  {line}")


def _print_run(run: Run, attempts: list[Attempt]) -> None:
    facts = {
        "run": run.run_id,
        "job": run.job,
        "status": styled_status(run.status),
        "trigger": run.trigger,
        "slice": run.slice,
        "started with": run.workflow_run_id,
        "started": local_time(run.started_at),
        "finished": local_time(run.finished_at),
        "seconds": f"{worked(run):.2f}",
        "counts": ", ".join(f"{getattr(run, name):,} {name.replace('_', ' ')}" for name in COUNTS),
        "plan": run.plan_hash,
        "load": run.load_id,
        "process": whose(run).removeprefix("process "),
    }
    _print_facts(facts, {"slice"})
    if len(attempts) > 1:
        click.echo()
        rows = [
            (a.number, styled_status(a.status), a.started_at, a.finished_at, a.error.partition("\n")[0] or "-")
            for a in attempts
        ]
        print_table(("attempt", "status", "started", "finished", "error"), rows)
    if run.error:
        click.echo(f"\n{run.error}")


def _print_workflow_run(run: WorkflowRun, jobs: list[Run], done_before: list[str]) -> None:
    facts = {
        "workflow run": run.workflow_run_id,
        "workflow": run.workflow,
        "status": styled_status(run.status)
        + (" (asked to stop)" if run.cancel_requested and not run.finished_at else ""),
        "trigger": run.trigger,
        "because": "\n".join(run.cause),
        "tick": run.tick and local_time(run.tick),
        "slice": run.slice,
        "parameters": "\n".join(f"{name} = {value}" for name, value in run.parameters.items()),
        "done before": ", ".join(done_before),
        "started": local_time(run.started_at),
        "finished": local_time(run.finished_at),
        "seconds": f"{seconds_of(run):.2f}",
        "process": whose(run).removeprefix("process "),
    }
    _print_facts(facts, {"because", "tick", "slice", "parameters", "done before"})
    if jobs:
        click.echo()
        print_table(JOB_HEADERS, [_job_row(one) for one in jobs])
    if run.error:
        click.echo(f"\n{run.error}")


def _job_row(run: Run) -> tuple[Any, ...]:
    return (
        run.job, styled_status(run.status), run.run_id, run.started_at, worked(run), run.attempts, run.rows_read,
        run.error.partition("\n")[0] or None,
    )  # fmt: skip
