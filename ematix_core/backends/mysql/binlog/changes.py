"""The changes of one table in its server's log: transactions followed from a place on, event by event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ematix_core.backends.mysql.binlog import events
from ematix_core.backends.mysql.binlog.changed import DELETE, INSERT, Changed, ordered, split
from ematix_core.backends.mysql.binlog.dump import Dump, require_known
from ematix_core.backends.mysql.binlog.gtids import gtids_of
from ematix_core.backends.mysql.binlog.place import Place
from ematix_core.backends.mysql.binlog.shape import Shape
from ematix_core.backends.mysql.binlog.statements import Effect, effect
from ematix_core.backends.mysql.binlog.table import number_of
from ematix_core.errors import SourceError, UnsupportedError

if TYPE_CHECKING:
    from ematix_core.backends.mysql.binlog.events import Event, Statement
    from ematix_core.backends.mysql.binlog.table import Table

_MOST_KNOWN = 1000
_QUERIES = frozenset({events.QUERY, events.MARIA_QUERY_COMPRESSED, events.EXECUTE_LOAD})
_GTIDS = frozenset({events.GTID, events.MARIA_GTID})
_HEARTBEATS = frozenset({events.HEARTBEAT, events.HEARTBEAT_V2})


@dataclass
class _Transaction:
    """The one that is being read. `row`: so many rows of it came; `skip`: so many were read before this connection."""

    gtid: str
    committed_us: int
    file: int
    at: int
    standalone: bool
    prepared: bool
    skip: int = 0
    row: int = 0
    begun: bool = False


class Changes:
    """Follows the log from behind a place. For one thread; of no more use after an error."""

    def __init__(self, table: Table, place: Place, *, skip_emptying: bool) -> None:
        """Ask the server for what comes after the place."""
        self.place = place
        """Behind the rows that were taken, and behind transactions that have none of the table's."""
        self.rest: Changed | None = None
        """Rows of the last event that are yet to be taken."""
        self.passing_us = 0
        """Transactions that are older are passed over."""
        self._table = table
        self._skip_emptying = skip_emptying
        self._gtids = gtids_of(place.gtids, mariadb=table.mariadb)
        self._moved = place.server != table.server  # the file's number and the place in it were another server's
        self._file, self._at = place.file, place.at
        self._transaction: _Transaction | None = None
        self._columns = table.columns()
        self._shapes: dict[bytes, Shape | None] = {}
        self._maps: dict[bytes, Shape | None] = {}
        self._dump = Dump(table.address, place.gtids, table.server_id)

    def step(self, seconds: float) -> bool:
        """Read one event more, waiting for it up to so long; say whether there was one. May fill `rest`."""
        event = self._dump.event(seconds)
        if event is None:
            return False
        if event.end:
            self._at += (event.end - self._at) & 0xFFFFFFFF  # 32 bits of the place in the file
        if event.type in events.ROWS:
            self._rows(event)
        elif event.type == events.TABLE_MAP:
            self._maps[event.body[:6]] = self._shape(event)
        elif event.type in _GTIDS:
            self._begin(event)
        elif event.type in _QUERIES:
            self._statement(events.statement(event))
        elif event.type == events.XID:
            self._end()
        elif event.type == events.ROTATE:
            self._rotate(event)
        elif event.type in _HEARTBEATS:
            self._move_to(self._file, self._at)
        elif event.type not in events.WITHOUT_MEANING:
            self._other(event)
        return True

    def take(self, rows: int) -> Changed:
        """Return that many of the rows in `rest`, at least one, and move on behind them."""
        assert self.rest is not None  # noqa: S101 - who takes has looked
        changed = self.rest
        taken = changed.part(0, rows) if rows < changed.count else changed
        self.rest = changed.part(rows, changed.count) if rows < changed.count else None
        self.place = replace(
            self.place, file=taken.file, at=taken.at, row=taken.first + taken.count, running=taken.gtid,
            server=self._table.server,
        )  # fmt: skip
        return taken

    def close(self) -> None:
        """End the connection."""
        self._dump.close()

    def _begin(self, event: Event) -> None:
        begun = events.begun(event, mariadb=self._table.mariadb)
        at = self._at - event.size
        self._transaction = _Transaction(
            begun.gtid, begun.committed_us, self._file, at, standalone=begun.standalone, prepared=begun.prepared
        )
        if begun.committed_us >= self.passing_us:
            self.passing_us = 0
        if self.place.row:
            if begun.gtid != self.place.running:
                raise SourceError(
                    f"transaction {self.place.running} was read in part, and {begun.gtid} comes first on this server",
                    where=self._table.where,
                    hint="Go on from the server that it was read from, or begin anew. With "
                    "replica_preserve_commit_order=ON it does not happen.",
                )
            self._transaction.skip = self.place.row

    def _end(self) -> None:
        """Move on behind the transaction."""
        if self._transaction is not None:
            self._gtids = self._gtids.having(self._transaction.gtid)
        self._transaction = None
        parts = self.place.parts
        if parts and self._gtids.covers(parts[-1].gtids):
            parts = ()
        self.place = Place(self._file, self._at, 0, str(self._gtids), self._table.server, "", parts)

    def _rotate(self, event: Event) -> None:
        name, at = events.rotated(event)
        self._file, self._at = number_of(name), at
        if self._moved:
            self._moved = False
            self.place = replace(self.place, file=self._file, at=at, server=self._table.server)
        elif event.end:  # written at the end of a file: not the one that the server makes up at the beginning
            self._move_to(self._file, at)

    def _move_to(self, file: int, at: int) -> None:
        """Move on outside of transactions, forward only: the server may begin before the place, passing over much."""
        if self._transaction is None and not self.place.row and (file, at) > self.place.order[:2]:
            self.place = replace(self.place, file=file, at=at)

    def _shape(self, event: Event) -> Shape | None:
        """Return how rows of the table are read; None for those of another table."""
        body = event.body[6:]
        if body in self._shapes:
            return self._shapes[body]
        if len(self._shapes) > _MOST_KNOWN:
            self._shapes.clear()
        found = events.table_map(event)
        shape = None
        if (found.schema, found.table) == (self._table.schema, self._table.name):
            self._columns = self._table.columns()
            shape = Shape(found, self._columns, self._table.charsets(), self._table.where)
        self._shapes[body] = shape
        return shape

    def _rows(self, event: Event) -> None:
        number, columns, complete, data = events.rows_of(event)
        shape = self._maps.get(number)
        transaction = self._transaction
        if shape is None or self.passing_us:
            return
        if transaction is None:
            raise UnsupportedError(
                "the binary log has transactions without a GTID", where=self._table.where,
                hint="Those from before gtid_mode=ON cannot be read: begin anew, with a snapshot or with the latest.",
            )  # fmt: skip
        if transaction.prepared:
            raise UnsupportedError(
                f"the rows of {transaction.gtid} are of an XA transaction, which may be rolled back yet",
                where=self._table.where, hint="Such tables cannot be streamed: read them by a job.",
            )  # fmt: skip
        if not complete or columns != len(shape.images.widths):
            raise UnsupportedError(
                f"the rows of {transaction.gtid} do not have all of the table's columns", where=self._table.where,
                hint="Some session writes with another binlog_row_image than FULL.",
            )  # fmt: skip
        rows = shape.images.all(data)
        if event.type in events.UPDATED:
            rows, ops = split(rows[::2], rows[1::2], shape.key)
        else:
            ops = [INSERT if event.type in events.INSERTED else DELETE] * len(rows)
        changed = Changed(
            shape, rows, ops, transaction.gtid, transaction.committed_us, transaction.file, transaction.at,
            transaction.row, ordered(self._file, self._at - event.size), len(data),
        )  # fmt: skip
        transaction.row += len(rows)
        if transaction.skip:
            skipped = min(transaction.skip, len(rows))
            transaction.skip -= skipped
            changed = changed.part(skipped, len(rows))
        self.rest = changed if changed.count else None

    def _statement(self, statement: Statement) -> None:
        transaction = self._transaction
        text = statement.sql[:40].strip().upper()
        if transaction is None:
            self._require_nothing(statement)
            return
        if text == "BEGIN":
            transaction.begun = True
        elif text == "COMMIT":
            self._end()
        elif text.startswith("ROLLBACK"):
            self._require_no_rows(transaction)
            if " TO" not in text:
                self._end()
        elif text.startswith(("XA START", "XA BEGIN")):
            transaction.begun = transaction.prepared = True
        elif text.startswith("XA END"):
            pass
        else:
            self._require_nothing(statement)
            if statement.sql.rstrip().upper().endswith("START TRANSACTION"):
                transaction.begun = True  # CREATE TABLE .. SELECT of MySQL 8.0.21, whose rows come next
            elif transaction.standalone if self._table.mariadb else not transaction.begun:
                self._end()

    def _require_no_rows(self, transaction: _Transaction) -> None:
        if transaction.row:
            raise UnsupportedError(
                f"transaction {transaction.gtid} was rolled back after its rows were logged", where=self._table.where,
                hint="It changed a table without transactions, too. Begin anew: empty the target and its positions.",
            )  # fmt: skip

    def _require_nothing(self, statement: Statement) -> None:
        """Look what a statement does to the table. Raises SourceError when that cannot be shown as rows."""
        found = effect(statement, self._table.schema, self._table.name)
        if found is Effect.NOTHING or self.passing_us:
            return
        self._shapes.clear()
        if found is Effect.WRITTEN:
            raise UnsupportedError(
                f"rows were changed by a statement that the log has instead of the rows: {_short(statement.sql)}",
                where=self._table.where, hint="Some session writes with another binlog_format than ROW.",
            )  # fmt: skip
        if found is Effect.EMPTIED and not self._skip_emptying:
            raise SourceError(
                f"all rows, or a part of the table, went by a statement: {_short(statement.sql)}",
                where=self._table.where,
                hint='Remove them from the target yourself, then go on with the option on_truncate="skip".',
            )

    def _other(self, event: Event) -> None:
        if event.type == events.ANONYMOUS_GTID:
            self._transaction = None
        elif event.type == events.XA_PREPARE:
            self._end()
        elif event.type == events.INCIDENT:
            raise SourceError(
                "the binary log says that changes are missing in it (an incident)", where=self._table.where,
                hint="Begin anew: empty the target and its positions.",
            )  # fmt: skip
        else:
            require_known(event, events.IGNORABLE_FLAG)


def _short(sql: str) -> str:
    return sql if len(sql) <= 200 else sql[:197] + "..."  # noqa: PLR2004 - two lines
