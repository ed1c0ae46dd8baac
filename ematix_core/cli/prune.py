"""`flow runs prune`: deletes old runs from the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ematix_core.cli.history import history
from ematix_core.cli.moments import moment_option
from ematix_core.cli.options import output_options
from ematix_core.cli.output import local_time, print_json
from ematix_core.config.settings import Settings

if TYPE_CHECKING:
    from ematix_core.store.protocol import RunStore

EXAMPLES = """\
\b
flow runs prune                            what [store] keep says, for a line of cron
flow runs prune --before "90 days ago"     the same by hand
flow runs prune --keep 10000 --dry-run     how many there are beyond the latest 10,000
"""


@click.command("prune", epilog=EXAMPLES)
@moment_option(
    "--before", "Delete runs that ended before then: a date, a time, or '90 days ago'. Default: [store] keep ago."
)
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Delete runs that ended before the latest N began."
)
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
@output_options
def prune(*, before: datetime | None, keep: int | None, dry_run: bool, as_json: bool) -> None:
    """Delete old runs, with their attempts, logs and workflow runs.

    What triggers still look at (the last success, for one) stays, and so does all that runs. The targets are not
    touched: what is loaded, and up to where, stands beside the rows.
    """
    if before is not None and keep is not None:
        raise click.UsageError("--before and --keep exclude each other.")
    kept = Settings.load().keep
    if before is None and keep is None:
        if kept is None:
            raise click.UsageError("Say which runs: --before or --keep; or set [store] keep in ematix.toml.")
        before = datetime.now(UTC) - kept
    with history() as store:
        limit = before or _began(store, keep or 0)
        number = 0 if limit is None else _ended(store, limit) if dry_run else store.prune(limit)
    if as_json:
        print_json({"before": limit, "runs": number, "deleted": not dry_run})
    elif limit is None:
        click.echo(f"there are no more than {keep:,} runs: nothing to delete")
    else:
        what = f"{number:,} run{'' if number == 1 else 's'} that ended before {local_time(limit)}"
        click.echo(f"{what} would be deleted" if dry_run else f"deleted {what}")


def _began(store: RunStore, keep: int) -> datetime | None:
    """Return when the first of the runs to keep began; None when there are no others."""
    latest = store.runs(limit=keep)
    return latest[-1].started_at if len(latest) == keep else None


def _ended(store: RunStore, limit: datetime) -> int:
    runs = store.runs(until=limit, limit=None)
    return sum(run.finished_at is not None and run.finished_at < limit for run in runs)
