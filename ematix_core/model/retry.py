"""Retry policy of a job: how many further attempts, and how long between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ematix_core.errors import DeclarationError

_BACKOFFS = ("fixed", "linear", "exponential")


@dataclass(frozen=True)
class Retry:
    """`retries` further attempts after the first failure; only Transient errors are retried.

    `delay` seconds before the first retry; then the same (`fixed`), growing by `delay` (`linear`) or doubling
    (`exponential`) up to `max_delay` seconds. `jitter`: a random share of the delay, 0 to 1, is added.
    """

    retries: int = 0
    delay: float = 1.0
    backoff: Literal["fixed", "linear", "exponential"] = "exponential"
    max_delay: float = 60.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        """Check the values."""
        if not isinstance(self.retries, int):
            raise DeclarationError(f"retries={self.retries!r} is no whole number", hint="Write retries=3.")
        for name in ("delay", "max_delay", "jitter"):
            if not isinstance(value := getattr(self, name), int | float):
                raise DeclarationError(f"{name}={value!r} is no number", hint=f"Write {name}=0.5.")
        if self.retries < 0 or self.delay < 0 or self.max_delay < 0 or not 0 <= self.jitter <= 1:
            raise DeclarationError(
                f"retry policy {self!r}", hint="retries, delay, max_delay must not be negative; jitter is 0 to 1."
            )
        if self.backoff not in _BACKOFFS:
            raise DeclarationError(f"unknown backoff {self.backoff!r}", hint=f"Use one of: {', '.join(_BACKOFFS)}.")

    def wait(self, attempt: int) -> float:
        """Return the seconds to wait after failed attempt number `attempt` (1-based), without jitter."""
        factors: dict[str, float] = {"fixed": 1, "linear": attempt, "exponential": 2.0 ** min(attempt - 1, 1023)}
        return min(self.delay * factors[self.backoff], self.max_delay)

    def longest(self, timeout: float | None) -> float | None:
        """Return the seconds that all attempts with this timeout, and the waits between them, take at most.

        None when an attempt has no limit.
        """
        if timeout is None:
            return None
        waits = sum(self.wait(attempt) for attempt in range(1, self.retries + 1))
        return timeout * (self.retries + 1) + waits * (1 + self.jitter)
