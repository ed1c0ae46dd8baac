"""UPDATE and DELETE on tables of files: their rows are held in DuckDB, changed there, and written anew as a whole."""

# ruff: noqa: S608 - statements are built from quoted names and from names of our own
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.connection import quote, translated
from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyConnection

    from ematix_core.sql.overlay import Change


@dataclass
class Held:
    """The rows of one table, in a temporary one; `changed`: they are others than those of the files."""

    table: TableName
    rows: TableName
    changed: bool = False


class Rewrites:
    """The tables of one session whose rows are held, by path."""

    def __init__(self, duck: DuckDBPyConnection) -> None:
        self._duck = duck
        self._held: dict[str, Held] = {}
        self._number = 0

    def change(self, path: str, change: Change, parameters: Mapping[str, Any]) -> int:
        """Run an UPDATE or DELETE on the table's rows and return how many it changed; the first one copies them all.

        The table is shown to DuckDB under its name.
        """
        if path not in self._held:
            self._number += 1
            held = Held(change.table, TableName("", f"_ematix_held_{self._number}"))
            self._run(f"CREATE TEMP TABLE {held.rows} AS FROM {quote(change.table.schema, change.table.name)}")
            self._held[path] = held
        held = self._held[path]
        statement = change.redirected(held.rows)
        with translated(statement):
            count = int(self._duck.execute(statement, dict(parameters) or None).fetchall()[0][0])
        held.changed = held.changed or count > 0
        return count

    def shown(self, path: str) -> str | None:
        """Return the query for the rows that are held of a table; None when none are."""
        held = self._held.get(path)
        return f"SELECT * FROM {held.rows}" if held else None

    def tables(self) -> list[TableName]:
        """Return the tables whose rows are held."""
        return [held.table for held in self._held.values()]

    def take(self, path: str) -> Held | None:
        """Return the rows that are held of a table, and hold them no longer. `drop` is for the caller to call."""
        return self._held.pop(path, None)

    def drop(self, held: Held) -> int:
        """Remove rows that were held, and return how many."""
        count = self._duck.execute(f"SELECT count(*) FROM {held.rows}").fetchall()
        self._run(f"DROP TABLE {held.rows}")
        return int(count[0][0])

    def _run(self, sql: str) -> None:
        with translated(sql):
            self._duck.execute(sql)
