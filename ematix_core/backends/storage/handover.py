"""Errors of ours on their way through DuckDB, which gives on no more than their text.

Code of ours that DuckDB calls raises a HandedOverError, whose text has a number. Who gets DuckDB's error looks it up.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from ematix_core.errors import EmatixError

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT = 256
"""So many are kept that nobody looked up: of several threads that fail at once, DuckDB tells the error of one."""
_NUMBERS = count(1)
_MARK = re.compile(r"ematix: see error (\d+)\b")
_errors: dict[int, EmatixError] = {}


class HandedOverError(OSError):
    """Stands for an error of ours. Its text is for `handed_over`."""


@contextmanager
def handing_over() -> Iterator[None]:
    """Raise an error of ours as what stands for it. For code that DuckDB calls."""
    try:
        yield
    except EmatixError as error:
        raise stand_in(error) from error


def stand_in(error: EmatixError) -> HandedOverError:
    """Return what stands for an error of ours, for code that DuckDB calls to raise."""
    number = next(_NUMBERS)
    _errors[number] = error
    _errors.pop(number - _KEPT, None)
    return HandedOverError(f"ematix: see error {number}")


def handed_over(error: BaseException) -> EmatixError | None:
    """Return the error of ours that DuckDB's stands for, or None when it stands for itself.

    From then on DuckDB's error has it: its traceback holds the rows of a batch, which must not stay.
    """
    found = _MARK.search(str(error))
    if found is not None and (ours := _errors.pop(int(found[1]), None)) is not None:
        vars(error)["ematix"] = ours
    told: EmatixError | None = vars(error).get("ematix")
    return told


def cause_of(error: BaseException) -> BaseException:
    """Return the cause of the error that DuckDB's stands for; where it stands for itself, DuckDB's error."""
    ours = handed_over(error)
    return (ours.__cause__ if ours is not None else None) or error
