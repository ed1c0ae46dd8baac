"""The rows of a table in the order of its key, in one state of the database, and which state that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ematix_core.backends.postgres.catalog import Catalog, quote
from ematix_core.backends.postgres.opening import begin_reading, opened
from ematix_core.backends.postgres.reading import TypedQuery
from ematix_core.backends.postgres.replication.place import Part
from ematix_core.backends.protocols import Query

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import pyarrow as pa

    from ematix_core.backends.postgres.address import Address
    from ematix_core.backends.postgres.replication.followed import Followed

_KEY = "_ematix_key_"
# Rows are dated a second early: a commit that is under way has its time already, and is not seen yet. Dated before the
# row that was copied, the change that it made would be taken for the older one.
_STATE = """
SELECT pg_catalog.pg_current_snapshot()::text AS seen,
       (extract(epoch FROM now() - interval '1 second') * 1000000)::bigint AS at,
       (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS lsn
"""


@dataclass(frozen=True)
class Copied:
    """Rows of a snapshot, the part with their last key, and a time before all changes of them (us since 1970, UTC)."""

    rows: pa.RecordBatch
    part: Part
    at: int


class Snapshot:
    """Reads the rows behind a key, or all. Holds a connection and a transaction of its own until `close`."""

    def __init__(self, address: Address, table: Followed, after: Sequence[str] | None) -> None:
        self._width = len(table.columns)
        self._link = opened(address)
        try:
            begin_reading(self._link)
            state = self._link.rows(_STATE)[0]
            self._part = Part(state["seen"], state["lsn"])
            self._at = int(state["at"])
            query = Query(sql=_sql(table, after), parameters={f"k{i}": text for i, text in enumerate(after or ())})
            self._batches = _batches(TypedQuery(self._link, Catalog(self._link), query.sql, query))
        except BaseException:
            self._link.close()
            raise
        self._rest: pa.RecordBatch | None = None

    def take(self, rows: int, size: int) -> Copied | None:
        """Return the next rows, at least one; None at the end."""
        batch = self._rest if self._rest is not None else next(self._batches, None)
        if batch is None:
            return None
        wide = max(batch.nbytes // batch.num_rows, 1)
        count = max(1, min(batch.num_rows, rows, size // wide))
        self._rest = batch.slice(count) if count < batch.num_rows else None
        keys = [str(column[count - 1]) for column in batch.columns[self._width :]]
        part = replace(self._part, key=tuple(keys) or None)
        return Copied(batch.slice(0, count).select(range(self._width)), part, self._at)

    @property
    def whole(self) -> Part:
        """The part when all rows are read."""
        return self._part

    def close(self) -> None:
        """End the transaction."""
        self._batches.close()
        self._link.close()


def _batches(typed: TypedQuery) -> Generator[pa.RecordBatch]:
    yield from typed.batches()


def _sql(table: Followed, after: Sequence[str] | None) -> str:
    columns = ", ".join(quote(stored.column.name) for stored in table.columns)
    keys = [quote(name) for name in table.key]
    texts = "".join(f", {name}::text AS {quote(f'{_KEY}{i}')}" for i, name in enumerate(keys))
    given = ", ".join(f"CAST(CAST(:k{i} AS text) AS {kind})" for i, kind in enumerate(table.types.values()))
    behind = f" WHERE ({', '.join(keys)}) > ({given})" if after else ""
    order = f" ORDER BY {', '.join(keys)}" if keys else ""
    return f"SELECT {columns}{texts} FROM {table.sql}{behind}{order}"  # noqa: S608 - quoted names
