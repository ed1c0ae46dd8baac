"""Opening a connection by itself: to see whether it works, and to read one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.config.redact import Redactor
from ematix_core.config.secrets import resolve_connection
from ematix_core.errors import EmatixError

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.model.connection import Connection


def check_connection(connection: Connection, *, redactor: Redactor | None = None) -> str:
    """Open the system and return one line about it, such as product and version.

    Raises SecretError, MissingDriverError, ConnectError, LockedError.
    """
    from ematix_core.codecs.registry import KINDS

    redactor = redactor or Redactor()
    try:
        resolved = resolve_connection(connection, redactor=redactor)
        return _check_schemas(resolved) if resolved.kind in KINDS else registry.check(resolved)
    except EmatixError as error:
        raise error.masked(redactor.mask) from None


def _check_schemas(connection: Connection) -> str:
    from ematix_core.codecs.registry import open_registry

    opened = open_registry(connection)
    try:
        return opened.check()
    finally:
        opened.close()


def read_table(connection: Connection, table: str) -> pa.Table:
    """Return all rows of a table. Raises MissingSourceError and what opening the connection raises."""
    redactor = Redactor()
    source = registry.source(resolve_connection(connection, redactor=redactor))
    try:
        return source.read(Query(table=table)).read_all()
    except EmatixError as error:
        raise error.masked(redactor.mask).at(f"connection {connection.name}") from None
    finally:
        source.close()
