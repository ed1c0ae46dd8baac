"""Files that a stream follows, and what a table has, read by its backend."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection


def drop(folder: Path, name: str, content: str | bytes, age: int = 60) -> None:
    """Put a file there that has been complete for so many seconds."""
    path = folder / "in" / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (time.time() - age,) * 2)


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
