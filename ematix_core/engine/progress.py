"""What a run tells whoever watches it: progress bars, log lines, the scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
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
