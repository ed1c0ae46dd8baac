"""What a session has changed of a table and not yet committed.

The table's rows are those of the version's files and of new files, and rows held back in a temporary table: new
versions of rows that were updated. A second temporary table says which of all these are gone. So every statement sees
what the ones before it did, nothing is copied but what changes, and only files with a row that is gone are written
anew.
"""

# ruff: noqa: S608 - statements are built from quoted names of our own
from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ematix_core.backends.delta.log import is_table, opened
from ematix_core.backends.delta.scan import FILE, ROW, Layout, Piece, scan, sql_type
from ematix_core.backends.duck.arrow import plain_schema
from ematix_core.backends.duck.connection import quote, relation, translated
from ematix_core.backends.duck.types import plain_columns
from ematix_core.errors import EmatixError, UnsupportedError
from ematix_core.model.table import Column, TableName, columns_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.delta.log import Snapshot
    from ematix_core.backends.delta.writing import NewFile
    from ematix_core.backends.storage.folder import Folder
    from ematix_core.sql.overlay import Change

POSITION = (FILE, ROW)
_HELD = 0
"""The number of the rows that are held back, among those of files."""


@dataclass
class TableChanges:
    """One table in one session: the version it began with, and what has been done to it."""

    duck: DuckDBPyConnection
    name: TableName
    place: Folder
    base: Snapshot | None
    number: int
    partition_by: tuple[str, ...] = ()
    """By which a new table is partitioned; an old one by what it says itself."""
    columns: tuple[Column, ...] | None = None
    looked_at: bool = False
    """Rows were read, so that what others add meanwhile might have changed what is written."""
    cleared: bool = False
    retyped: bool = False
    committing: bool = False
    """The commit has begun, so that an error may have come after it."""
    shown: bool = False
    """DuckDB has its views: only when a statement reads it, since they take time for each file."""
    new: dict[int, NewFile] = field(default_factory=dict)
    _pieces: dict[int, Piece] = field(default_factory=dict)
    _next: int = 1

    def __post_init__(self) -> None:
        self.held = TableName("", f"_ematix_held_{self.number}")
        self.gone = TableName("", f"_ematix_gone_{self.number}")
        self.rows = TableName("", f"_ematix_rows_{self.number}")
        self._run(f"CREATE TEMP TABLE {self.gone} ({FILE} BIGINT, {ROW} BIGINT)")
        if self.base is None:
            return
        self.columns, self.partition_by = self.base.columns, self.base.partition_by
        for file in self.base.files():
            self._put(Piece(self._next, file))
        definitions = (f"{quote(c.name)} {sql_type(c)}{'' if c.nullable else ' NOT NULL'}" for c in self.columns)
        self._run(f"CREATE TEMP TABLE {self.held} ({', '.join(definitions)})")

    @property
    def layout(self) -> Layout:
        """Where the files are and what is in them, as of now."""
        return Layout(self.place, self.columns or (), self.partition_by)

    @property
    def exists(self) -> bool:
        """Say whether the session sees such a table."""
        return self.columns is not None

    def create(self, change: Change) -> None:
        """Begin a new table by its CREATE TABLE."""
        if self.exists:
            raise UnsupportedError(f"there is a table {self.name} already", where=f"statement {change.text()!r}")
        self._run(change.redirected(self.held))
        self._describe()
        names = {column.name for column in self.columns or ()}
        if not names.issuperset(self.partition_by):
            self.partition_by = ()  # a side table, such as that of rejected lines
        self.show(again=True)

    def alter(self, change: Change) -> None:
        """Give the table a new column, or a column a wider type."""
        before = {column.name: column.type for column in self.columns or ()}
        self._run(f"DROP VIEW IF EXISTS {quote(self.name.schema, self.name.name)}")
        self._run(change.redirected(self.held))
        self._describe()
        after = {column.name: column.type for column in self.columns or ()}
        changed = [name for name, kind in before.items() if after[name] != kind]
        if set(changed) & set(self.partition_by):
            raise UnsupportedError(
                f"column {changed[0]!r}, by which the table is partitioned, cannot get another type",
                where=f"table {self.name}",
            )
        if changed:
            _require_no_feed(self, "a wider type")
        self.retyped = self.retyped or bool(changed)
        self.looked_at = True
        self.show(again=True)

    def update(self, change: Change, parameters: Mapping[str, Any]) -> int:
        """Put new rows in the place of old ones and return how many."""
        names = [column.name for column in self.columns or ()]
        count = self._note(change.updated(self.rows, POSITION, names), parameters)
        selected = ", ".join(map(quote, names))
        self._run(f"INSERT INTO {self.held} ({selected}) SELECT {selected} FROM _ematix_changed")
        self._leave_out()
        return count

    def delete(self, change: Change, parameters: Mapping[str, Any]) -> int:
        """Leave rows out and return how many."""
        count = self._note(change.deleted(self.rows, POSITION), parameters)
        self._leave_out()
        return count

    def clear(self) -> int:
        """Begin with no rows and return how many there were."""
        self._require_changeable()
        count = self._rows()
        self.place.remove((new.file.path for new in self.new.values()), emptied=True)
        self.new.clear()
        self._pieces.clear()
        self._run(f"DELETE FROM {self.held}; DELETE FROM {self.gone}")
        self.cleared = self.cleared or self.base is not None
        self.show(again=True)
        return count

    def add(self, files: Sequence[NewFile]) -> None:
        """Take in new files."""
        for file in files:
            self.new[self._next] = file
            self._put(Piece(self._next, file.file))
        self.show(again=True)

    def show(self, *, again: bool = False) -> None:
        """Make the views that statements see: the table's rows, and these with their positions.

        `again`: only if they were made before.
        """
        if again and not self.shown:
            return
        self.shown = True
        columns = ", ".join(quote(column.name) for column in self.columns or ())
        every = f"{scan(self.layout, list(self._pieces.values()), positions=True)}"
        if self._count(self.held):
            every += f"\nUNION ALL SELECT {columns}, {_HELD}, rowid FROM {self.held}"
        if self._count(self.gone):
            every = f"SELECT * FROM ({every}) AS r ANTI JOIN {self.gone} USING ({FILE}, {ROW})"
        self._run(f"CREATE OR REPLACE TEMP VIEW {self.rows} AS {every}")
        if self.name.schema:
            self._run(f"CREATE SCHEMA IF NOT EXISTS {quote(self.name.schema)}")
        view = quote(self.name.schema or "main", self.name.name)
        self._run(f"CREATE OR REPLACE VIEW {view} AS SELECT {columns} FROM ({every})")

    def touched(self) -> tuple[int, ...]:
        """Return the numbers of the files that have to be written anew: some of their rows are gone."""
        if self.retyped:
            return tuple(self._pieces)
        found = self._run(f"SELECT DISTINCT {FILE} FROM {self.gone} WHERE {FILE} <> {_HELD}").fetchall()
        return tuple(sorted(number for (number,) in found))

    def kept_rows(self, touched: Sequence[int]) -> str:
        """Return the query for the rows that have to be written: what is left of the files, and rows held back."""
        columns = ", ".join(quote(column.name) for column in self.columns or ())
        every = scan(self.layout, [self._pieces[number] for number in touched], positions=True)
        every += f"\nUNION ALL SELECT {columns}, {_HELD}, rowid FROM {self.held}"
        return f"SELECT * EXCLUDE ({FILE}, {ROW}) FROM ({every}) AS r ANTI JOIN {self.gone} USING ({FILE}, {ROW})"

    def held_rows(self) -> int:
        """Return how many rows are held back."""
        return self._count(self.held)

    def old(self, numbers: Sequence[int]) -> list[Piece]:
        """Return those of the files with these numbers that are the version's own."""
        return [self._pieces[number] for number in numbers if number not in self.new]

    def differs(self) -> bool:
        """Say whether there is something to commit."""
        if not self.exists:
            return False
        columns = self.base.columns if self.base else None
        changed = self.cleared or self.retyped or bool(self.new) or columns != self.columns
        return changed or bool(self._count(self.held) or self._count(self.gone))

    def committed(self, replaced: Sequence[int]) -> None:
        """Note that the new files are the table's, but for those that were replaced before anybody saw them."""
        self.place.remove((self.new[number].file.path for number in replaced if number in self.new), emptied=True)
        self.new.clear()

    def take_back(self) -> None:
        """Remove the new files, unless it turns out that they were committed after all."""
        paths = [new.file.path for new in self.new.values()]
        if self.committing and paths:
            if not self.place.local:
                return  # a commit without an answer may yet come to be; what no version lists is for VACUUM to remove
            try:
                listed = {file.path for file in opened(self.place).files()} if is_table(self.place) else set()
            except EmatixError:
                return  # nobody can say now; what no version lists is for VACUUM to remove
            paths = [path for path in paths if path not in listed]
        with suppress(EmatixError):  # the error that led here is the one to tell; what is left is for VACUUM to remove
            self.place.remove(paths, emptied=True)
        self.new.clear()
        if self.base is None:
            self.place.remove_empty()

    def named(self, table: TableName) -> TableChanges:
        """Have the table known by this name, which is another form of the one so far, and return the changes."""
        if table != self.name:
            self.name = table
            self.show(again=True)
        return self

    def _rows(self) -> int:
        """Return how many rows there are now, without a look at the files where the log tells it."""
        told = [piece.file.rows for piece in self._pieces.values()]
        if None not in told and not self._count(self.held) and not self._count(self.gone):
            return sum(rows or 0 for rows in told)
        self.show()
        return self._count(quote(self.name.schema, self.name.name))

    def _note(self, query: str, parameters: Mapping[str, Any]) -> int:
        self._require_changeable()
        _require_no_feed(self, "UPDATE and DELETE")
        self.looked_at = True
        create = f"CREATE OR REPLACE TEMP TABLE _ematix_changed AS {query}"
        with translated(create):
            self.duck.execute(create, dict(parameters) or None)
        count = self._count("_ematix_changed")
        once = self._count(f"(SELECT DISTINCT {FILE}, {ROW} FROM _ematix_changed)")
        if once < count:  # several rows of the FROM match one row: SQL takes any of them
            self._run(
                "CREATE OR REPLACE TEMP TABLE _ematix_changed AS "
                f"SELECT DISTINCT ON ({FILE}, {ROW}) * FROM _ematix_changed"
            )
        return once

    def _leave_out(self) -> None:
        self._run(f"INSERT INTO {self.gone} SELECT {FILE}, {ROW} FROM _ematix_changed")
        self._run("DROP TABLE _ematix_changed")
        self.show(again=True)

    def _require_changeable(self) -> None:
        if self.base is not None and self.base.append_only:
            raise UnsupportedError(
                f"the Delta table {self.name} takes new rows only (delta.appendOnly)", hint="Load it by append."
            )

    def _describe(self) -> None:
        nullable = dict(
            self._run(
                "SELECT column_name, is_nullable FROM duckdb_columns() WHERE database_name = 'temp'"
                f" AND table_name = '{self.held.name}'"
            ).fetchall()
        )
        held = relation(self.duck, f"SELECT * FROM {self.held} LIMIT 0", {})
        columns = plain_columns(held) or columns_from(plain_schema(held.to_arrow_table().schema))
        self.columns = tuple(Column(c.name, c.type, nullable[c.name]) for c in columns)
        for column in self.columns:
            sql_type(column)

    def _put(self, piece: Piece) -> None:
        self._pieces[piece.number] = piece
        self._next = piece.number + 1

    def _count(self, table: TableName | str) -> int:
        return int(self._run(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    def _run(self, sql: str) -> DuckDBPyConnection:
        with translated(sql):
            return self.duck.execute(sql)


def _require_no_feed(changes: TableChanges, what: str) -> None:
    """Refuse what takes files of changes, which delta-rs commits for nobody else."""
    if changes.base is not None and changes.base.change_feed:
        raise UnsupportedError(
            f"the Delta table {changes.name} keeps a change data feed, in which ematix cannot write {what}",
            hint="Load it by append or truncate, or set its property delta.enableChangeDataFeed to false.",
        )
