from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ematix_core.errors import DeclarationError
from ematix_core.model.retry import Retry


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [("fixed", [2, 2, 2, 2]), ("linear", [2, 4, 6, 8]), ("exponential", [2, 4, 8, 10])],
)
def test_waits_grow_as_the_backoff_says_up_to_the_limit(backoff: str, waits: list[float]) -> None:
    retry = Retry(4, delay=2, backoff=backoff, max_delay=10)  # type: ignore[arg-type]  # one of the three, as text
    assert [retry.wait(attempt) for attempt in range(1, 5)] == waits


@given(st.integers(1, 10**6), st.sampled_from(["fixed", "linear", "exponential"]))
def test_no_wait_is_longer_than_the_limit(attempt: int, backoff: str) -> None:
    assert 0 <= Retry(1, backoff=backoff).wait(attempt) <= 60  # type: ignore[arg-type]  # one of the three, as text


@pytest.mark.parametrize("options", [{"retries": -1}, {"delay": -1}, {"jitter": 2}, {"backoff": "quadratic"}])
def test_an_impossible_policy_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(DeclarationError):
        Retry(**options)  # type: ignore[arg-type]  # wrong values are the subject
