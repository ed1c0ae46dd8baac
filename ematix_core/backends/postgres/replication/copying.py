"""The first copy of a table as rows, from a place on: a snapshot, or what is left of one that was interrupted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ematix_core.backends.postgres.replication.changes import with_added
from ematix_core.backends.postgres.replication.snapshot import Snapshot
from ematix_core.errors import SourceError

if TYPE_CHECKING:
    from ematix_core.backends.postgres.address import Address
    from ematix_core.backends.postgres.replication.followed import Followed
    from ematix_core.backends.postgres.replication.place import Place
    from ematix_core.backends.postgres.replication.snapshot import Copied


class Copy:
    """Reads the rows from a place on. Holds a connection and a transaction until `close`."""

    def __init__(self, address: Address, table: Followed, place: Place, where: str) -> None:
        """Begin a snapshot. Raises SourceError for rows that have no order to go on by."""
        self._where = where
        last = place.parts[-1].key if place.parts else None
        if place.row and last is None:
            raise SourceError(
                f"the first copy of {table.sql} was interrupted, and without a key it cannot go on", where=where,
                hint="Empty the target, and consume with --from earliest; or give the table a primary key.",
            )  # fmt: skip
        self._done = place.parts if last is not None else ()
        self._snapshot = Snapshot(address, table, last)

    def take(self, place: Place, rows: int, size: int) -> tuple[pa.RecordBatch | None, Place]:
        """Return the next rows and the place after them; without rows at the end, and the place in the log."""
        copied = self._snapshot.take(rows, size)
        if copied is None:
            return None, replace(place, parts=(*self._done, self._snapshot.whole)).in_log()
        batch = as_changes(copied, place.count, self._where)
        count = place.count + batch.num_rows
        return batch, replace(place, row=count, count=count, parts=(*self._done, copied.part))

    def close(self) -> None:
        """End the transaction."""
        self._snapshot.close()


def as_changes(copied: Copied, first: int, where: str) -> pa.RecordBatch:
    """Return rows of a snapshot with the columns that changes have; the first one's number is `first`."""
    count = copied.rows.num_rows
    added: dict[str, pa.Array[Any]] = {
        "_op": pa.repeat(pa.scalar("snapshot"), count),
        "_deleted": pa.repeat(pa.scalar(False), count),  # noqa: FBT003 - a value
        "_event_ts": pa.repeat(pa.scalar(copied.at, pa.timestamp("us", "UTC")), count),
    }
    return with_added(copied.rows, first, added, where)
