"""What `flow scheduler` and `flow run-due` share: from options and settings to a Scheduler with its store."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ematix_core.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from ematix_core.config.settings import Settings
    from ematix_core.scheduler.observer import Observer
    from ematix_core.scheduler.projects import Snapshot
    from ematix_core.scheduler.service import Scheduler
    from ematix_core.store import SchedulerStore

_Command = TypeVar("_Command", bound="Callable[..., Any]")
_LINES = "%(asctime)s %(levelname)-7s %(message)s"


def scheduling_options(command: _Command) -> _Command:
    """Give a command the options that say where and how many jobs run."""
    for option in (
        click.option(
            "--executor",
            metavar="NAME|URL",
            help="Where jobs run: process (default), thread, kubernetes://..., lambda://..., https://...",
        ),
        click.option("-p", "--parallel", type=click.IntRange(min=1), help="Jobs that run at one time. Default: 8."),
        click.option(
            "--lock-wait",
            type=click.FloatRange(min=0),
            default=60.0,
            show_default=True,
            metavar="SECONDS",
            help="How long a job waits for a database file that another process holds.",
        ),
    ):
        command = option(command)
    return command


def modules_of(modules: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Return the modules that are meant. Raises ProjectError when there are none."""
    if chosen := tuple(modules) or settings.modules:
        return chosen
    raise ProjectError(
        "no modules are configured",
        hint='Pass --module NAME, or write\n[project]\nmodules = ["pipelines"]\ninto ematix.toml here.',
    )


@contextmanager
def scheduler_for(
    snapshot: Snapshot,
    modules: Sequence[str],
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    executor: str | None,
    parallel: int | None,
    lock_wait: float,
    lease_seconds: float | None = None,
    absence_seconds: float | None = None,
    observe: Callable[[SchedulerStore], Sequence[Observer]] = lambda _: (),
) -> Iterator[tuple[Scheduler, SchedulerStore]]:
    """Yield a scheduler and its store; what the options leave open, the settings say."""
    from ematix_core.scheduler.executors.choice import executor_of
    from ematix_core.scheduler.service import Options, Scheduler
    from ematix_core.store import ABSENCE, open_store

    configured = settings.scheduler
    with open_store(settings.store, now=clock) as store:
        where = executor_of(
            executor or configured.executor, store=store, memory=configured.memory, modules=modules,
            directory=str(Path.cwd()),
        )  # fmt: skip
        options = Options(
            holder=f"{socket.gethostname()}:{os.getpid()}", parallel=parallel or configured.parallel,
            pools=settings.pools, lease_seconds=lease_seconds or configured.lease_seconds,
            absence_seconds=absence_seconds or ABSENCE,
            task_options={
                "modules": tuple(modules), "directory": str(Path.cwd()), "store": settings.store,
                "lock_wait": lock_wait,
            },
        )  # fmt: skip
        try:
            yield Scheduler(store, where, snapshot.units, options, clock=clock, observers=observe(store)), store
        finally:
            where.close()


def common_observers(store: SchedulerStore, settings: Settings, clock: Callable[[], datetime]) -> list[Observer]:
    """Return who is told of everything by each scheduler: alerts, and what keeps the store small."""
    from ematix_core.scheduler.alerting import Alerting
    from ematix_core.scheduler.forgetting import Forgetting

    keep = settings.keep
    return [Alerting(store, settings, clock), *([Forgetting(store, keep)] if keep else [])]


def log_lines(level: int = logging.INFO) -> None:
    """Print what the scheduler does as lines on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_LINES))
    logger = logging.getLogger("ematix_core")
    logger.addHandler(handler)
    logger.setLevel(level)


def report_problems(snapshot: Snapshot) -> None:
    """Say what was left out of the project. Raises ProjectError when nothing is left."""
    if not snapshot.units and snapshot.problems:
        raise ProjectError("\n".join(snapshot.problems))
    if not snapshot.units:
        raise ProjectError(
            "the project declares nothing that a scheduler could start",
            hint="Declare a workflow with schedule=, triggered_by= or on_message=, or a job with schedule=.",
        )
    for problem in snapshot.problems:
        click.secho(f"left out: {problem}", fg="red", err=True)
