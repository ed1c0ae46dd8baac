"""How an error of ematix becomes one of Dagster's: whether a further attempt makes sense is ours to say."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from dagster import Backoff, Failure, RetryPolicy, RetryRequested

from ematix_core.errors import StoreError, is_transient

if TYPE_CHECKING:
    from ematix_core import Retry
    from ematix_core.errors import EmatixError

_BACKOFFS = {"fixed": None, "linear": Backoff.LINEAR, "exponential": Backoff.EXPONENTIAL}


def retry_policy(retry: Retry) -> RetryPolicy | None:
    """Return the policy that Dagster shows, and goes by when a step fails for another reason than the job's own.

    After a job's Transient error the waits are those of ematix. Dagster's own are without a limit and without jitter,
    and the exponential ones grow faster: 1, 3, 7, 15 times the delay, not 1, 2, 4, 8.
    """
    if not retry.retries:
        return None
    return RetryPolicy(max_retries=retry.retries, delay=retry.delay, backoff=_BACKOFFS[retry.backoff])


def dagster_error(error: EmatixError, retry: Retry, attempt: int) -> Exception:
    """Return what to raise for the error of an attempt (1-based), with its cause.

    Dagster tries again after what may go away by itself, and after trouble with the store.
    """
    if attempt > retry.retries or not (is_transient(error) or isinstance(error, StoreError)):
        failure: Exception = Failure(str(error), allow_retries=False)
        failure.__cause__ = error.__cause__
        return failure
    seconds = retry.wait(attempt)
    seconds += seconds * retry.jitter * random.random()  # noqa: S311 - spreads retries, protects nothing
    again = RetryRequested(max_retries=retry.retries, seconds_to_wait=seconds)
    again.__cause__ = error  # which says what has failed: RetryRequested says nothing
    return again
