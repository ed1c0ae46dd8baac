"""A job's retry policy and timeout in Airflow's words: Airflow makes the attempts, ematix says which errors pass."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow import sdk

if TYPE_CHECKING:
    from ematix_core import Retry

GRACE = 60.0
"""Seconds beyond the job's own timeout after which Airflow ends the attempt: ematix rolls back at its own first."""


def retry_arguments(retry: Retry) -> dict[str, Any]:
    """Return the arguments of an operator for the retry policy of a job.

    From Airflow 3.3 on the waits are those of ematix. Before, a fixed wait is the same, without jitter; an exponential
    one is made longer by Airflow, by up to its own length; a linear one stays as long as its first.
    """
    if retry.retries and hasattr(sdk, "RetryPolicy"):
        from ematix_airflow.waits import Waits

        return {"retries": retry.retries, "retry_policy": Waits(retry)}
    arguments: dict[str, Any] = {"retries": retry.retries, "retry_delay": timedelta(seconds=retry.wait(1))}
    if retry.backoff == "exponential":
        arguments |= {"retry_exponential_backoff": True, "max_retry_delay": timedelta(seconds=retry.max_delay)}
    return arguments


def timeout_arguments(timeout: float | None) -> dict[str, Any]:
    """Return the arguments of an operator for the seconds that an attempt may take; None for no limit."""
    return {} if timeout is None else {"execution_timeout": timedelta(seconds=timeout + GRACE)}
