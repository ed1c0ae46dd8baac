"""MySQL and MariaDB: read through connectorx, written by LOAD DATA LOCAL through PyMySQL; changes from the binlog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.mysql.dialect import DIALECT

if TYPE_CHECKING:
    from ematix_core.backends.protocols import Source, Target
    from ematix_core.backends.stream_protocols import StreamQuery, StreamSource
    from ematix_core.model.connection import Connection

__all__ = ["DIALECT", "source", "stream_source", "target"]


def source(connection: Connection) -> Source:
    """Return what reads from the database."""
    from ematix_core.backends.mysql.roles import MySQLSource

    return MySQLSource(connection)


def target(connection: Connection) -> Target:
    """Return what writes to the database."""
    from ematix_core.backends.mysql.roles import MySQLTarget

    return MySQLTarget(connection)


def stream_source(connection: Connection, query: StreamQuery) -> StreamSource:
    """Return what reads the changes of a table from the binary log. Raises ConfigError for an option."""
    from ematix_core.backends.mysql.binlog.stream import BinlogStream

    return BinlogStream(connection, query)
