"""One transaction on Delta tables: DuckDB shows them as the session has changed them, one commit a table at the end."""

# ruff: noqa: S608 - statements are built from quoted names
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ematix_core.backends.delta.bookkeeping import Ledger
from ematix_core.backends.delta.publishing import publish
from ematix_core.backends.delta.settings import check_columns, require_partition
from ematix_core.backends.delta.tables import Tables
from ematix_core.backends.delta.writing import write
from ematix_core.backends.duck.binding import values
from ematix_core.backends.duck.connection import open_duck, quote, translated
from ematix_core.backends.duck.large_values import to_files
from ematix_core.backends.duck.memory import WORKING, room_for_large, room_to_compare, with_room
from ematix_core.backends.duck.names import table_names
from ematix_core.backends.duck.session import DuckSession
from ematix_core.backends.duck.temporary import is_temporary
from ematix_core.backends.feed import Feed
from ematix_core.errors import EmatixError, SqlError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.model.table import TableName
from ematix_core.sql.overlay import Change, Kind, parsed
from ematix_core.sql.parameters import bind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from ematix_core.backends.delta.bookkeeping import Books
    from ematix_core.backends.delta.changes import TableChanges
    from ematix_core.backends.delta.settings import Settings
    from ematix_core.backends.delta.versions import Versions
    from ematix_core.backends.protocols import LoadRecord, SourceFile
    from ematix_core.model.table import Column

_FEED = "_ematix_feed"


class DeltaSession(DuckSession):
    """Implements `Session`: what the tables of DuckDB itself are for a DuckSession is its staging."""

    def __init__(self, settings: Settings, versions: Versions, books: Books, *, read_only: bool = False) -> None:
        # A table has no order; kept, it would take more memory and leave small row groups: see backends.duckdb.
        duck = open_duck(**{"preserve_insertion_order": False, "memory_limit": f"{WORKING}MB", **settings.duckdb})
        settings.root.mount(duck)
        super().__init__("delta", duck, limited=settings.limited)
        self._settings = settings
        self._books = books
        books.begin()
        self._read_only = read_only
        self._tables = Tables(duck, settings, versions, self.reserve)
        self._group = 0
        self._pending: tuple[LoadRecord, tuple[SourceFile, ...]] | None = None

    def columns(self, table: TableName) -> tuple[Column, ...] | None:
        """Return the columns of the version that the session began with, or of a staging table."""
        if is_temporary(self.connection, table):
            return super().columns(table)
        return self._tables.of(table).columns

    def reserve(self, group: int) -> None:
        """Make room for Parquet row groups of so many bytes, unless there is more already."""
        if group > self._group:
            self._group = group
            super().reserve(group)

    def unique_keys(self, table: TableName, *, where: str = "") -> tuple[tuple[str, ...], ...]:
        """Return nothing: the format keeps no key unique."""
        del table, where
        return ()

    def check_mode(self, table: TableName, mode: str) -> None:
        """Raise UnsupportedError for a mode that changes rows of a table that takes new ones only."""
        base = self._tables.of(table).base
        if base is not None and base.append_only and mode != "append":
            raise UnsupportedError(
                f"the Delta table takes new rows only (delta.appendOnly), and mode {mode!r} changes rows",
                where=f"table {table}", hint="Load it by append.",
            )  # fmt: skip
        if base is not None and base.change_feed and mode not in {"append", "truncate"}:
            raise UnsupportedError(
                f"the Delta table keeps a change data feed, in which ematix cannot write the changes of mode {mode!r}",
                where=f"table {table}",
                hint="Load it by append or truncate, or set its property delta.enableChangeDataFeed to false.",
            )

    def load(self, table: TableName, columns: Sequence[Column], batches: pa.RecordBatchReader) -> int:
        """Write the batches into new files, or into a staging table."""
        if is_temporary(self.connection, table):
            return super().load(table, columns, batches)
        changes = self._writable(table)
        failpoint("delta.load.before")
        roomy = batches if self._limited else with_room(batches, self.connection, to_files)
        feed = self._feed = Feed("delta", columns, roomy)
        self.require_running()
        self._make_room(len(columns))
        self.connection.register(_FEED, feed.reader())
        try:
            self._write(changes, [column.name for column in columns], f"SELECT * FROM {_FEED}", {})
        except Exception as error:
            if feed.failure is not None:
                raise feed.failure from error
            raise
        finally:
            self._feed = None
            self.connection.unregister(_FEED)
        failpoint("delta.load.after")
        return feed.rows

    def insert(self, table: TableName, columns: Sequence[str], query: str, parameters: Mapping[str, Any]) -> int:
        """Write the query's rows into new files, or into a staging table."""
        sql, bound = bind(query, parameters, "named_dollar")
        self._tables.look(self._named(sql))
        if is_temporary(self.connection, table):
            return super().insert(table, columns, query, parameters)
        changes = self._writable(table)
        failpoint("delta.insert.before")
        self._make_room(len(columns), room_to_compare(self._staged))
        count = self._write(changes, columns, sql, values(dict(bound)))
        failpoint("delta.insert.after")
        return count

    def clear(self, table: TableName) -> int:
        """Begin the next version of the table with no rows."""
        if is_temporary(self.connection, table):
            return super().clear(table)
        return self._writable(table).clear()

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        """Run a statement: on staging as it is, on a table as a change that the commit makes."""
        sql, bound = bind(statement, parameters, "named_dollar")
        change = parsed(sql)
        if change.kind is Kind.CREATE_SCHEMA:
            return 0  # a schema is a folder
        if change.kind is Kind.OTHER or is_temporary(self.connection, change.table):
            self._require_own(change, statement)
            self._tables.look(change.names)
            return super().execute(statement, parameters)
        failpoint("delta.execute.before")
        self._room_for_staged({}, large=2 * self._large_in(change.names))
        count = self._changed(change, statement, values(dict(bound)))
        failpoint("delta.execute.after")
        return count

    def query(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Run a query over staging and tables as this session sees them."""
        self._tables.look(self._named(bind(statement, parameters, "named_dollar")[0]))
        return super().query(statement, parameters)

    def last_load(self, scope: str) -> LoadRecord | None:
        """Return the scope's latest load."""
        loads = self._ledger_of(scope).loads
        return loads[-1] if loads else None

    def find_load(self, scope: str, load_id: str) -> LoadRecord | None:
        """Return the load with this id."""
        return self._ledger_of(scope).find(load_id)

    def loaded_files(self, scope: str) -> frozenset[SourceFile]:
        """Return the files that loads of the scope have brought in."""
        return frozenset(self._ledger_of(scope).files)

    def record_load(self, record: LoadRecord, files: Sequence[SourceFile]) -> None:
        """Keep the bookkeeping for the commit."""
        failpoint("delta.record.before")
        self._pending = (record, tuple(files))
        failpoint("delta.record.after")

    def commit(self) -> None:
        """Make what was changed the next version of each table."""
        self.require_running()
        for changes in self._tables:
            self._make_room(len(changes.columns or ()))
        publish(list(self._tables), self._pending, self._settings, self._books)

    def take_back(self) -> None:
        """Remove the files that were written and not committed."""
        for changes in self._tables:
            changes.take_back()

    def release(self) -> None:
        """Give back the versions that were read. Called at the end, however the session ended."""
        super().release()
        self._tables.release()

    def _ledger_of(self, scope: str) -> Ledger:
        for changes in self._tables:
            if changes.base and (ledger := self._books.ledger(changes.base, scope)).number:
                return ledger
        pointed = self._books.table_of(scope)
        if not pointed:
            return Ledger()
        base = self._tables.of(TableName("", pointed)).base
        return self._books.ledger(base, scope) if base else Ledger()

    def _writable(self, table: TableName) -> TableChanges:
        if self._read_only:
            raise UnsupportedError(f"this session only looks at {table}")
        changes = self._tables.of(table)
        if not changes.exists:
            raise SqlError(f"there is no table {table}", statement=f"INSERT INTO {table}")
        return changes

    def _write(self, changes: TableChanges, columns: Sequence[str], query: str, bound: Mapping[str, Any]) -> int:
        every = [column.name for column in changes.columns or ()]
        if unknown := [name for name in columns if name not in every]:
            raise SqlError(f"table {changes.name} has no column {unknown[0]!r}", statement=query)
        aliases = {name: f"c{number}" for number, name in enumerate(columns)}
        selected = ", ".join(f"{aliases.get(name, 'NULL')} AS {quote(name)}" for name in every)
        sql = f"SELECT {selected} FROM ({query}\n) AS q({', '.join(aliases.values())})"
        with translated(sql, query):
            count, files = write(self.connection, sql, bound, changes.layout, self._settings)
        changes.add(files)
        self._staged = max(self._staged, count)
        return count

    def _changed(self, change: Change, statement: str, bound: Mapping[str, Any]) -> int:
        if self._read_only:
            raise UnsupportedError(f"this session only looks at {change.table}")
        changes = self._tables.of(change.table)
        self._tables.show(changes)
        self._tables.look([name for name in change.names if name != change.table])
        if change.kind is Kind.CREATE_TABLE:
            changes.create(change)
            check_columns(changes.columns or (), ())
            for column in changes.columns or ():
                if column.name in changes.partition_by:
                    require_partition(column)
            return 0
        if not changes.exists:
            raise SqlError(f"there is no table {change.table}", statement=statement)
        match change.kind:
            case Kind.ALTER:
                changes.alter(change)
                return 0
            case Kind.UPDATE:
                return changes.update(change, bound)
            case Kind.DELETE:
                return changes.delete(change, bound)
        columns, query = change.inserted([column.name for column in changes.columns or ()])
        return self._write(changes, columns, query, bound)

    def _large_in(self, names: Sequence[TableName]) -> int:
        """Return the MB for the large values of staged rows; those of files come in small row groups."""
        staged = [quote(name.schema, name.name) for name in names if is_temporary(self.connection, name)]
        return sum(room_for_large(self.connection, f"FROM {table}", {}) for table in staged)

    def _named(self, sql: str) -> tuple[TableName, ...]:
        try:
            return tuple(TableName(schema, name) for schema, name in table_names(self.connection, sql))
        except EmatixError:  # no query, or a faulty one: running it says so
            return ()

    def _require_own(self, change: Change, statement: str) -> None:
        """Raise UnsupportedError for a statement that would change something else than staging."""
        first = statement.split(None, 1)[0].upper() if statement.split() else ""
        if change.kind is not Kind.OTHER or first in {"SELECT", "WITH", "FROM"}:
            return
        own = bool(change.names) and is_temporary(self.connection, change.names[0])
        if not own and "TEMP" not in statement[:80].upper():
            raise UnsupportedError(
                "a Delta table takes INSERT, UPDATE, DELETE, new columns and wider types",
                where=f"statement {statement.strip()[:80]!r}",
                hint="Anything else can be done to temporary tables of the session only.",
            )
