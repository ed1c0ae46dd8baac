"""Progress of running jobs as lines on stderr."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import click

from ematix_core.cli.process import collect_again
from ematix_core.model.connection import mask

if TYPE_CHECKING:
    from ematix_core.engine.result import RunResult
    from ematix_core.errors import EmatixError

LINE_EVERY = 5.0
"""Seconds between two lines about the rows of one job."""
CANCELLING = "cancelling: rolling back what is not committed; press Ctrl-C again to leave at once"


class Lines:
    """One line an event. Without `verbose` only waits, retries and skips, which explain a silence."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self.errors: dict[str, EmatixError] = {}
        self.begun: set[str] = set()

    def started(self, job: str, attempt: int) -> None:
        self.begun.add(job)
        with self._lock:
            self._rows[job] = 0
            self._since[job] = self._told[job] = time.monotonic()
        self._line(job, "started" if attempt == 1 else f"started, attempt {attempt}", chatty=True)

    def advanced(self, job: str, rows: int) -> None:
        now = time.monotonic()
        with self._lock:
            total = self._rows[job] = self._rows.get(job, 0) + rows
            begun = self._since.setdefault(job, now)
            if now - self._told.get(job, now) < LINE_EVERY:
                return
            self._told[job] = now
        self._line(job, f"{total:,} rows read, {total / max(now - begun, 1e-9):,.0f} rows/s", chatty=True)

    def stage(self, job: str, text: str) -> None:
        collect_again()  # the first stage of a load: by now everything is imported
        self._line(job, text, chatty=True)

    def waiting(self, job: str, text: str) -> None:
        self._line(job, text)

    def finished(self, job: str, result: RunResult) -> None:
        self._line(job, str(result).removeprefix(f"{job}: "), chatty=True)

    def failed(self, job: str, error: EmatixError, *, retry_in: float | None) -> None:
        self.errors[job] = error
        if retry_in is not None:
            self._line(job, f"failed, next attempt in {retry_in:.1f} s: {mask(error.what)}")

    def skipped(self, job: str, reason: str) -> None:
        self._line(job, f"skipped: {reason}")

    def cancelling(self) -> None:
        """Say that the run is being cancelled; called inside a signal handler."""
        os.write(2, f"\n{CANCELLING}\n".encode())

    def _line(self, job: str, message: str, *, chatty: bool = False) -> None:
        if self._verbose or not chatty:
            click.echo(f"{job}: {message}", err=True)
