"""What a session's own DuckDB holds for itself: temporary tables and views."""

# ruff: noqa: S608 - the pieces are constants of this file
from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TABLES = "SELECT table_name AS name FROM duckdb_tables() WHERE temporary"
_VIEWS = "SELECT view_name AS name FROM duckdb_views() WHERE temporary AND NOT internal"


def is_temporary(duck: DuckDBPyConnection, table: TableName) -> bool:
    """Say whether the name is a temporary table or view of the session."""
    if table.schema not in {"", "temp"}:
        return False
    found = duck.execute(f"SELECT count(*) FROM ({_TABLES} UNION ALL {_VIEWS}) WHERE name = ?", [table.name]).fetchall()
    return bool(found[0][0])


def is_shown(duck: DuckDBPyConnection, schema: str, name: str) -> bool:
    """Say whether the session has a table or view of that name already."""
    if is_temporary(duck, TableName(schema, name)):
        return True
    query = "SELECT count(*) FROM duckdb_views() WHERE view_name = ? AND schema_name = ?"
    return bool(duck.execute(query, [name, schema or "main"]).fetchall()[0][0])
