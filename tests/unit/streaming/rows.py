"""What a table has, read by its backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query

if TYPE_CHECKING:
    from ematix_core.model.connection import Connection


def rows(connection: Connection, table: str = "clicks") -> list[dict[str, Any]]:
    """Return the table's rows by their id."""
    source = registry.source(connection)
    try:
        found: list[dict[str, Any]] = source.read(Query(table=table)).read_all().to_pylist()
    finally:
        source.close()
    return sorted(found, key=lambda row: row["id"])


def ids(connection: Connection, table: str = "clicks") -> list[int]:
    """Return the ids in the table."""
    return [row["id"] for row in rows(connection, table)]
