"""Sessions on a DuckDB connection: what the kinds `duckdb` and `memory` have in common."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.arrow import plain_table
from ematix_core.backends.duck.binding import values
from ematix_core.backends.duck.connection import driver, quote, relation, translated
from ematix_core.backends.duck.keys import KeyRoom
from ematix_core.backends.duck.memory import (
    WORKING,
    make_room,
    room_for_large,
    room_to_change,
    room_to_compare,
    room_to_read,
    room_to_run,
    rows_at_once,
    with_room,
)  # fmt: skip
from ematix_core.backends.duck.temporary import is_temporary
from ematix_core.backends.duck.types import LIMITS, TYPES, plain_columns
from ematix_core.backends.feed import Feed
from ematix_core.backends.ledger import LedgerSession, SqlLedger
from ematix_core.errors import CancelledError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.model.table import Column, TableName, columns_from
from ematix_core.sql.parameters import bind
from ematix_core.strategies.plan import PART_BEGIN, PART_END

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from ematix_core.backends.protocols import LocalQuery
    from ematix_core.backends.storage.folder import Folder

# DuckDB marks rows one by one only where some of them stay.
_CHANGES_SOME = re.compile(r"\s*(?:UPDATE\b|DELETE\b.*\bWHERE\b)", re.IGNORECASE | re.DOTALL)


class DuckSession(LedgerSession):
    """One transaction, or with `begun=False` a look at the database, on a connection of its own."""

    def __init__(self, kind: str, connection: DuckDBPyConnection, *, limited: bool = False) -> None:
        self.kind = kind
        self.connection = connection
        self._limited = limited  # its memory, by the user: then it stays
        self.stopped = False
        self._feed: Feed | None = None
        self._staged = 0
        self._beside = 0
        self._places: list[Folder] = []
        self._keys = KeyRoom(connection)
        self._ledger = SqlLedger(self, rows=self._rows)

    def columns(self, table: TableName) -> tuple[Column, ...] | None:
        """Ask the catalog first: a failed statement would end the transaction."""
        found = self._run(
            "SELECT column_name, is_nullable FROM duckdb_columns() WHERE database_name IN (current_database(), 'temp')"
            " AND lower(schema_name) = lower($schema) AND lower(table_name) = lower($name) ORDER BY column_index",
            {"schema": table.schema or "main", "name": table.name},
        ).fetchall()
        if not found:
            return None
        nullable = dict(found)
        select = f"SELECT * FROM {quote(table.schema, table.name)} LIMIT 0"  # noqa: S608 - quoted names
        with translated(select):
            now = relation(self.connection, select, {})
            columns = plain_columns(now) or columns_from(now.to_arrow_table().schema)
        return tuple(Column(c.name, c.type, nullable[c.name]) for c in columns)

    def unique_keys(self, table: TableName, *, where: str = "") -> tuple[tuple[str, ...], ...]:
        """Return primary keys, UNIQUE constraints and unique indexes over plain columns; none is for some rows only."""
        del where
        of_table = (
            "database_name IN (current_database(), 'temp') AND lower(schema_name) = lower($schema)"
            " AND lower(table_name) = lower($name)"
        )
        at = {"schema": table.schema or "main", "name": table.name}
        constraints = self._run(
            f"SELECT constraint_column_names FROM duckdb_constraints() WHERE {of_table}"  # noqa: S608 - bound values
            " AND constraint_type IN ('PRIMARY KEY', 'UNIQUE')",
            at,
        ).fetchall()
        indexes = self._run(f"SELECT expressions FROM duckdb_indexes() WHERE {of_table} AND is_unique", at).fetchall()  # noqa: S608 - bound values
        names = {column.name for column in self.columns(table) or ()}
        plain = [tuple(part.strip().strip("\"'") for part in text.strip("[]").split(",")) for (text,) in indexes]
        return (*(tuple(row[0]) for row in constraints), *(key for key in plain if names.issuperset(key)))

    def readers(self, table: TableName) -> tuple[str, ...] | None:
        """Return the views and macros, and the functions that are given a query as text; see `LookingSession`."""
        triggers = self._run(
            "SELECT 1 FROM duckdb_triggers() WHERE lower(table_name) = lower($name) LIMIT 1", {"name": table.name}
        ).fetchall()
        if triggers:
            return None
        found = self._run(
            "SELECT view_name FROM duckdb_views() WHERE NOT internal"
            " UNION SELECT function_name FROM duckdb_functions() WHERE NOT internal", {},
        ).fetchall()  # fmt: skip
        return ("query", "query_table", *(name for (name,) in found))

    def load(self, table: TableName, columns: Sequence[Column], batches: pa.RecordBatchReader) -> int:
        """INSERT..SELECT from the reader, which DuckDB pulls from as it goes."""
        refuse(columns)
        failpoint(f"{self.kind}.load.before")
        feed = self._feed = Feed(self.kind, columns, batches if self._limited else with_room(batches, self.connection))
        names = ", ".join(quote(column.name) for column in columns)
        view = "_ematix_batches"
        insert = f"INSERT INTO {quote(table.schema, table.name)} ({names}) SELECT * FROM {view}"  # noqa: S608 - quoted names
        self.require_running()
        self._make_room(len(columns), WORKING if is_temporary(self.connection, table) else 0)
        self.connection.register(view, feed.reader())
        try:
            with translated(insert):
                self.connection.execute(insert)
        except Exception as error:
            # The view goes with the transaction; DuckDB has aborted it and runs nothing more, not even unregister.
            if feed.failure is not None:
                raise feed.failure from error
            raise
        finally:
            self._feed = None
        self.connection.unregister(view)
        self._staged = max(self._staged, feed.rows, 1)
        failpoint(f"{self.kind}.load.after")
        return feed.rows

    def insert(self, table: TableName, columns: Sequence[str], query: str, parameters: Mapping[str, Any]) -> int:
        """INSERT..SELECT inside the database."""
        names = ", ".join(quote(name) for name in columns)
        failpoint(f"{self.kind}.insert.before")
        least = WORKING if is_temporary(self.connection, table) else 0
        self._make_room(len(columns), max(least, self._room_for(query, parameters)))
        count = self._execute(f"INSERT INTO {quote(table.schema, table.name)} ({names}) {query}", parameters)
        self._staged = max(self._staged, count)
        failpoint(f"{self.kind}.insert.after")
        return count

    def clear(self, table: TableName) -> int:
        """DELETE every row; readers keep the old ones until the commit."""
        self._make_room(0)
        return self.execute(f"DELETE FROM {quote(table.schema, table.name)}", {})  # noqa: S608 - quoted names

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        """Run the statement; DuckDB reports the number of rows of DML itself."""
        failpoint(f"{self.kind}.execute.before")
        self._room_for_staged(parameters)
        if not self._limited and _CHANGES_SOME.match(statement):
            change = room_to_change(self._at_once(parameters), self._rows_of_named(statement))
            self._make_room(0, change + 2 * self._room_for_large(statement, parameters))
        count = self._execute(statement, parameters)
        failpoint(f"{self.kind}.execute.after")
        return count

    def query(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Return the whole result."""
        self.require_running()
        self._room_for_staged(parameters)
        sql, bound = bind(statement, parameters, "named_dollar")
        with translated(sql, statement):
            return plain_table(relation(self.connection, sql, values(dict(bound))).to_arrow_table())

    def parts(self, table: TableName) -> list[tuple[int, int]]:
        """Return ranges of `rowid`; see `rows_at_once`."""
        rows = quote(table.schema, table.name)
        ((begin, end),) = self._run(f"SELECT min(rowid), max(rowid) + 1 FROM {rows}", {}).fetchall()  # noqa: S608 - quoted names
        if begin is None:
            return []
        columns = self._run(f"SELECT * FROM {rows} LIMIT 0", {}).description or ()  # noqa: S608 - quoted names
        size = rows_at_once(end - begin, len(columns))
        return [(at, min(at + size, end)) for at in range(begin, end, size)]

    def stop(self) -> None:
        """Stop what runs, from another thread."""
        self.stopped = True
        if self._feed is not None:
            self._feed.stopped = True
        self.connection.interrupt()

    def prepare(self, local: LocalQuery) -> None:
        """Open the places of a local query and make room for its row groups; see `ReadingSession`."""
        for place in local.places:
            place.mount(self.connection)
            self._places.append(place)
        if local.group:
            self.reserve(local.group)

    def reserve(self, group: int) -> None:
        """Make room for Parquet row groups of so many bytes."""
        if not self._limited:
            self._beside = room_to_read(self.connection, group)

    def settle(self) -> None:
        """Make room for the commit."""
        self._keys.settle()

    def release(self) -> None:
        """End what looks after the memory. Called at the end of the transaction, however it ended."""
        self._keys.stop()
        for place in self._places:
            place.unmount(self.connection)

    def _make_room(self, columns: int, least: int = 0) -> None:
        if not self._limited:
            make_room(self.connection, columns, least=least, beside=self._beside)
            self._keys.start(max(least, WORKING) + self._beside)

    def _room_for_staged(self, parameters: Mapping[str, Any], *, large: int = 0) -> None:
        """Statements before a load only make tables, or empty them. `large`: MB for large values."""
        if self._staged:
            self._make_room(0, room_to_compare(self._at_once(parameters)) + large)

    def _at_once(self, parameters: Mapping[str, Any]) -> int:
        """Return how many staged rows a statement takes."""
        return parameters[PART_END] - parameters[PART_BEGIN] if PART_END in parameters else self._staged

    def _room_for(self, query: str, parameters: Mapping[str, Any]) -> int:
        """Return the MB for a query whose rows are inserted."""
        if self._places or self._limited:  # a plan of files far away is not made twice
            return room_to_compare(self._at_once(parameters))
        if self._staged:
            return room_to_compare(self._at_once(parameters)) + self._room_for_large(query, parameters)
        sql, bound = bind(query, parameters, "named_dollar")
        return room_to_run(self.connection, sql, values(dict(bound)), writes=True)

    def _room_for_large(self, statement: str, parameters: Mapping[str, Any]) -> int:
        sql, bound = bind(statement, parameters, "named_dollar")
        with translated(sql, statement):
            return room_for_large(self.connection, sql, values(dict(bound)))

    def _rows_of_named(self, statement: str) -> int:
        """Return about how many rows the largest table has that the statement names."""
        sizes = "SELECT max(estimated_size) FROM duckdb_tables() WHERE contains(lower($sql), lower(table_name))"
        ((rows,),) = self._run(sizes, {"sql": statement}).fetchall()
        return rows or 0

    def _execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        sql, bound = bind(statement, parameters, "named_dollar")
        with translated(sql, statement):
            return max(0, int(self._run(sql, values(dict(bound))).rowcount))

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        sql, bound = bind(statement, parameters, "named_dollar")
        found = self._run(sql, values(dict(bound)))
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _run(self, sql: str, bound: Mapping[str, Any]) -> DuckDBPyConnection:
        self.require_running()
        with translated(sql):
            return self.connection.execute(sql, dict(bound) or None)

    def require_running(self) -> None:
        """Raise CancelledError after `stop`."""
        if self.stopped:
            raise CancelledError("the session was interrupted")


def refuse(columns: Sequence[Column]) -> None:
    """Raise UnsupportedError for a column that DuckDB cannot hold: planning says so first, this is the last line."""
    for column in columns:
        if column.type.kind not in TYPES or column.type.parameters.get("precision", 0) > LIMITS["numeric_precision"]:
            raise UnsupportedError(
                f"DuckDB cannot hold column {column.name!r} of type {column.type.label()}",
                hint="Cast it in the job's query.",
            )


@contextmanager
def transaction(kind: str, session: DuckSession) -> Iterator[DuckSession]:
    """Begin, and commit on clean exit or roll back on any exception, Ctrl-C included."""
    with translated("BEGIN"):
        session.connection.execute("BEGIN TRANSACTION")
    try:
        failpoint(f"{kind}.begin.after")
        yield session
        failpoint(f"{kind}.commit.before")
        session.require_running()
        session.settle()
        with translated("COMMIT"):
            session.connection.execute("COMMIT")
    except BaseException:
        _roll_back(session.connection)
        raise
    finally:
        session.release()
    failpoint(f"{kind}.commit.after")


def _roll_back(connection: DuckDBPyConnection) -> None:
    """Roll back unless there is nothing left to roll back: a failed COMMIT has done it already."""
    duckdb = driver()
    try:
        connection.execute("ROLLBACK")
    except duckdb.TransactionException as error:
        if "no transaction is active" not in str(error):
            raise
