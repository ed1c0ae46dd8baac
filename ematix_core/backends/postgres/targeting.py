"""A PostgreSQL database as target."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ematix_core.backends.postgres.address import address
from ematix_core.backends.postgres.catalog import Catalog
from ematix_core.backends.postgres.dialect import DIALECT
from ematix_core.backends.postgres.link import driver
from ematix_core.backends.postgres.opening import begin_reading, begin_writing, opened
from ematix_core.backends.postgres.session import PostgresSession, transaction
from ematix_core.backends.tables import TableTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.backends.postgres.link import Link
    from ematix_core.model.connection import Connection

# What a load needs on the server; the connection's options override it. Staging is analysed by 3,000 rows, not 30,000.
# Handing a row from one process to another costs as much as reading one; by default it counts ten times as much, so
# that rows which are all staged would be compared by one process.
# https://www.postgresql.org/docs/current/runtime-config-query.html#GUC-PARALLEL-TUPLE-COST
_LOADING = (
    "SET LOCAL lock_timeout = '60s'; SET LOCAL work_mem = '128MB'; SET LOCAL maintenance_work_mem = '256MB';"
    " SET LOCAL default_statistics_target = 10; SET LOCAL parallel_tuple_cost = 0.01"
)


class PostgresTarget(TableTarget):
    """Writes to a database."""

    dialect = DIALECT

    def __init__(self, connection: Connection) -> None:
        driver()
        self._address = address(connection)
        self._session: PostgresSession | None = None
        self._kept: tuple[Link, Catalog] | None = None

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Use one connection for all sessions until the end of the block."""
        with closing(opened(self._address)) as link:
            self._kept = link, Catalog(link)
            try:
                yield
            finally:
                self._kept = None

    @contextmanager
    def _linked(self) -> Iterator[tuple[Link, Catalog | None]]:
        if self._kept is not None:
            yield self._kept
            return
        with closing(opened(self._address)) as link:
            yield link, None

    @contextmanager
    def session(self) -> Iterator[PostgresSession]:
        """One READ COMMITTED transaction, on a connection of its own or on that of `connected`."""
        with self._linked() as (link, catalog):
            begin_writing(link, _LOADING)
            session = self._session = PostgresSession(link, writing=True, catalog=catalog)
            try:
                with transaction(session):
                    yield session
            finally:
                self._session = None

    @contextmanager
    def inspect(self) -> Iterator[PostgresSession]:
        """Look at the database in a transaction that cannot write."""
        with closing(opened(self._address)) as link:
            begin_reading(link)
            yield PostgresSession(link)
