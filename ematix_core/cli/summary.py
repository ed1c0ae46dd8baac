"""What `flow run` says when it is over: a table on stdout, warnings and causes on stderr."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli import failure
from ematix_core.cli.exit_codes import FAILED, INTERRUPTED, OK
from ematix_core.cli.output import print_table, styled_status
from ematix_core.engine.result import COUNTS
from ematix_core.model.connection import mask

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ematix_core.cli.lines import Lines
    from ematix_core.engine.result import JobOutcome, RunResult, WorkflowResult
    from ematix_core.errors import EmatixError
    from ematix_core.model.job import Job

HEADERS = ("job", "status", "mode", "rows read", *COUNTS, "seconds", "rows/s")


def exit_code(result: WorkflowResult) -> int:
    """Return 0 when every job succeeded, 130 when the run was cancelled, else 1."""
    return {"succeeded": OK, "cancelled": INTERRUPTED}.get(result.status, FAILED)


def as_data(result: WorkflowResult) -> dict[str, Any]:
    """Return the result as plain data, with passwords in error texts masked."""
    data = result.to_dict()
    return data | {"jobs": [job | {"error": mask(job["error"])} for job in data["jobs"]]}


def print_summary(result: WorkflowResult, jobs: Iterable[Job]) -> None:
    """Print one row a job, with a row below it for each of several targets, and a closing line.

    `jobs` tell the modes of those that failed or did not run.
    """
    declared = {job.name: _joined(target.mode.name for target in job.targets) for job in jobs}
    print_table(HEADERS, [row for outcome in result.outcomes for row in _rows(outcome, declared.get(outcome.job))])
    tally = [
        f"{n} {status}" for status in ("succeeded", "failed", "skipped", "cancelled") if (n := _count(result, status))
    ]
    click.echo(f"{', '.join(tally)} in {result.seconds:.2f} s · run {result.workflow_run_id}")


def complain(result: WorkflowResult, watch: Lines, *, debug: bool) -> None:
    """Print warnings, then the cause of each failure, then what a cancelled run leaves behind, on stderr."""
    for outcome in result.outcomes:
        if outcome.result:
            for warning in _warnings(outcome.result):
                click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {outcome.job}: {warning}", err=True)
    for outcome in result.outcomes:
        if outcome.status == "failed":
            click.echo(cause(outcome, watch.errors.get(outcome.job), debug=debug), err=True)
    if result.status == "cancelled":
        click.echo(_cancelled(result, watch.begun), err=True)


def _joined(modes: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(modes))


def _rows(outcome: JobOutcome, declared: str | None) -> Iterator[tuple[Any, ...]]:
    run = outcome.result
    if run is None:
        yield (outcome.job, styled_status(outcome.status), declared, *[None] * (len(HEADERS) - 3))
        return
    modes = _joined(target.mode for target in run.targets)
    counts = [getattr(run, name) for name in COUNTS]
    rate = round(run.rows_per_second)
    yield (outcome.job, styled_status(outcome.status), modes, run.rows_read, *counts, run.seconds, rate)
    if len(run.targets) > 1:
        for target in run.targets:
            each = [getattr(target, name) for name in COUNTS]
            yield (f"  {target.target}", "", target.mode, target.rows_read, *each, None, None)


def _count(result: WorkflowResult, status: str) -> int:
    return sum(outcome.status == status for outcome in result.outcomes)


def _warnings(run: RunResult) -> Iterator[str]:
    for target in run.targets:
        yield from target.warnings
        if target.quarantined:
            yield f"{target.quarantined:,} rows of {target.target} went to its quarantine table"
        if target.repeated:
            yield f"{target.target} had this load already; the counts are those of that load"


def cause(outcome: JobOutcome, error: EmatixError | None, *, debug: bool) -> str:
    """Return why a job failed: the traceback of the user's own code, if there is one, and the error."""
    if error is None:
        return mask(f"{click.style('error:', fg='red', bold=True)} {outcome.error} (job {outcome.job})")
    trace = mask("".join(traceback.format_exception(error))) if debug else failure.users_trace(error)
    return "\n".join(part for part in (trace.rstrip(), failure.text(error.at(f"job {outcome.job}"))) if part)


def _cancelled(result: WorkflowResult, begun: Collection[str]) -> str:
    stopped = [one.job for one in result.outcomes if one.status == "cancelled" and one.job in begun]
    done = [outcome.job for outcome in result.outcomes if outcome.status == "succeeded"]
    if not done:
        left = f"{', '.join(stopped)} rolled back; " if stopped else ""
        return f"cancelled: {left}nothing of this run is in the target"
    left = f"{', '.join(stopped)} rolled back, nothing of it is in the target; " if stopped else ""
    return f"cancelled: {left}{', '.join(done)} had finished before"
