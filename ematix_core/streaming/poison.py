"""Finding the few records that spoil a batch: halves are tried until each bad one stands alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.errors import (
    BadRowError,
    ConversionError,
    FunctionError,
    KeyViolationError,
    SqlError,
    is_transient,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pyarrow as pa

    from ematix_core.errors import EmatixError

OF_DATA = (BadRowError, ConversionError, FunctionError, KeyViolationError, SqlError)
"""Errors that a record can be the reason of."""


def is_of_data(error: EmatixError) -> bool:
    """Say whether the error may be due to some of the records, and not to the system or the declaration."""
    return isinstance(error, OF_DATA) and not is_transient(error)


def find_bad(rows: pa.Table, attempt: Callable[[pa.Table], object], error: EmatixError) -> dict[int, str]:
    """Return the number of each row with which `attempt` fails, and the error.

    `attempt` changes nothing that lasts. `error` is what the attempt with all rows ended with; it is raised again when
    it is not due to single rows: no rows at all fail too, or only several together do.
    """
    if not is_of_data(error):
        raise error
    attempt(rows.slice(0, 0))
    bad: dict[int, str] = {}
    _search(rows, 0, attempt, str(error), bad)
    if not bad:
        raise error
    return bad


def without(rows: pa.Table, bad: Collection[int]) -> pa.Table:
    """Return the rows but for those with these numbers."""
    import pyarrow as pa

    return rows.take(pa.array([number for number in range(rows.num_rows) if number not in bad], pa.int64()))


def _search(rows: pa.Table, first: int, attempt: Callable[[pa.Table], object], error: str, bad: dict[int, str]) -> None:
    """Look for bad rows among these, which are known to fail together."""
    if rows.num_rows == 1:
        bad[first] = error
        return
    half = rows.num_rows // 2
    for start, part in ((0, rows.slice(0, half)), (half, rows.slice(half))):
        try:
            attempt(part)
        except OF_DATA as found:
            if not is_of_data(found):
                raise
            _search(part, first + start, attempt, str(found), bad)
