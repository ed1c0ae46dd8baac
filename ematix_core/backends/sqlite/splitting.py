"""One query read by two connections at once, each taking ranges of rowids: one thread alone is what bounds a load.

Both must see one state of the file. SQLite has no snapshots to hand over in SQL, but `PRAGMA data_version` of a
connection changes when any other one has committed (https://www.sqlite.org/pragma.html#pragma_data_version). So the
second transaction begins while the first is open, the first begins anew, and when its number is still the same,
nothing was committed around the second's beginning. It holds with a rollback journal and in WAL mode alike.

A range is a temporary view with the table's own name, which hides the table: the query's text stays as it is.
"""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ematix_core.backends.sqlite.session import quote
from ematix_core.errors import LockedError
from ematix_core.sql.rowwise import only_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from ematix_core.backends.sqlite.connection import Database
    from ematix_core.backends.sqlite.reading import TypedQuery

ROWIDS = ("rowid", "_rowid_", "oid")
"""The names of the rowid, as far as no column has them: https://www.sqlite.org/rowidtable.html."""
PART_BYTES = 4 * 1024 * 1024
PART_ROWS = 4_096
"""How much of the file, and how many rowids, make a range worth a statement of its own."""
MOST_PARTS = 64
_ATTEMPTS = 5
_DEPTH = 2
"""Batches that wait for the consumer, beside the one that each reader has in hand."""


@dataclass(frozen=True)
class Part:
    """The rows of `table` whose `rowid` (by one of its names) is from `low` to `high`."""

    table: str
    rowid: str
    low: int
    high: int

    def show(self, database: Database) -> None:
        """Make the table's name mean this part of it, until the transaction is rolled back."""
        database.rows(f"DROP VIEW IF EXISTS temp.{quote(self.table)}")
        database.rows(
            f"CREATE TEMP VIEW {quote(self.table)} AS SELECT * FROM main.{quote(self.table)}"  # noqa: S608 - quoted names
            f" WHERE {self.rowid} BETWEEN {self.low} AND {self.high}"
        )


def parts(query: TypedQuery) -> list[Part]:
    """Return the ranges of rowids that the query can be read by; fewer than two where it has to be read as one.

    That is everything but a scan of one whole table: where an index finds the rows, two scans would take longer.
    """
    table = only_table(query.text, "sqlite", without=ROWIDS)
    if table is None:
        return []
    database = query.database
    plan = database.rows(f"EXPLAIN QUERY PLAN {query.text}", query.values)
    if len(plan) != 1 or not str(plan[0][3]).startswith("SCAN ") or " USING " in str(plan[0][3]):
        return []
    found = database.rows(
        "SELECT name FROM pragma_table_list"
        " WHERE schema = 'main' AND type = 'table' AND NOT wr AND name = ? COLLATE NOCASE",
        [table],
    )
    return _ranges(database, str(found[0][0])) if found else []


def _ranges(database: Database, table: str) -> list[Part]:
    columns = {str(row[1]).lower() for row in database.rows(f"PRAGMA main.table_xinfo({quote(table)})")}
    rowid = next((name for name in ROWIDS if name not in columns), None)
    if rowid is None:
        return []
    ends = f"(SELECT min({rowid}) FROM main.{quote(table)}), (SELECT max({rowid}) FROM main.{quote(table)})"  # noqa: S608 - quoted names
    low, high = database.rows(f"SELECT {ends}")[0]
    if low is None:
        return []
    (pages,), (size,) = database.rows("PRAGMA main.page_count")[0], database.rows("PRAGMA main.page_size")[0]
    count = min(MOST_PARTS, pages * size // PART_BYTES, (high - low + 1) // PART_ROWS)
    bounds = [low + (high - low + 1) * i // max(1, count) for i in range(count)] + [high + 1]
    return [Part(table, rowid, first, last - 1) for first, last in pairwise(bounds)]


def same_state(first: Database, second: Database) -> bool | None:
    """Begin transactions of both on one state of the file; `second` has none yet.

    Returns whether that is still the state that `first` had seen before, or None where it cannot be had, because other
    programs commit all the time or keep the second one out; then neither has begun to read.
    """
    waits = first.rows("PRAGMA busy_timeout")[0][0]
    before = _version(first)
    try:
        first.rows("PRAGMA busy_timeout = 0")
        now = before
        for _ in range(_ATTEMPTS):
            second.roll_back()
            _version(second)
            first.roll_back()
            last, now = now, _version(first)
            if last == now:
                return now == before
    except LockedError:
        pass
    finally:
        first.rows(f"PRAGMA busy_timeout = {waits}")
    second.roll_back()
    first.roll_back()
    return None


def _version(database: Database) -> int:
    """Return the number of the state that the transaction sees; it begins to see one now, if it has not yet."""
    return int(database.rows("PRAGMA data_version")[0][0])


class SplitRead:
    """Reads a query's parts in one thread a connection. The batches come in no order."""

    def __init__(self, queries: Sequence[TypedQuery], waiting: Sequence[Part]) -> None:
        self._waiting = list(reversed(waiting))
        self._taking = threading.Lock()
        self._stopped = threading.Event()
        self._ready: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(_DEPTH)
        self._threads = [
            threading.Thread(target=self._read, args=[query], name=f"sqlite-reader-{number}", daemon=True)
            for number, query in enumerate(queries, 1)
        ]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they come; raises the first error of a reader. Stops the readers at the end."""
        reading = len(self._threads)
        with ExitStack() as stack:
            stack.callback(self.stop)
            for thread in self._threads:
                thread.start()
            while reading:
                item = self._ready.get()
                if item is None:
                    reading -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item

    def stop(self) -> None:
        """End the threads after the batch that each has in hand. May be called again."""
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _read(self, query: TypedQuery) -> None:
        try:
            while (part := self._take()) is not None:
                part.show(query.database)
                for batch in query.batches():
                    if not self._put(batch):
                        return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the batches are taken
            self._put(error)

    def _take(self) -> Part | None:
        with self._taking:
            return self._waiting.pop() if self._waiting else None

    def _put(self, item: pa.RecordBatch | BaseException | None) -> bool:
        """Hand the item over; False when nobody takes it any more."""
        while not self._stopped.is_set():
            try:
                self._ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
