"""`flow runs cancel`: asks whoever runs them to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ematix_core.cli.exit_codes import FAILED
from ematix_core.cli.history import RUN_HELP, find, history, id_of, is_open, name_of
from ematix_core.cli.options import output_options
from ematix_core.cli.output import local_time, print_json
from ematix_core.store.records import Run, Status

if TYPE_CHECKING:
    from ematix_core.store.records import WorkflowRun

EXAMPLES = """\
\b
flow runs cancel nightly              the run of a workflow that is under way
flow runs cancel 20261129T065342-1a   a run by the beginning of its id
"""


@click.command("cancel", epilog=f"{EXAMPLES}\n{RUN_HELP}")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@output_options
def cancel(*, runs: tuple[str, ...], as_json: bool) -> None:
    """Stop runs: each is rolled back and recorded as cancelled.

    Whoever runs them learns of it within seconds, on whatever host that is. What had been committed by then stays. Of
    a workflow run, all jobs stop, and those that wait do not start. Exit code 1 when one of them is not running.
    """
    with history() as store:
        records = {id_of(record): record for record in (find(store, run) for run in runs)}
        asked = {run_id: is_open(record) and store.cancel(run_id) for run_id, record in records.items()}
        now = {run_id: find(store, run_id) for run_id in records}
    if as_json:
        print_json({"runs": [{"run_id": i, "asked": asked[i], "status": now[i].status} for i in records]})
    for run_id, record in now.items():
        if not asked[run_id]:
            click.echo(f"{click.style('error:', fg='red', bold=True)} {_not_open(record)}", err=True)
        elif not as_json:
            click.echo(_what_comes(record))
    if not all(asked.values()):
        click.get_current_context().exit(FAILED)


def _not_open(record: Run | WorkflowRun) -> str:
    head = f"run {id_of(record)} of {name_of(record)} cannot be cancelled: "
    if record.status is Status.INTERRUPTED:
        return f"{head}its process is dead, and what it had not committed is rolled back"
    return f"{head}it {record.status} at {local_time(record.finished_at)}"


def _what_comes(record: Run | WorkflowRun) -> str:
    rest = "; the other jobs of its workflow run go on" if isinstance(record, Run) and record.workflow_run_id else ""
    return (
        f"run {id_of(record)} of {name_of(record)} is asked to stop: within seconds it rolls back and ends as "
        f"cancelled{rest}. See: flow runs watch {id_of(record)}"
    )
