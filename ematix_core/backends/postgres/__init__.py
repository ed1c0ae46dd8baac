"""PostgreSQL, through asyncpg: COPY in both directions. `native` says what its types are here and on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.postgres.dialect import DIALECT

if TYPE_CHECKING:
    from ematix_core.backends.protocols import Source, Target
    from ematix_core.backends.stream_protocols import StreamQuery, StreamSource
    from ematix_core.model.connection import Connection

__all__ = ["DIALECT", "source", "stream_source", "target"]


def source(connection: Connection) -> Source:
    """Return what reads from the database."""
    from ematix_core.backends.postgres.sourcing import PostgresSource

    return PostgresSource(connection)


def target(connection: Connection) -> Target:
    """Return what writes to the database."""
    from ematix_core.backends.postgres.targeting import PostgresTarget

    return PostgresTarget(connection)


def stream_source(connection: Connection, query: StreamQuery) -> StreamSource:
    """Return what follows a table by logical replication.

    Options: `slot` and `publication`, default names made of the stream's; `snapshot`, "initial" or "never";
    `on_truncate`, "fail" or "skip".
    """
    from ematix_core.backends.postgres.replication.stream import PostgresChanges

    return PostgresChanges(connection, query)
