"""Sources and sessions on a DuckDB connection: what the kinds `duckdb` and `memory` have in common."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.arrow import plain_batches, plain_schema, plain_table
from ematix_core.backends.duck.connection import BATCH_ROWS, driver, quote, relation, translated
from ematix_core.backends.duck.functions import register, release
from ematix_core.backends.duck.keys import KeyRoom
from ematix_core.backends.duck.memory import WORKING, make_room, room_to_change, room_to_compare, room_to_read
from ematix_core.backends.duck.types import LIMITS, TYPES, plain_columns
from ematix_core.backends.feed import Feed
from ematix_core.backends.ledger import LedgerSession, SqlLedger
from ematix_core.backends.tables import TableSource
from ematix_core.errors import CancelledError, MissingSourceError, SqlError, UnsupportedError, near
from ematix_core.failpoint import failpoint
from ematix_core.model.table import Column, TableName, columns_from
from ematix_core.sql.parameters import bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from ematix_core.backends.protocols import LocalQuery, Query
    from ematix_core.backends.storage.folder import Folder
    from ematix_core.model.function import Function

_BOUND_AS_THEY_ARE = {bool, int, float, str, bytes, datetime}


def values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values in a form that DuckDB binds exactly: Arrow scalars too, nanoseconds included."""
    return {name: _value(value) for name, value in parameters.items()}


def _value(value: Any) -> Any:  # noqa: ANN401 - whatever a job binds
    if value is None or type(value) in _BOUND_AS_THEY_ARE:
        return value
    import pyarrow as pa

    if isinstance(value, datetime) and hasattr(value, "nanosecond"):  # pandas.Timestamp
        value = pa.scalar(value)
    if not isinstance(value, pa.Scalar):
        return value
    if pa.types.is_timestamp(value.type) and value.type.unit == "ns" and value.is_valid:
        zoned = value.type.tz is not None
        text = value.cast(pa.timestamp("ns", "UTC" if zoned else None)).cast(pa.string()).as_py()
        return driver().Value(text, "TIMESTAMPTZ_NS" if zoned else "TIMESTAMP_NS")
    return value.as_py()


class DuckSource(TableSource):
    """Reads from a database; the subclass says how to open it, and which kind it is."""

    kind = ""

    def __init__(self, connect: Callable[[], DuckDBPyConnection], *, limited: bool = False) -> None:
        self._connect = connect
        self._limited = limited  # by the user: then it stays
        self._connection: DuckDBPyConnection | None = None
        self._functions: tuple[Function, ...] = ()
        self._registered: tuple[str, ...] = ()
        self._reader: pa.RecordBatchReader | None = None

    def take_functions(self, functions: Sequence[Function]) -> None:
        """Let the queries call these functions of the user's."""
        self._functions = tuple(functions)

    @property
    def connection(self) -> DuckDBPyConnection:
        """The connection, opened on first use."""
        if self._connection is None:
            self._connection = self._connect()
            self._registered = register(self._connection, self._functions)
        return self._connection

    def schema(self, query: Query) -> pa.Schema:
        """Return the schema that DuckDB binds; no row is read."""
        sql, _ = statement(query)
        with self._relation(query) as found, translated(sql, query.sql):
            schema = plain_schema(found.limit(0).to_arrow_table().schema)
        columns_from(schema)
        return schema

    def columns(self, query: Query) -> tuple[Column, ...]:
        """Return the columns that DuckDB binds, without Arrow where their types are the usual ones."""
        with self._relation(query) as relation_:
            found = plain_columns(relation_)
        return found if found is not None else columns_from(self.schema(query))

    def read(self, query: Query) -> pa.RecordBatchReader:
        """Stream the rows; nothing but the batch in hand is in memory."""
        import pyarrow as pa

        sql, _ = statement(query)
        with self._relation(query) as found, translated(sql, query.sql):
            if not self._limited:
                make_room(self.connection, len(found.columns))
            reader = found.to_arrow_reader(BATCH_ROWS)
        self._reader = reader
        schema = plain_schema(reader.schema)
        columns_from(schema)

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                with translated(sql, query.sql):
                    yield from plain_batches(reader, schema)
            finally:
                reader.close()

        failpoint(f"{self.kind}.read.after")
        return pa.RecordBatchReader.from_batches(schema, batches())

    def interrupt(self) -> None:
        """Stop the query, from another thread."""
        if (connection := self._connection) is not None:
            connection.interrupt()

    def check(self) -> str:
        """Return the version of DuckDB."""
        with translated("SELECT version()"):
            row = self.connection.execute("SELECT version()").fetchone()
        return f"DuckDB {row[0] if row else ''}".strip()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            if self._reader is not None:
                self._reader.close()
            release(self._connection, self._registered)
            self._connection.close()
            self._connection = None

    @contextmanager
    def _relation(self, query: Query) -> Iterator[DuckDBPyRelation]:
        sql, bound = statement(query)
        try:
            with translated(sql, query.sql):
                yield relation(self.connection, sql, values(dict(bound)))
        except SqlError as error:
            missing = re.match(r'Table with name "?(.*?)"? does not exist', error.what)
            if missing is None:
                raise
            tables = self.connection.execute(
                "SELECT CASE schema_name WHEN 'main' THEN '' ELSE schema_name || '.' END || table_name FROM"
                " (FROM duckdb_tables() SELECT schema_name, table_name WHERE NOT internal UNION ALL"
                "  FROM duckdb_views() SELECT schema_name, view_name WHERE NOT internal)"
            ).fetchall()
            known = [name for (name,) in tables if not name.rpartition(".")[2].startswith("_ematix_")]
            raise MissingSourceError(f"there is no table {missing[1]}", hint=near(missing[1], known)) from error


def statement(query: Query) -> tuple[str, Mapping[str, Any]]:
    """Return the query as DuckDB's SQL with `$name` parameters, and their values."""
    if not query.sql:
        table = TableName.parse(query.table)
        return f"SELECT * FROM {quote(table.schema, table.name)}", {}  # noqa: S608 - quoted names
    sql, bound = bind(query.sql, query.parameters, "named_dollar")
    return sql, dict(bound)


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
        feed = self._feed = Feed(self.kind, columns, batches)
        names = ", ".join(quote(column.name) for column in columns)
        view = "_ematix_batches"
        insert = f"INSERT INTO {quote(table.schema, table.name)} ({names}) SELECT * FROM {view}"  # noqa: S608 - quoted names
        self.require_running()
        self._make_room(len(columns))
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
        self._make_room(len(columns), room_to_compare(self._staged))
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
        self._room_for_staged()
        if self._staged and statement.lstrip()[:6].upper() == "UPDATE":
            self._make_room(0, room_to_change(self._staged))
        count = self._execute(statement, parameters)
        failpoint(f"{self.kind}.execute.after")
        return count

    def query(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Return the whole result."""
        self.require_running()
        self._room_for_staged()
        sql, bound = bind(statement, parameters, "named_dollar")
        with translated(sql, statement):
            return plain_table(relation(self.connection, sql, values(dict(bound))).to_arrow_table())

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

    def _room_for_staged(self) -> None:
        """Statements before a load only make tables, or empty them."""
        if self._staged:
            self._make_room(0, room_to_compare(self._staged))

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
