"""Finding the records that spoil a batch: blocks of it are tried, as large as it seems that none of their rows is bad.

The first bad row of a block that fails is found by halves, and stands alone in the end. The search goes on behind it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ematix_core.errors import (
    BadRowError,
    ConversionError,
    EmatixError,
    FunctionError,
    KeyViolationError,
    SqlError,
    is_transient,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import pyarrow as pa

OF_DATA = (BadRowError, ConversionError, FunctionError, KeyViolationError, SqlError)
"""Errors that a record can be the reason of."""

_LATELY = 8
"""So many of the last bad rows tell how far it is to the next one: bad rows often come in clusters."""

_HALF_FAIL = 0.69
"""The natural logarithm of 2: of blocks of so many mean distances between bad rows, half fail, and each attempt tells
most: https://en.wikipedia.org/wiki/Group_testing#Generalised_binary-splitting_algorithm."""

_ALL_FAIL = 8
"""Of blocks of so many, few do not fail: that is best when the system tells the row, and one attempt finds it."""


def is_of_data(error: EmatixError) -> bool:
    """Say whether the error may be due to some of the records, and not to the system or the declaration."""
    return isinstance(error, OF_DATA) and not is_transient(error)


def nobody(looked: int, of: int, found: int) -> None:
    """Tell nobody."""


def find_bad(
    rows: pa.Table, attempt: Callable[[pa.Table], object], error: EmatixError, *,
    suspects: Sequence[int] = (), looking: Callable[[int, int, int], None] = nobody,
) -> dict[int, str]:  # fmt: skip
    """Return the number of each row with which `attempt` fails, in their order, and the error.

    `attempt` changes nothing that lasts. `error` is what the attempt with all rows ended with; it is raised again when
    it is not due to single rows: no rows at all fail too, or only several together do. `suspects`: numbers of rows that
    are tried first, each by itself; when all others go well together then, no others are looked for. `looking` is
    called before each attempt, with how many rows were looked at, of how many, and how many are bad; what it raises
    ends the search.
    """
    if not is_of_data(error):
        raise error
    attempt(rows.slice(0, 0))
    search = _Search(rows, attempt, looking)
    search.alone(suspects)
    if not search.bad or not search.rest_is_good():
        search.through()
    if not search.bad:
        raise error
    return dict(sorted(search.bad.items()))


def without(rows: pa.Table, bad: Collection[int]) -> pa.Table:
    """Return the rows but for those with these numbers."""
    import pyarrow as pa

    return rows.take(pa.array(_others(rows.num_rows, bad), pa.int64()))


def _others(count: int, bad: Collection[int]) -> list[int]:
    return [number for number in range(count) if number not in bad]


class _Search:
    """One search. `bad`: what was found, by the number of the row."""

    def __init__(
        self, rows: pa.Table, attempt: Callable[[pa.Table], object], looking: Callable[[int, int, int], None]
    ) -> None:
        self._rows, self._attempt, self._looking = rows, attempt, looking
        self._looked = 0
        self.bad: dict[int, str] = {}

    def alone(self, numbers: Sequence[int]) -> None:
        """Try each of these rows by itself."""
        for number in numbers:
            self._note(number, self._error(self._rows.slice(number, 1)))
            self._looked += 1

    def rest_is_good(self) -> bool:
        """Say whether the rows that are not known to be bad go well together."""
        return self._error(without(self._rows, self.bad)) is None

    def through(self) -> None:
        """Look through all rows that are not known to be bad, which fail together."""
        numbers = _others(self._rows.num_rows, self.bad)
        rows = without(self._rows, self.bad) if self.bad else self._rows
        distances: deque[int] = deque(maxlen=_LATELY)
        at, size = 0, len(numbers)
        while at < len(numbers):
            self._looked = self._rows.num_rows - len(numbers) + at
            stop = min(at + size, len(numbers))
            known = at == 0 and stop == len(numbers)  # that all of them fail
            error = None if known else self._error(rows.slice(at, stop - at))
            if error is None and not known:
                at, size = stop, 2 * size
                continue
            first, error = self._first(rows, at, stop, error)
            self._note(numbers[first], error or self._error(rows.slice(first, 1)))
            distances.append(first + 1 - at)
            factor = _HALF_FAIL if _row_of(error) is None else _ALL_FAIL
            at, size = first + 1, max(1, int(factor * sum(distances) / len(distances)))

    def _first(
        self, rows: pa.Table, start: int, stop: int, error: EmatixError | None
    ) -> tuple[int, EmatixError | None]:
        """Return the first bad row of a block that fails with `error`, and its own error when that is known already.

        Where several only fail together, it is the last of them.
        """
        while stop - start > 1:
            told = _row_of(error)
            if told is not None and told < stop - start:
                return start + told, error
            half = start + (stop - start) // 2
            error = self._error(rows.slice(start, half - start))
            if error is None:
                start = half
            else:
                stop = half
        return start, error

    def _note(self, number: int, error: EmatixError | None) -> None:
        if error is not None:
            self.bad[number] = str(error)

    def _error(self, rows: pa.Table) -> EmatixError | None:
        """Return what the attempt with these rows fails with; None when it does not."""
        self._looking(self._looked, self._rows.num_rows, len(self.bad))
        try:
            self._attempt(rows)
        except EmatixError as found:
            if not is_of_data(found):
                raise
            return found
        return None


def _row_of(error: EmatixError | None) -> int | None:
    return error.row if isinstance(error, ConversionError) else None
