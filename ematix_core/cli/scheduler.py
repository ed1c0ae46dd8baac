"""`flow scheduler`: runs workflows when they are due, until it is stopped."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ematix_core.cli.options import debug_option, module_option
from ematix_core.cli.scheduling import (
    common_observers,
    log_lines,
    modules_of,
    report_problems,
    scheduler_for,
    scheduling_options,
)
from ematix_core.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from ematix_core.scheduler.reloading import Reloading
    from ematix_core.scheduler.service import Scheduler


@click.command("scheduler")
@module_option
@scheduling_options
@click.option(
    "--lease-seconds",
    type=click.FloatRange(min=0.5),
    help="A second scheduler takes over when this one has been silent for so long. Default: 10.",
)
@click.option("--reload/--no-reload", default=True, help="Follow changes of the project's files. Default: yes.")
@debug_option
def scheduler(
    *,
    modules: tuple[str, ...],
    executor: str | None,
    parallel: int | None,
    lock_wait: float,
    lease_seconds: float | None,
    reload: bool,
) -> None:
    """Run workflows and jobs when they are due.

    Ctrl-C or SIGTERM: nothing more is started, running jobs end, and what is left is for the next scheduler; once more:
    running jobs are stopped and roll back. SIGHUP: load the project again. Several schedulers on one store take turns:
    one is at work, the others wait to take over.
    """
    from ematix_core.engine.environment import Environment, now
    from ematix_core.scheduler.listening import Listening
    from ematix_core.scheduler.projects import load_snapshot
    from ematix_core.scheduler.reloading import Reloading

    settings = Settings.load()
    chosen = modules_of(modules, settings)
    snapshot = load_snapshot(chosen, Path.cwd())
    report_problems(snapshot)
    log_lines()
    with scheduler_for(
        snapshot, chosen, settings, clock=now, executor=executor, parallel=parallel, lock_wait=lock_wait,
        lease_seconds=lease_seconds,
        observe=lambda store: [
            *common_observers(store, settings, now), Listening(store, Environment(settings=settings)),
        ],
    ) as (service, _):  # fmt: skip
        reloading = Reloading(chosen, Path.cwd(), snapshot, service.replace_units)
        if reload:
            reloading.start()
        with _signals(service, reloading):
            service.run()
        if reload:
            reloading.close()


@contextmanager
def _signals(service: Scheduler, reloading: Reloading) -> Iterator[None]:
    pressed = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            service.stop_at_once()
        else:
            service.stop()
        pressed = True

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGHUP"):  # not on Windows
        handlers[signal.SIGHUP] = lambda _signal, _frame: reloading.ask()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
