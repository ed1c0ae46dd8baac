"""`flow run-due`: one pass over what is due, for cron and CI."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ematix_core.cli.exit_codes import FAILED
from ematix_core.cli.options import module_option, output_options
from ematix_core.cli.output import print_json, print_table, styled_status
from ematix_core.cli.scheduling import (
    common_observers,
    log_lines,
    modules_of,
    report_problems,
    scheduler_for,
    scheduling_options,
)
from ematix_core.config.settings import Settings
from ematix_core.model.duration import parse_duration
from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.scheduler.due import DueRun
    from ematix_core.scheduler.observer import Observer
    from ematix_core.store import SchedulerStore

EXAMPLES = """\
\b
* * * * *  cd /srv/shop && flow run-due      one line of a crontab is all it takes
0 6 * * *  cd /srv/shop && flow run-due --every "1 day"
flow run-due --now 2026-03-29T02:00:00Z      what a scheduler would start at that instant
"""


@click.command("run-due", epilog=EXAMPLES)
@module_option
@scheduling_options
@click.option("--now", "instant", metavar="TIME", help="The instant, ISO 8601 with a zone. Default: now.")
@click.option(
    "--every",
    metavar="DURATION",
    default="30 minutes",
    show_default=True,
    help="How often it is called. Twice as long without a call is a downtime.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print a line for everything that happens on stderr.")
@output_options
def run_due(
    *,
    modules: tuple[str, ...],
    executor: str | None,
    parallel: int | None,
    lock_wait: float,
    instant: str | None,
    every: str,
    verbose: bool,
    as_json: bool,
) -> None:
    """Run what is due now, and what that sets off, then leave.

    The decisions are those of `flow scheduler`, also the very first one: a schedule counts from the moment when its
    workflow was first seen. A second pass for the same instant starts nothing. Exit code 1 when a run did not succeed.
    """
    from ematix_core.engine.environment import Environment
    from ematix_core.scheduler.due import Ends
    from ematix_core.scheduler.due import run_due as one_pass
    from ematix_core.scheduler.listening import Listening
    from ematix_core.scheduler.projects import load_snapshot

    settings = Settings.load()
    chosen = modules_of(modules, settings)
    moment = _instant(instant)
    absence = 2 * parse_duration(every, "--every").total_seconds()
    snapshot = load_snapshot(chosen, Path.cwd())
    report_problems(snapshot)
    if verbose:
        log_lines()
    told: list[tuple[Ends, Listening]] = []

    def observe(store: SchedulerStore) -> list[Observer]:
        told.append((Ends(store), Listening(store, Environment(settings=settings), background=False)))
        return [*told[0], *common_observers(store, settings, lambda: moment)]

    with scheduler_for(
        snapshot, chosen, settings, clock=lambda: moment, executor=executor, parallel=parallel, lock_wait=lock_wait,
        absence_seconds=absence, observe=observe,
    ) as (service, store):  # fmt: skip
        ends, listening = told[0]
        one_pass(service, store, listening)
        found = ends.outcomes()
    _print(found, moment, as_json=as_json)
    if any(one.status is not Status.SUCCEEDED for one in found):
        click.get_current_context().exit(FAILED)


def _print(found: Sequence[DueRun], moment: datetime, *, as_json: bool) -> None:
    if as_json:
        print_json({"now": moment, "runs": [one.to_dict() for one in found]})
    elif found:
        rows = [(one.unit, one.workflow_run_id, styled_status(one.status), "; ".join(one.cause)) for one in found]
        print_table(("workflow", "run", "status", "because"), rows)
        for one in found:
            if one.error:
                click.echo(f"\n{one.unit}: {one.error}", err=True)
    else:
        click.echo(f"nothing is due at {moment:%Y-%m-%d %H:%M:%S} UTC; see: flow explain WORKFLOW")


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter("write a time with a zone, such as 2026-03-29T02:00:00Z", param_hint="--now")
    return moment.astimezone(UTC)
