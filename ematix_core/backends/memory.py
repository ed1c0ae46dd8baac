"""Tables held by the connection object itself: a DuckDB database without a file."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from ematix_core.backends.duck.arrow import require_held
from ematix_core.backends.duck.connection import configure, driver, open_duck, quote, translated
from ematix_core.backends.duck.session import DuckSession, transaction
from ematix_core.backends.duck.source import DuckSource, statement
from ematix_core.backends.duckdb import DIALECT as DUCKDB
from ematix_core.backends.ledger import SqlLedger
from ematix_core.backends.protocols import LocalQuery
from ematix_core.backends.tables import TableTarget
from ematix_core.errors import ConfigError
from ematix_core.model.connection import MemoryConnection
from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.protocols import Query
    from ematix_core.model.connection import Connection

# One process, and sessions are transactions on cursors of their own: nothing has to queue.
DIALECT = replace(DUCKDB, name="memory", one_writer=False)

_opening = threading.Lock()


def source(connection: Connection) -> MemorySource:
    """Return what reads the connection's tables."""
    driver()
    return MemorySource(_typed(connection))


def target(connection: Connection) -> MemoryTarget:
    """Return what writes the connection's tables."""
    driver()
    return MemoryTarget(_typed(connection))


def _typed(connection: Connection) -> MemoryConnection:
    if not isinstance(connection, MemoryConnection):
        raise ConfigError(f"connection {connection.name!r} is no MemoryConnection, the object that holds the tables")
    return connection


def cursor(connection: MemoryConnection) -> DuckDBPyConnection:
    """Return a cursor on the connection's database, which is made and filled the first time, by one thread.

    The tables of the bookkeeping are made then, too: two first loads at once would both create them.
    """
    with _opening:
        database = cast("DuckDBPyConnection | None", connection.state.get("database"))
        if database is None:
            database = open_duck(**connection.options)
            for name, rows in connection.tables.items():
                table = TableName.parse(name)
                if table.schema:
                    database.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(table.schema)}")
                require_held(rows.schema, f"table {name} of connection {connection.name}", "Cast it before")
                database.register("_ematix_rows", rows)
                create = f"CREATE TABLE {quote(table.schema, table.name)} AS FROM _ematix_rows"
                with translated(create):
                    database.execute(create)
                database.unregister("_ematix_rows")
            SqlLedger(DuckSession("memory", database)).create()
            connection.state["database"] = database
        own = database.cursor()
    configure(own, connection.options)
    return own


class MemorySource(DuckSource):
    """Reads the connection's tables."""

    dialect = DIALECT
    kind = "memory"

    def __init__(self, connection: MemoryConnection) -> None:
        super().__init__(lambda: cursor(connection), limited="memory_limit" in connection.options)
        self._state = connection.state

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return the query itself for the same connection object on both sides."""
        if not isinstance(target, MemoryConnection) or target.state is not self._state:
            return None
        return LocalQuery(query.sql or statement(query)[0], parameters=query.parameters)


class MemoryTarget(TableTarget):
    """Writes the connection's tables."""

    dialect = DIALECT

    def __init__(self, connection: MemoryConnection) -> None:
        self._connection = connection
        self._session: DuckSession | None = None

    @contextmanager
    def session(self) -> Iterator[DuckSession]:
        """One transaction, on a cursor of its own."""
        with self.inspect() as session, transaction("memory", session):
            yield session

    @contextmanager
    def inspect(self) -> Iterator[DuckSession]:
        """Look at the tables, on a cursor of its own."""
        own = cursor(self._connection)
        session = DuckSession("memory", own, limited="memory_limit" in self._connection.options)
        self._session = session
        try:
            yield session
        finally:
            self._session = None
            own.close()
