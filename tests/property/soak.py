"""How many examples a property gets: a sample, or with EMATIX_SOAK=1 the full number, which is printed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SOAK = bool(os.environ.get("EMATIX_SOAK"))
TRIED: dict[str, int] = {}
"""Examples by property, for the summary at the end of the session."""
FULL, SAMPLE = int(os.environ.get("EMATIX_EXAMPLES", "3000")), 5


def examples(
    name: str, *, sample: int = SAMPLE, full: int = FULL
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a property with its number of examples. The sample is the same every time, the full set is not."""
    number = full if SOAK else sample
    TRIED[name] = number
    return settings(
        max_examples=number, deadline=None, derandomize=not SOAK, database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )  # fmt: skip
