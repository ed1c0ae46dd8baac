"""SQLite database files, through ADBC. `declared` says what the declared types of columns mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.sqlite.dialect import DIALECT

if TYPE_CHECKING:
    from ematix_core.backends.protocols import Source, Target
    from ematix_core.model.connection import Connection

__all__ = ["DIALECT", "source", "target"]


def source(connection: Connection) -> Source:
    """Return what reads from the database file."""
    from ematix_core.backends.sqlite.roles import SQLiteSource

    return SQLiteSource(connection)


def target(connection: Connection) -> Target:
    """Return what writes to the database file."""
    from ematix_core.backends.sqlite.roles import SQLiteTarget

    return SQLiteTarget(connection)
