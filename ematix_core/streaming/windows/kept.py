"""What a window keeps between micro-batches, as a protocol: one way for windows of one length, one for sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class Kept(Protocol):
    """Partial aggregates of open windows. Times and watermarks are microseconds; results have their final columns.

    What is kept is a function of the calls of `add` and `close` alone: to restore it they are repeated.
    """

    @property
    def rows(self) -> int:
        """How many partial aggregates are kept; a group may have several until `compacted`."""
        ...

    def split(self, rows: pa.Table, watermark: int) -> tuple[pa.Table, pa.Table]:
        """Return the rows that come in time, and those that are too late."""
        ...

    def parts(self, rows: pa.Table) -> pa.Table:
        """Return the partial aggregates of rows; changes nothing."""
        ...

    def add(self, parts: pa.Table) -> None:
        """Keep them."""
        ...

    def close(self, before: int | None, after: int) -> pa.Table | None:
        """Return the results of windows that are complete since the watermark has moved, and forget what is done with.

        None without any.
        """
        ...

    def again(self, parts: pa.Table, watermark: int) -> pa.Table | None:
        """Return the results anew of complete windows that these parts, which are added, have changed."""
        ...

    def early(self, watermark: int | None) -> pa.Table | None:
        """Return the results so far of open windows that have changed since the last call."""
        ...

    def compacted(self) -> pa.Table | None:
        """Return all that is kept as one table, one row a group; None without any."""
        ...
