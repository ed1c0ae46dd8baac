"""A MySQL or MariaDB database as source and as target."""

from __future__ import annotations

from contextlib import closing, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from ematix_core.backends.mysql import reading
from ematix_core.backends.mysql.address import address
from ematix_core.backends.mysql.connection import Database, driver, kill, require_version
from ematix_core.backends.mysql.dialect import DIALECT, dialect_of
from ematix_core.backends.mysql.errors import MissingTableError
from ematix_core.backends.mysql.literals import literal
from ematix_core.backends.mysql.reading import TypedQuery, quote
from ematix_core.backends.mysql.session import MySQLSession
from ematix_core.backends.protocols import LocalQuery
from ematix_core.backends.tables import TableSource, TableTarget
from ematix_core.errors import EmatixError, MissingSourceError, UnsupportedError, near
from ematix_core.failpoint import failpoint
from ematix_core.model.table import TableName
from ematix_core.sql.parameters import single
from ematix_core.strategies.plan import STAGING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from ematix_core.backends.protocols import Query
    from ematix_core.model.connection import Connection
    from ematix_core.model.table import Column
    from ematix_core.sql.dialect import Dialect

_LONGEST_NAME = 64
_LAST_OF_PLANE_ZERO = "\uffff"


class MySQLSource(TableSource):
    """Reads from a database."""

    def __init__(self, connection: Connection) -> None:
        driver()
        reading.driver()
        self.dialect: Dialect = DIALECT
        self._address = address(connection)
        self._database: Database | None = None

    def schema(self, query: Query) -> pa.Schema:
        """Settle the types; see `reading`."""
        return self._typed(query).schema

    def read(self, query: Query) -> pa.RecordBatchReader:
        """Stream the rows of one statement, and so of one moment."""
        import pyarrow as pa

        typed = self._typed(query)
        failpoint("mysql.read.after")
        return pa.RecordBatchReader.from_batches(typed.schema, typed.batches())

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return the query itself when the target is on the same server and connects to the same database."""
        if target.kind != DIALECT.name:
            return None
        other = address(target)
        if not self._address.same_server(other) or other.database != self._address.database:
            return None
        return LocalQuery(single(_sql(query), "literal"), parameters=query.parameters)

    def explain(self, error: EmatixError) -> EmatixError:
        """Name the tables that there are, when one is missing."""
        return self._known(error) if isinstance(error, MissingTableError) else error

    def check(self) -> str:
        """Return the server's product and version, and where it is."""
        return f"{self._open().server}, {self._address}"

    def close(self) -> None:
        """Close the connection."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> Database:
        if self._database is None:
            self._database = Database(self._address)
            self.dialect = dialect_of(self._database.server)
        return self._database

    def _typed(self, query: Query) -> TypedQuery:
        try:
            return TypedQuery(self._open(), _sql(query), query.parameters)
        except MissingTableError as error:
            raise self._known(error) from error

    def _known(self, error: MissingTableError) -> MissingSourceError:
        schema, _, table = error.what.partition("'")[2].partition("'")[0].rpartition(".")
        rows = self._open().rows(
            f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal(schema, '')}"  # noqa: S608 - a hexadecimal literal
        )
        known = [name for (name,) in rows if not name.startswith("_ematix_")]
        return MissingSourceError(
            f"there is no table {table} in the database {schema}",
            where=f"MySQL {self._address}",
            hint=near(table, known),
        )


def _sql(query: Query) -> str:
    if query.sql:
        return query.sql
    table = TableName.parse(query.table)
    schema = f"{quote(table.schema)}." if table.schema else ""
    return f"SELECT * FROM {schema}{quote(table.name)}"  # noqa: S608 - quoted names


class MySQLTarget(TableTarget):
    """Writes to a database."""

    def __init__(self, connection: Connection) -> None:
        driver()
        self.dialect: Dialect = DIALECT
        self._address = address(connection)
        self._session: MySQLSession | None = None
        self._kept: tuple[Database, Database] | None = None

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Use the same two connections for all sessions until the end of the block."""
        with self._opened() as both:
            self._kept = both
            try:
                yield
            finally:
                self._kept = None

    @contextmanager
    def _opened(self) -> Iterator[tuple[Database, Database]]:
        with closing(Database(self._address, strict=True)) as main:
            require_version(main.server)
            main.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            with closing(Database(self._address, strict=True)) as work:
                yield main, work

    @contextmanager
    def session(self) -> Iterator[MySQLSession]:
        """One transaction, on a connection of its own, and a second one beside it; or on those of `connected`."""
        with self._opened() if self._kept is None else nullcontext(self._kept) as (main, work):
            session = self._session = MySQLSession(main, work)
            try:
                yield session
                session.commit()
            finally:
                self._session = None
                session.end(closing=self._kept is None)

    @contextmanager
    def inspect(self) -> Iterator[MySQLSession]:
        """Look at the database."""
        database = Database(self._address)
        try:
            require_version(database.server)
            self.dialect = dialect_of(database.server)
            yield MySQLSession(database, None)
        finally:
            database.close()

    def check_columns(self, columns: Sequence[Column]) -> None:
        """Refuse names that MySQL does not have: https://dev.mysql.com/doc/refman/8.0/en/identifiers.html."""
        for column in columns:
            name = column.name
            why = ""
            if len(name) > _LONGEST_NAME:
                why = f"names have up to {_LONGEST_NAME} characters"
            elif not name or name.endswith(" "):
                why = "a name ends in no space and is not empty"
            elif max(name) > _LAST_OF_PLANE_ZERO or "\0" in name:
                why = "names are made of characters up to U+FFFF"
            elif name.startswith(STAGING):
                why = "ematix itself uses such names"
            if why:
                raise UnsupportedError(f"MySQL cannot have a column {name!r}: {why}", hint="Rename it in the query.")

    def interrupt(self) -> None:
        """Stop the running session: at its next step, and by killing the statements that it waits for."""
        if (session := self._session) is None:
            return
        session.stop()
        for database in (session.main, session.work):
            if database is not None:
                with suppress(EmatixError):  # it has ended meanwhile
                    kill(self._address, database.id, query=True)
