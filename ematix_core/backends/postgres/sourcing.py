"""A PostgreSQL database as source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ematix_core.backends.postgres.address import address
from ematix_core.backends.postgres.catalog import Catalog
from ematix_core.backends.postgres.dialect import DIALECT
from ematix_core.backends.postgres.link import Link, driver
from ematix_core.backends.postgres.opening import begin_reading, opened
from ematix_core.backends.postgres.reading import TypedQuery, text_of
from ematix_core.backends.postgres.relay import relay
from ematix_core.backends.postgres.session import PostgresSession
from ematix_core.backends.postgres.splitting import pieces, side_by_side
from ematix_core.backends.protocols import LocalQuery, Query
from ematix_core.backends.tables import TableSource
from ematix_core.errors import MissingSourceError, SqlError, near
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from ematix_core.backends.protocols import Session
    from ematix_core.model.connection import Connection
    from ematix_core.model.table import TableName

_MISSING = re.compile(r'relation "(.*?)" does not exist')


class PostgresSource(TableSource):
    """Reads from a database, each time in one REPEATABLE READ READ ONLY transaction."""

    dialect = DIALECT

    def __init__(self, connection: Connection) -> None:
        driver()
        self._address = address(connection)
        self._link: Link | None = None
        self._catalog: Catalog | None = None

    def schema(self, query: Query) -> pa.Schema:
        """Let the server say what the query's columns are; no row is read and no transaction stays open."""
        link = self._begin()
        try:
            return self._typed(query).decoder.schema
        finally:
            link.execute("ROLLBACK")

    def read(self, query: Query) -> pa.RecordBatchReader:
        """Stream the rows by COPY, a large table over several connections; the transaction ends with the last row."""
        import pyarrow as pa

        link = self._begin()
        typed = self._typed(query)
        parts = pieces(link, typed, text_of(query), query)

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                yield from typed.batches() if len(parts) == 1 else side_by_side(parts)
            finally:
                for part in parts[1:]:
                    part.link.close()
            link.execute("ROLLBACK")

        failpoint("postgres.read.after")
        return pa.RecordBatchReader.from_batches(typed.decoder.schema, batches())

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return the query itself for the same database on both sides; relayed, for another one."""
        if target.kind != DIALECT.name:
            return None
        relayed = not self._address.same_session(address(target))
        return LocalQuery(text_of(query), parameters=query.parameters, relayed=relayed)

    def relay(self, local: LocalQuery, session: Session, table: TableName, columns: Sequence[str]) -> int:
        """Pass COPY on from server to server: see `relay`."""
        assert isinstance(session, PostgresSession)  # noqa: S101 - local_query asked for one
        link = self._begin()
        typed = self._typed(Query(sql=local.sql, parameters=local.parameters))
        rows = relay(typed, session, table, columns)
        link.execute("ROLLBACK")
        return rows

    def check(self) -> str:
        """Return the server's version and where it is."""
        version = self._open().rows("SHOW server_version")[0][0]
        return f"PostgreSQL {version}, {self._address}"

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _open(self) -> Link:
        if self._link is None:
            self._link = opened(self._address)
            self._catalog = Catalog(self._link)
        return self._link

    def _begin(self) -> Link:
        link = self._open()
        begin_reading(link)
        return link

    def _typed(self, query: Query) -> TypedQuery:
        assert self._link is not None  # noqa: S101 - _begin() came first
        assert self._catalog is not None  # noqa: S101 - made with the link
        try:
            return TypedQuery(self._link, self._catalog, text_of(query), query)
        except SqlError as error:
            missing = _MISSING.search(error.what)
            if missing is None:
                raise
            begin_reading(self._link)
            raise MissingSourceError(
                f"there is no table {missing[1]}", where=str(self._address),
                hint=near(missing[1], self._catalog.tables()),
            ) from error  # fmt: skip
