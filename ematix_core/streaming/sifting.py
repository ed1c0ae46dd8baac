"""Which records of a micro-batch are bad: those that its SQL, the types of the target, or the target itself refuse.

The first of these that refuses all records together is asked about parts of them: each costs more than the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.errors import EmatixError
from ematix_core.streaming.poison import find_bad, nobody

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from ematix_core.streaming.landing import Landing
    from ematix_core.streaming.shaping import Shaping


def misshapen(
    rows: pa.Table, shaped: Callable[[pa.Table], pa.Table], shaping: Shaping, error: EmatixError,
    looking: Callable[[int, int, int], None],
) -> dict[int, str]:  # fmt: skip
    """Return the number and the error of each row with which `shaped` fails, that is the SQL and what follows it."""
    return find_bad(rows, shaped, error, suspects=shaping.suspects(rows), looking=looking)


def unloadable(
    rows: pa.Table, shaping: Shaping, landing: Landing, error: EmatixError,
    looking: Callable[[int, int, int], None] = nobody,
) -> dict[int, str]:  # fmt: skip
    """Return the number and the error of each row of those that cannot be shaped or, when all can be, not be loaded.

    `error`: what loading all of them ended with. Raises what `find_bad` raises.
    """
    try:
        shaped = shaping.shaped(rows)
    except EmatixError as of_sql:
        return misshapen(rows, shaping.shaped, shaping, of_sql, looking)
    # Rows that stand each by itself are shaped once, and not again for each attempt.
    found, numbers = shaping.traced(rows) or (rows, None)

    def attempt(load: Callable[[pa.Table], None]) -> Callable[[pa.Table], None]:
        return load if numbers is not None else lambda some: load(shaping.shaped(some))

    try:
        landing.fit(shaped)
    except EmatixError as of_types:
        bad = find_bad(found, attempt(landing.fit), of_types, looking=looking)
    else:
        with landing.trying():
            bad = find_bad(found, attempt(landing.attempt), error, looking=looking)
    if numbers is None:
        return bad
    return {numbers[at]: bad[at] for at in reversed(bad)}  # of several rows of one record, the first error stands
