"""`flow backfill`: runs a workflow or a job for slices of the past."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, get_args

import click

from ematix_core.cli.execution import keep_logs, lock_wait_option, verbose_option
from ematix_core.cli.exit_codes import FAILED, INTERRUPTED, OK
from ematix_core.cli.interrupt import cancel_on_signal
from ematix_core.cli.loading import load
from ematix_core.cli.options import DEBUG, complete_names, project_options
from ematix_core.cli.output import print_json, print_table, styled_status
from ematix_core.cli.slices import named
from ematix_core.cli.summary import cause
from ematix_core.cli.watch import watching_slices
from ematix_core.config.settings import Settings
from ematix_core.errors import DeclarationError, ProjectError, near
from ematix_core.model.connection import mask
from ematix_core.model.slices import By, slices
from ematix_core.scheduler import backfill as filling
from ematix_core.scheduler.backfill import limits
from ematix_core.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ematix_core.cli.slices import SliceLines
    from ematix_core.model.job import Job
    from ematix_core.model.project import Project
    from ematix_core.model.workflow import Workflow
    from ematix_core.scheduler.backfill import BackfillResult, Part, SliceOutcome

EXAMPLES = """\
\b
flow backfill nightly --from 2026-01-01 --to 2026-02-01              January, a run for each day
flow backfill nightly --from 2026-01-01 --to 2026-02-01 --dry-run    which days that would be
flow backfill orders --from 0 --to 5_000_000 --by key --step 100000 --parallel 4
"""
HEADERS = ("slice", "status", "rows read", "inserted", "updated", "unchanged", "deleted", "closed", "seconds", "run")
_FEW = 3
"""So many slices are named where an error of many is told."""


@click.command("backfill", epilog=EXAMPLES)
@click.argument("names", nargs=-1, required=True, metavar="[FILE|MODULE] WORKFLOW|JOB", shell_complete=complete_names)
@click.option("--from", "start", required=True, metavar="START", help="Date, time or integer at which it begins.")
@click.option("--to", "end", required=True, metavar="END", help="Where it ends; END itself is not part of it.")
@click.option("--by", type=click.Choice(get_args(By)), default="day", show_default=True, help="What a slice is.")
@click.option(
    "--step",
    type=click.IntRange(min=1),
    metavar="N",
    help="Days, hours or keys in a slice. Default: 1; by key it has to be given.",
)
@click.option(
    "--timezone", metavar="ZONE", help="Whose days, and whose dates and times. Default: the schedule's, else UTC."
)
@click.option(
    "-p",
    "--parallel",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Slices that run at one time, as far as the pool's limit lets them.",
)
@click.option("--again", is_flag=True, help="Also run slices that have succeeded before.")
@click.option("--dry-run", is_flag=True, help="Only list the slices, and which of them would run.")
@lock_wait_option
@verbose_option
@project_options
def backfill(
    *, names: tuple[str, ...], start: str, end: str, by: By, step: int | None, timezone: str | None, parallel: int,
    again: bool, dry_run: bool, lock_wait: float, verbose: bool, modules: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Run a workflow or a job once for each slice of the past.

    SQL binds the slice's limits as `:slice_start` and `:slice_end` (times in UTC): `WHERE made_at >=
    :slice_start AND made_at < :slice_end`. A job with a watermark needs none of that: its watermark column is held
    to the slice.

    Slices that have succeeded are skipped, so the same command goes on where it was stopped or where slices
    failed; in those, jobs that have succeeded are not run again. A slice that fails does not stop the others.
    """
    project, wanted = load(names, modules)
    work = _work(wanted, project)
    settings = Settings.load()
    zone = timezone or (work.schedule.timezone if work.schedule else "UTC")
    try:
        cut = slices(by, start, end, zone=zone, step=step)
    except DeclarationError as error:
        raise error.at(f"backfill of {work.name}") from None
    with open_store(settings.store) as store:
        parts = filling.survey(cut, store.slices(work.name), again=again)
        if dry_run:
            _print_parts(work.name, parts, zone, as_json=as_json)
            return
        keep_logs()
        at_once = filling.room(work, parallel, settings.pools)
        if at_once[0] < parallel:
            click.echo(f"the limit of its pool lets {at_once[0]} of {parallel} slices run at one time", err=True)
        started = time.monotonic()
        due = sum(part.due for part in parts)
        with watching_slices(work.name, due, verbose=verbose) as watch, cancel_on_signal(watch.cancelling):
            result = filling.backfill(
                work, project, parts, store=store, settings=settings, watcher=watch, at_once=at_once, again=again,
                lock_wait=lock_wait,
            )  # fmt: skip
    _report(result, time.monotonic() - started, as_json=as_json)
    context = click.get_current_context()
    for text in _complaints(result, watch, again=again, debug=context.meta.get(DEBUG, False)):
        click.echo(text, err=True)
    context.exit(INTERRUPTED if result.interrupted else FAILED if result.left else OK)


def _work(wanted: Sequence[str], project: Project) -> Workflow | Job:
    if len(wanted) != 1:
        raise click.UsageError("Name one workflow or job.")
    (name,) = wanted
    found = project.workflows.get(name) or project.jobs.get(name)
    if found is None:
        raise ProjectError(
            f"no workflow or job is named {name!r}", hint=near(name, [*project.workflows, *project.jobs])
        )
    return found


def _print_parts(workflow: str, parts: Sequence[Part], zone: str, *, as_json: bool) -> None:
    if as_json:
        listed = [limits(part.slice) | {"status": part.before, "due": part.due} for part in parts]
        print_json({"workflow": workflow, "timezone": zone, "slices": listed})
        return
    rows = [
        (
            part.slice.name, _local(part.slice.start, zone), _local(part.slice.end, zone),
            styled_status(part.before) if part.before else None, "run" if part.due else "skip",
        )
        for part in parts
    ]  # fmt: skip
    print_table(("slice", "from", "to", "last run", "would"), rows)
    due = sum(part.due for part in parts)
    click.echo(f"{due:,} of {len(parts):,} slices would run")


def _report(result: BackfillResult, seconds: float, *, as_json: bool) -> None:
    """Say what became of the slices."""
    if as_json:
        document = [one.to_dict() | {"error": mask(one.error)} for one in result.slices]
        print_json({"workflow": result.workflow, "seconds": round(seconds, 3), "slices": document})
    else:
        _print_summary(result, seconds)


def _print_summary(result: BackfillResult, seconds: float) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            one.slice.name, styled_status(one.status), *(one.counts.values() if one.result else [None] * 6),
            one.seconds, one.result.workflow_run_id if one.result else None,
        )
        for one in result.slices
        if one.result or one.error not in {"done before", "not started"}
    ]  # fmt: skip
    if rows:
        print_table(HEADERS, rows)
    words = {"succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled", "running": "running elsewhere",
             "skipped": "done before"}  # fmt: skip
    tally = [f"{n:,} {word}" for status, word in words.items() if (n := result.count(status))]
    read = sum(one.counts["rows_read"] for one in result.slices)
    click.echo(f"{', '.join(tally)} of {len(result.slices):,} slices · {read:,} rows read in {seconds:.2f} s")


def _complaints(result: BackfillResult, watch: SliceLines, *, again: bool, debug: bool) -> Iterator[str]:
    """Yield the cause of each failure, told once for all slices that have it, and how to go on."""
    causes = defaultdict(list)
    for one in result.left:
        for text in _causes(one, watch, debug=debug):
            causes[text].append(one.slice.name)
    for text, failed in causes.items():
        more = f" and {len(failed) - _FEW} more" if len(failed) > _FEW else ""
        yield f"{', '.join(failed[:_FEW])}{more}:\n{text}"
    if result.left:
        what = "stopped, and what had not been committed is rolled back" if result.interrupted else "not all is done"
        first = limits(result.left[0].slice)["start"]
        yield f"{what}: {f'go on with --from {first}' if again else 'the same command goes on with what is left'}"


def _causes(outcome: SliceOutcome, watch: SliceLines, *, debug: bool) -> Iterator[str]:
    failed = [one for one in outcome.result.outcomes if one.status == "failed"] if outcome.result else []
    for one in failed:
        yield cause(one, watch.errors.get(named(outcome.slice.name, one.job)), debug=debug)
    if not outcome.result and outcome.status in {"failed", "running"}:
        yield mask(f"{click.style('error:', fg='red', bold=True)} {outcome.error}")


def _local(limit: datetime | int, zone: str) -> str:
    from ematix_core.model.schedule import zone_of

    return str(limit) if isinstance(limit, int) else limit.astimezone(zone_of(zone)).isoformat(" ", "minutes")
