"""Carries out one task with the engine: what every executor ends in, wherever it runs."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ematix_core.config.settings import Settings
from ematix_core.engine.cancel import Cancellation, TimeoutExceededError
from ematix_core.engine.run import run_job
from ematix_core.errors import CancelledError, EmatixError, ProjectError, StoreError
from ematix_core.model.project import Project
from ematix_core.scheduler.protocols import Ending
from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.config.redact import Redactor
    from ematix_core.scheduler.protocols import Task
    from ematix_core.store import RunStore

_log = logging.getLogger(__name__)


def perform(
    task: Task,
    *,
    project: Project | None = None,
    settings: Settings | None = None,
    store: RunStore | None = None,
    cancellation: Cancellation | None = None,
    redactor: Redactor | None = None,
) -> Ending:
    """Carry out the task in this thread and return how it ended. Never raises.

    What is not given is found as the task says: its modules are loaded, its store is opened. `redactor` learns every
    secret that the run resolves. Without a status in the ending, the run's record is open, or was never begun.
    """
    cancellation = cancellation or Cancellation()
    found = False
    try:
        settings = settings or settings_of(task)
        project = project or load(task)
        job = project.job(task.job)
        found = True
        with _limit(cancellation, task.timeout):
            run_job(
                job, project, store=store, settings=settings, trigger=task.trigger, slice=task.slice,
                workflow_run_id=task.workflow_run_id, parameters=task.parameters, token=task.token,
                lock_wait=task.lock_wait, cancellation=cancellation, redactor=redactor,
            )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - whoever waits for the ending must get one
        return _ending(error, task, begun=found)
    return Ending(Status.SUCCEEDED)


def _ending(error: Exception, task: Task, *, begun: bool) -> Ending:
    """Return what an error means: with a status only where the run's own record has it."""
    match error:
        case CancelledError():
            return Ending(Status.CANCELLED, str(error))
        case StoreError():  # the run could not be begun, or its end could not be recorded
            return Ending(None, str(error))
        case EmatixError():
            return Ending(Status.FAILED if begun else None, str(error))
        case _:
            _log.error("job %s ended without a result", task.job, exc_info=error)
            return Ending(None, f"unexpected {type(error).__name__}: {error}")


def load(task: Task) -> Project:
    """Load what is good of the task's project, relative to the current folder. Raises ProjectError."""
    if not task.modules:
        raise ProjectError("the task names no modules", where=f"job {task.job}")
    project, problems = Project.load_good(*task.modules)
    if task.job not in project.jobs and problems:
        raise ProjectError("\n".join(problems), where=f"job {task.job}")
    return project


def settings_of(task: Task) -> Settings:
    """Return the settings that hold in the task's folder, with the task's store. Raises ConfigError."""
    settings = Settings.load(task.directory or ".")
    return replace(settings, environ={**settings.environ, "EMATIX_STORE": task.store}) if task.store else settings


@contextmanager
def _limit(cancellation: Cancellation, seconds: float | None) -> Iterator[None]:
    """Stop the whole run, not only an attempt, after so many seconds."""
    if seconds is None:
        yield
        return
    reason = TimeoutExceededError(
        f"the run was stopped after its limit of {seconds:g} s, all attempts together, and rolled back",
        hint="Raise the job's timeout=, or make the load smaller with a watermark.",
    )
    timer = threading.Timer(seconds, cancellation.cancel, [reason])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
