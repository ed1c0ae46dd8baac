"""What a run tells whoever watches it: progress bars, log lines, the scheduler."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from logging import Logger

    from ematix_core.engine.result import RunResult
    from ematix_core.errors import EmatixError


class Progress(Protocol):
    """Called from the threads that run jobs; must return at once and must not raise."""

    def started(self, job: str, attempt: int) -> None:
        """Tell that an attempt of the job starts (1-based)."""

    def advanced(self, job: str, rows: int) -> None:
        """Tell that so many further rows were read."""

    def stage(self, job: str, text: str) -> None:
        """Tell the job's new stage, such as `merge: update changed rows`."""

    def waiting(self, job: str, text: str) -> None:
        """Tell what the job waits for, such as a database file that another job holds."""

    def finished(self, job: str, result: RunResult) -> None:
        """Tell that the job succeeded."""

    def failed(self, job: str, error: EmatixError, *, retry_in: float | None) -> None:
        """Tell that an attempt failed; `retry_in` seconds until the next one, None when it was the last."""

    def skipped(self, job: str, reason: str) -> None:
        """Tell that the job does not run, because of an upstream's failure."""


class Silent:
    """Progress for nobody."""

    def started(self, job: str, attempt: int) -> None:
        """Do nothing."""

    def advanced(self, job: str, rows: int) -> None:
        """Do nothing."""

    def stage(self, job: str, text: str) -> None:
        """Do nothing."""

    def waiting(self, job: str, text: str) -> None:
        """Do nothing."""

    def finished(self, job: str, result: RunResult) -> None:
        """Do nothing."""

    def failed(self, job: str, error: EmatixError, *, retry_in: float | None) -> None:
        """Do nothing."""

    def skipped(self, job: str, reason: str) -> None:
        """Do nothing."""


class LoggedProgress:
    """Progress as lines of a log, at most one about rows in `every` seconds for a job."""

    def __init__(self, logger: Logger, *, every: float = 5.0) -> None:
        self._logger = logger
        self._every = every
        self._lock = threading.Lock()
        self._counted: dict[str, _Counted] = {}

    def started(self, job: str, attempt: int) -> None:
        """Log the start."""
        with self._lock:
            self._counted[job] = _Counted(time.monotonic())
        self._logger.info("%s: started%s", job, f", attempt {attempt}" if attempt > 1 else "")

    def advanced(self, job: str, rows: int) -> None:
        """Log how many rows were read so far, and how fast, now and then."""
        now = time.monotonic()
        with self._lock:
            counted = self._counted.setdefault(job, _Counted(now))
            counted.rows += rows
            if now - counted.told < self._every:
                return
            counted.told = now
        speed = counted.rows / max(now - counted.since, 1e-9)
        self._logger.info("%s: %s rows read, %s rows/s", job, f"{counted.rows:,}", f"{speed:,.0f}")

    def stage(self, job: str, text: str) -> None:
        """Log the stage."""
        self._logger.info("%s: %s", job, text)

    def waiting(self, job: str, text: str) -> None:
        """Log what is waited for."""
        self._logger.info("%s: waits: %s", job, text)

    def finished(self, job: str, result: RunResult) -> None:
        """Log the result's line."""
        self._logger.info("%s: %s", job, str(result).removeprefix(f"{job}: "))

    def failed(self, job: str, error: EmatixError, *, retry_in: float | None) -> None:
        """Log the error of an attempt that is followed by another; the last one is raised."""
        if retry_in is not None:
            self._logger.warning("%s: failed, next attempt in %.1f s: %s", job, retry_in, error)

    def skipped(self, job: str, reason: str) -> None:
        """Log why it does not run."""
        self._logger.info("%s: skipped: %s", job, reason)


class _Counted:
    """The rows of one job so far, since when, and when they were last told of."""

    def __init__(self, since: float) -> None:
        self.rows, self.since, self.told = 0, since, since
