"""A SQLite file as source and as target."""

from __future__ import annotations

import re
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ematix_core.backends.protocols import LocalQuery
from ematix_core.backends.sqlite.connection import PASSING, Database, driver
from ematix_core.backends.sqlite.dialect import DIALECT
from ematix_core.backends.sqlite.reading import TypedQuery
from ematix_core.backends.sqlite.session import SQLiteSession, local_name, quote, transaction
from ematix_core.backends.sqlite.splitting import SplitRead, parts, same_state
from ematix_core.backends.tables import TableSource, TableTarget
from ematix_core.errors import ConfigError, ConnectError, EmatixError, MissingSourceError, SqlError, near
from ematix_core.failpoint import failpoint
from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from ematix_core.backends.protocols import Query
    from ematix_core.model.connection import Connection


def database_file(connection: Connection) -> Path:
    """Return the absolute path of the connection's file. Raises ConfigError when there is none."""
    path = str(connection.settings().get("path") or "")
    if not path or path == ":memory:":
        raise ConfigError(
            f"connection {connection.name!r} of kind sqlite needs path=, the name of a file",
            hint="For tables in memory use a connection of kind memory.",
        )
    return Path(path).expanduser().absolute()


class SQLiteSource(TableSource):
    """Reads from a database file."""

    dialect = DIALECT

    def __init__(self, connection: Connection) -> None:
        driver()
        self._path = database_file(connection)
        self._options = {"cache_size": PASSING, **connection.options}
        self._database: Database | None = None
        self._file = (0, 0)
        self._twin: Database | None = None
        self._split: SplitRead | None = None

    def schema(self, query: Query) -> pa.Schema:
        """Settle the types; see `reading`. The file is not locked afterwards.

        A file that is not there yet counts as empty, for queries that read no table.
        """
        if not self._path.exists():
            return self._schema_without_tables(query)
        database = self._open()
        try:
            return self._typed(query).schema
        finally:
            database.roll_back()

    def read(self, query: Query) -> pa.RecordBatchReader:
        """Stream the rows; the file's read lock is held until the last one."""
        import pyarrow as pa

        database, typed = self._open(), self._typed(query)
        waiting = parts(typed)
        if len(waiting) > 1 and (twin := self._open_twin()) is not None:
            same = same_state(database, twin)
            if not same:
                typed = self._typed(query)
                waiting = parts(typed) if same is not None else []
            if len(waiting) > 1:
                self._split = SplitRead([typed, typed.on(twin)], waiting)
        rows = self._split.batches() if self._split else typed.batches()

        def batches() -> Iterator[pa.RecordBatch]:
            yield from rows
            self._end_split()
            database.roll_back()

        failpoint("sqlite.read.after")
        return pa.RecordBatchReader.from_batches(typed.schema, batches())

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return the query itself for the same file on both sides."""
        if target.kind != DIALECT.name or database_file(target) != self._path:
            return None
        return LocalQuery(_sql(query), parameters=query.parameters)

    def check(self) -> str:
        """Return the version of SQLite and the file."""
        database = self._open()
        database.rows("SELECT count(*) FROM sqlite_master")  # the first statement that reads the file
        return f"SQLite {database.rows('SELECT sqlite_version()')[0][0]}, {self._path}"

    def close(self) -> None:
        """Close the file."""
        self._end_split()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _end_split(self) -> None:
        if self._split is not None:
            self._split.stop()
            self._split = None
        if self._twin is not None:
            self._twin.close()
            self._twin = None

    def _schema_without_tables(self, query: Query) -> pa.Schema:
        with closing(Database(None, {})) as nothing:
            try:
                return TypedQuery(nothing, _sql(query), query.parameters).schema
            except EmatixError:
                self._open()
                raise

    def _open_twin(self) -> Database | None:
        """Open a second connection; None where that fails, or the path leads to another file by now."""
        try:
            twin = self._twin = Database(self._path, {**self._options, "busy_timeout": 0})
        except EmatixError:
            return None
        return twin if _identity(self._path) == self._file else None

    def _open(self) -> Database:
        if self._database is None:
            if not self._path.exists():
                raise ConnectError(
                    f"there is no SQLite file {self._path}", hint="A source is never created: check path=."
                )
            self._file = _identity(self._path)
            self._database = Database(self._path, self._options)
        return self._database

    def _typed(self, query: Query) -> TypedQuery:
        database = self._open()
        try:
            return TypedQuery(database, _sql(query), query.parameters)
        except SqlError as error:
            missing = re.fullmatch(r"no such table: (?:main\.)?(.*)", error.what)
            if missing is None:
                raise
            tables = database.rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            known = [str(name) for (name,) in tables if not str(name).startswith("_ematix_")]
            raise MissingSourceError(
                f"there is no table {missing[1]} in the SQLite file {self._path}", hint=near(missing[1], known)
            ) from error


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from another one that takes its name. (0, 0) when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _sql(query: Query) -> str:
    return query.sql or f"SELECT * FROM {quote(local_name(TableName.parse(query.table)))}"  # noqa: S608 - quoted names


class SQLiteTarget(TableTarget):
    """Writes to a database file, which is made on first use."""

    dialect = DIALECT

    def __init__(self, connection: Connection) -> None:
        driver()
        self._path = database_file(connection)
        self._options = dict(connection.options)
        self._session: SQLiteSession | None = None

    @contextmanager
    def session(self) -> Iterator[SQLiteSession]:
        """One transaction, on a connection of its own."""
        with self._opened(Database(self._path, self._options, create=True)) as session, transaction(session):
            yield session

    @contextmanager
    def inspect(self) -> Iterator[SQLiteSession]:
        """Look at the file; a missing one is an empty database, in memory."""
        database = Database(self._path, self._options) if self._path.exists() else Database(None, {})
        with self._opened(database) as session:
            yield session

    def exclusive(self) -> Path | None:
        """Return the file: SQLite admits one writer."""
        return self._path

    @contextmanager
    def _opened(self, database: Database) -> Iterator[SQLiteSession]:
        session = SQLiteSession(database)
        self._session = session
        try:
            yield session
        finally:
            self._session = None
            database.close()
