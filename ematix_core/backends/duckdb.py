"""DuckDB database files."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.connection import driver, open_duck
from ematix_core.backends.duck.memory import PASSING
from ematix_core.backends.duck.session import DuckSession, transaction
from ematix_core.backends.duck.source import DuckSource, statement
from ematix_core.backends.duck.types import LIMITS, TYPES
from ematix_core.backends.protocols import LocalQuery
from ematix_core.backends.tables import TableTarget
from ematix_core.errors import ConfigError, ConnectError, EmatixError
from ematix_core.failpoint import failpoint
from ematix_core.model.table import columns_from
from ematix_core.sql.dialect import Dialect, Replace, Upsert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from ematix_core.backends.protocols import Query
    from ematix_core.model.connection import Connection
    from ematix_core.model.table import Column, TableName

DIALECT = Dialect(
    name="duckdb",
    grammar="duckdb",
    types=TYPES,
    # MERGE .. RETURNING merge_action is no faster (120,000 changes into 1M rows: 0.02 s against 0.04 s; a first load
    # of 1M rows: 0.15 s against 0.09 s), and its counts are the result of a query that has to be aggregated.
    upsert=Upsert.UPDATE_INSERT,  # https://duckdb.org/docs/current/sql/statements/update
    replace=Replace.TRANSACTION,  # https://duckdb.org/docs/current/sql/statements/transactions
    transactional_ddl=True,
    # Staging 6M rows x 15 columns: 2.5 s and within the memory limit; an ordinary table 4.5 s, and its pages stay in
    # the file, which ends twice as large.
    temporary_staging=True,
    row_number="rowid",  # https://duckdb.org/docs/current/sql/statements/select#row-ids
    # A primary key is an ART index: 1M rows in 0.31 s against 0.09 s without.
    # https://duckdb.org/docs/current/guides/performance/schema
    declares_keys=False,
    alter_type=True,  # https://duckdb.org/docs/current/sql/statements/alter_table
    one_writer=True,  # https://duckdb.org/docs/current/connect/concurrency
    bulk="INSERT..SELECT from an Arrow stream",
    limits=LIMITS,
)

_FILE = {"memory_limit": f"{PASSING}MB"}  # raised for what needs more
_WRITING = _FILE | {
    # A table has no order; a query's ORDER BY is kept all the same. In order, two threads leave a broken row group
    # beside each whole one, and the checkpoint at the end writes everything a second time: 6M rows x 16 columns from
    # Parquet take 11 s of CPU, 1,040 MB and a file of 358 MB against 5.4 s, 490 MB and 196 MB.
    # https://duckdb.org/docs/current/guides/performance/how_to_tune_workloads
    "preserve_insertion_order": False,
    "write_buffer_row_group_count": 1,  # row groups that each thread holds back before it writes them
}


def source(connection: Connection) -> DuckDBSource:
    """Return what reads from the database file."""
    driver()
    return DuckDBSource(connection)


def target(connection: Connection) -> DuckDBTarget:
    """Return what writes to the database file."""
    driver()
    return DuckDBTarget(connection)


def database(connection: Connection) -> Path:
    """Return the absolute path of the connection's file. Raises ConfigError when there is none."""
    path = str(connection.settings().get("path") or "")
    if not path or path == ":memory:":
        raise ConfigError(
            f"connection {connection.name!r} of kind duckdb needs path=, the name of a file",
            hint="For tables in memory use a connection of kind memory.",
        )
    return Path(path).expanduser().absolute()


class DuckDBSource(DuckSource):
    """Reads from a database file."""

    dialect = DIALECT
    kind = "duckdb"

    def __init__(self, connection: Connection) -> None:
        super().__init__(self._open, limited="memory_limit" in connection.options)
        self._path = database(connection)
        self._options = dict(connection.options)

    def _open(self) -> DuckDBPyConnection:
        if not self._path.exists():
            raise ConnectError(f"there is no DuckDB file {self._path}", hint="A source is never created: check path=.")
        return open_duck(self._path, **{**_FILE, **_read_only(self._path), **self._options})

    def columns(self, query: Query) -> tuple[Column, ...]:
        """Return the query's columns, see `schema`."""
        return super().columns(query) if self._path.exists() else columns_from(self.schema(query))

    def schema(self, query: Query) -> pa.Schema:
        """Return the query's schema; a file that is not there yet counts as empty, for queries that read no table."""
        if self._path.exists():
            return super().schema(query)
        empty = DuckSource(open_duck)
        empty.take_functions(self._functions)
        try:
            return empty.schema(query)
        except EmatixError:
            self._open()
            raise
        finally:
            empty.close()

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return the query itself for the same file on both sides."""
        if target.kind != self.kind or database(target) != self._path:
            return None
        return LocalQuery(query.sql or statement(query)[0], parameters=query.parameters)

    def exclusive(self) -> Path | None:
        """DuckDB keeps every other process out while the file is open."""
        return self._path

    def check(self) -> str:
        """Return the version and the file."""
        return f"{super().check()}, {self._path}"


def _read_only(path: Path) -> dict[str, str]:
    """Open read-only only when the file allows no more: within a process all connections to a file must agree."""
    return {} if os.access(path, os.W_OK) else {"access_mode": "READ_ONLY"}


def _create(path: Path, options: Mapping[str, Any]) -> None:
    """Make the database file under another name first: DuckDB never opens one whose maker died before its header."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    open_duck(new, **options).close()
    failpoint("duckdb.create.before")
    new.rename(path)
    failpoint("duckdb.create.after")


class _NoTables(DuckSession):
    """A look at a file that is not there yet. DuckDB takes 17 ms of CPU to look through an empty catalog."""

    def columns(self, table: TableName) -> None:
        """Return None: there is no table."""


class DuckDBTarget(TableTarget):
    """Writes to a database file, which is made on first use."""

    dialect = DIALECT

    def __init__(self, connection: Connection) -> None:
        self._path = database(connection)
        self._options = dict(connection.options)
        self._connection: DuckDBPyConnection | None = None
        self._session: DuckSession | None = None

    @contextmanager
    def session(self) -> Iterator[DuckSession]:
        """One transaction."""
        with self._opened(self._connect()) as session, transaction("duckdb", session):
            yield session

    @contextmanager
    def inspect(self) -> Iterator[DuckSession]:
        """Look at the file; a missing one is an empty database, in memory."""
        if self._path.exists() or self._connection is not None:
            with self._opened(self._connect()) as session:
                yield session
            return
        with closing(open_duck()) as connection:
            session = self._session = _NoTables("duckdb", connection)
            try:
                yield session
            finally:
                self._session = None

    def exclusive(self) -> Path | None:
        """DuckDB keeps every other process out while the file is open."""
        return self._path

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> DuckDBPyConnection:
        if self._connection is None:
            if self._path.parent.exists() and not self._path.exists():
                _create(self._path, self._options)
            self._connection = open_duck(self._path, **{**_WRITING, **self._options})
        return self._connection

    @contextmanager
    def _opened(self, connection: DuckDBPyConnection) -> Iterator[DuckSession]:
        session = DuckSession("duckdb", connection, limited="memory_limit" in self._options)
        self._session = session
        try:
            yield session
        finally:
            self._session = None
