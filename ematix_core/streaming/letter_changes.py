"""Letters are changed in their table while a stream adds others and more than one may change them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.backends.protocols import Session, Target
    from ematix_core.model.table import TableName

_TRIES = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
"""Seconds."""


def change_letters(target: Target, table: TableName, change: Callable[[Session], int]) -> int:
    """Change letters in a transaction of their own, and return how many `change` says.

    Where nothing keeps writers apart, as in an object store, the one that is second to commit is refused. It begins
    again: `change` looks for its letters once more, among all that are there by then. Raises ConflictError when another
    writer was first each time.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    def once() -> int:
        with target.session() as session:
            session.columns(table)
            return change(session)

    retrying = Retrying(
        stop=stop_after_attempt(_TRIES), wait=wait_random_exponential(_FIRST_PAUSE, max=_LONGEST_PAUSE),
        retry=retry_if_exception_type(ConflictError), reraise=True,
    )  # fmt: skip
    return retrying(once)
