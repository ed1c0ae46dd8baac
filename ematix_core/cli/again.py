"""`flow runs rerun` and `flow runs restart`: a run once more, whole or from where it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ematix_core.cli.execution import execute, execution_options, keep_logs
from ematix_core.cli.history import RUN_HELP, find, history, id_of, is_open, name_of
from ematix_core.cli.loading import load
from ematix_core.cli.options import project_options
from ematix_core.errors import ProjectError, StoreError
from ematix_core.model.workflow import Workflow
from ematix_core.scheduler.restart import done_in, rerun_of, restart_of
from ematix_core.store.records import Run, Status, WorkflowRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.model.job import Job
    from ematix_core.model.project import Project
    from ematix_core.store.protocol import RunStore

RERUN_EXAMPLES = """\
\b
flow runs rerun 20261129T065342-1a2b3c4d   a run by its id
flow runs rerun nightly                    the latest run of a workflow
"""
RESTART_EXAMPLES = """\
\b
flow runs restart nightly                  the latest run of a workflow, from the failed step
"""


@click.command("rerun", epilog=f"{RERUN_EXAMPLES}\n{RUN_HELP}")
@click.argument("run", metavar="RUN")
@execution_options
@project_options
def rerun(*, run: str, modules: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - handed on to execute
    """Run a job or workflow again as it ran: the same slice, parameters and message.

    It is a new run, in this process, of what is declared now. A plain append adds its rows once more.
    """
    with history() as store:
        record = find(store, run)
        _refuse_open(record)
        parameters = _parameters(store, record)
    _start(record, modules, options, parameters=parameters, trigger=rerun_of(id_of(record)))


@click.command("restart", epilog=f"{RESTART_EXAMPLES}\n{RUN_HELP}")
@click.argument("run", metavar="RUN")
@execution_options
@project_options
def restart(*, run: str, modules: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - handed on to execute
    """Run a workflow run again from the failed step: what succeeded in it is not run once more.

    For one that failed, was cancelled or was interrupted. The new run has the same slice, parameters and message.
    """
    with history() as store:
        record = find(store, run)
        if isinstance(record, Run):
            raise _of_one_job(record)
        _refuse_open(record)
        if record.status is Status.SUCCEEDED:
            raise StoreError(
                f"run {record.workflow_run_id} of {name_of(record)} succeeded: nothing of it is left to do",
                hint=f"Run all of it once more: flow runs rerun {record.workflow_run_id}",
            )
        done = done_in(store, record)
    _start(
        record, modules, options, parameters=record.parameters, trigger=restart_of(record.workflow_run_id), done=done
    )


def _start(
    record: Run | WorkflowRun,
    modules: tuple[str, ...],
    options: Mapping[str, Any],
    **again: Any,  # noqa: ANN401 - handed on to execute
) -> None:
    keep_logs()
    project, _ = load([], modules)
    try:
        work = _work(record, project)
    except ProjectError as error:
        raise error.at(f"run {id_of(record)}") from None
    jobs = work.jobs if isinstance(work, Workflow) else work
    execute(work, jobs, project, slice=record.slice, **again, **options)


def _work(record: Run | WorkflowRun, project: Project) -> Workflow | tuple[Job, ...]:
    """Return what is declared now of what ran then. Raises ProjectError when it no longer is."""
    if isinstance(record, Run):
        return (project.job(record.job),)
    if record.workflow in project.workflows:
        return project.workflows[record.workflow]
    if record.unit and record.workflow not in project.jobs:
        return project.workflow(record.workflow)
    return tuple(project.job(name) for name in record.jobs or record.workflow.split(", "))


def _parameters(store: RunStore, record: Run | WorkflowRun) -> Mapping[str, Any]:
    if isinstance(record, WorkflowRun):
        return record.parameters
    return store.workflow_run(record.workflow_run_id).parameters if record.workflow_run_id else {}


def _refuse_open(record: Run | WorkflowRun) -> None:
    if is_open(record):
        raise StoreError(
            f"run {id_of(record)} of {name_of(record)} is still running",
            hint=f"Wait for it: flow runs watch {id_of(record)}; or stop it: flow runs cancel {id_of(record)}",
        )


def _of_one_job(record: Run) -> StoreError:
    whole = record.workflow_run_id
    return StoreError(
        f"run {record.run_id} is of one job, {record.job}, which has no steps",
        hint=f"Run it again: flow runs rerun {record.run_id}"
        + (f"; or go on with the workflow run that it belongs to: flow runs restart {whole}" if whole else ""),
    )
