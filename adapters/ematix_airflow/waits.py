"""The waits between a job's attempts, as ematix has them. Needs Airflow 3.3 or newer."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ematix_core import Retry


class Waits(RetryPolicy):
    """Tells Airflow how long to wait before the next try. Errors that are not tried again do not come this far."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry

    def evaluate(
        self,
        exception: BaseException,  # noqa: ARG002 - inherited signature
        try_number: int,
        max_tries: int,
        context: Context | None = None,  # noqa: ARG002 - inherited signature
    ) -> RetryDecision:
        """Return the wait. Tries from before the task was cleared do not count: `max_tries` has grown by them."""
        attempt = max(1, try_number - (max_tries - self._retry.retries))
        jitter = random.random() * self._retry.jitter  # noqa: S311 - no secret
        return RetryDecision.retry(timedelta(seconds=self._retry.wait(attempt) * (1 + jitter)))
