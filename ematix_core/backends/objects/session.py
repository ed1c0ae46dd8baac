"""One transaction on the tables of a folder: staging in an in-process DuckDB, new files, one manifest at the end."""

# ruff: noqa: S608 - statements are built from quoted names and literals
from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.arrow import plain_schema, plain_table
from ematix_core.backends.duck.binding import values as bound_values
from ematix_core.backends.duck.connection import open_duck, quote, relation, translated
from ematix_core.backends.duck.names import table_names
from ematix_core.backends.duck.temporary import is_shown, is_temporary
from ematix_core.backends.feed import Feed
from ematix_core.backends.objects.changes import TableChanges
from ematix_core.backends.objects.copying import Output, copy
from ematix_core.backends.objects.dialect import DIALECT
from ematix_core.backends.objects.listing import table_listing
from ematix_core.backends.objects.manifest import History
from ematix_core.backends.objects.publishing import pointer, publish, take_back
from ematix_core.backends.objects.records import give_room, give_writer_memory, given_room, guarded, refused
from ematix_core.backends.objects.relations import Relations
from ematix_core.backends.objects.rewriting import Rewrites
from ematix_core.backends.objects.settings import check_columns
from ematix_core.backends.objects.staging import require_temporary
from ematix_core.backends.storage.paths import below
from ematix_core.errors import EmatixError, MissingSourceError, SqlError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.model.table import TableName, columns_from
from ematix_core.sql.overlay import Change, Kind, parsed
from ematix_core.sql.parameters import bind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from ematix_core.backends.objects.settings import Settings
    from ematix_core.backends.protocols import LoadRecord, LocalQuery, SourceFile
    from ematix_core.backends.storage.folder import Folder
    from ematix_core.model.table import Column

_FEED = "_ematix_feed"


class ObjectSession:
    """Implements `Session`. `read_only` sessions lock nothing and create nothing."""

    def __init__(self, store: Folder, settings: Settings, *, read_only: bool = False) -> None:
        self.store = store
        self.settings = settings
        self.read_only = read_only
        self.duck = open_duck(**settings.duckdb)
        store.mount(self.duck)
        self.relations = Relations(self.duck, settings)
        self._rewrites = Rewrites(self.duck)
        self.feed: Feed | None = None
        self._group = 0  # bytes that reading takes for a row group
        self._tables: dict[str, TableChanges] = {}
        self._pointed: dict[str, str] = {}  # where loads of a scope go, "" for nowhere
        self._locks = contextlib.ExitStack()
        self._pending: tuple[LoadRecord, tuple[SourceFile, ...]] | None = None

    def columns(self, table: TableName) -> tuple[Column, ...] | None:
        """Return the columns by the newest manifest, or of a staging table."""
        if is_temporary(self.duck, table):
            return _described(self.duck, f"SELECT * FROM {_name(table)}", {})
        return self._changes(table).columns()

    def unique_keys(self, table: TableName, *, where: str = "") -> tuple[tuple[str, ...], ...]:
        """Return nothing: files keep no key unique."""
        _ = table, where
        return ()

    def load(self, table: TableName, columns: Sequence[Column], batches: pa.RecordBatchReader) -> int:
        """Write the batches into new files, or into a staging table."""
        staged = is_temporary(self.duck, table)
        self.feed = feed = Feed("objects", columns, given_room(batches, self.duck, self.settings, staged=staged))
        if staged:
            return self._fed(feed, f"INSERT INTO {_name(table)} BY NAME SELECT * FROM {_FEED}")
        every = self._written(table, columns)
        give_writer_memory(self.duck, self.settings)
        failpoint("objects.load.before")
        rows = self._fed(feed, f"SELECT {_converted(every, _quoted(columns))} FROM {_FEED}", table)
        failpoint("objects.load.after")
        return rows

    def insert(self, table: TableName, columns: Sequence[str], query: str, parameters: Mapping[str, Any]) -> int:
        """Write the query's rows into new files, by DuckDB alone."""
        sql, values = self._bound(query, parameters)
        if is_temporary(self.duck, table):
            names = ", ".join(quote(name) for name in columns)
            return self._run(f"INSERT INTO {_name(table)} ({names}) {sql}", values)
        incoming = _described(self.duck, sql, values, query)
        if len(incoming) != len(columns):
            raise SqlError(f"the query gives {len(incoming)} columns for {len(columns)} of {table}", statement=query)
        every = self._written(table, [replace(c, name=name) for c, name in zip(incoming, columns, strict=True)])
        failpoint("objects.insert.before")
        aliases = {name: f"c{i}" for i, name in enumerate(columns)}
        read = f"FROM ({sql}\n) AS q({', '.join(aliases.values())})"
        with translated(sql, query):
            rows = self._copied(table, f"SELECT {_converted(every, aliases)} {read}", values)
        failpoint("objects.insert.after")
        return rows

    def clear(self, table: TableName) -> int:
        """Begin the next version of the table with no rows."""
        if is_temporary(self.duck, table):
            return self._run(f"DELETE FROM {_name(table)}", {})
        changes = self._writable(table)
        held = self._rewrites.take(changes.history.table)
        own = [f"{changes.history.data}/{file.path}" for file in changes.added]
        removed = changes.clear()
        self.store.remove(own)
        return self._rewrites.drop(held) if held else removed

    def prepare(self, local: LocalQuery) -> None:
        """Open the places of a local query and make room for its row groups; see `ReadingSession`."""
        for place in local.places:
            place.mount(self.duck)
        self._group = local.group

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        """Run a statement on temporary tables and views, or change rows of a table by UPDATE or DELETE.

        Such a change reads the whole table into DuckDB and has the commit write all of it anew, as `clear` and `load`
        would: it is meant for small tables. A change of no row writes nothing.
        """
        sql, values = self._bound(statement, parameters)
        change = parsed(sql)
        if change.kind in {Kind.UPDATE, Kind.DELETE} and not is_temporary(self.duck, change.table):
            return self._changed(change, values)
        require_temporary(self.duck, statement)
        return self._run(sql, values)

    def query(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Run a query over staging tables and the target's tables as this session sees them."""
        sql, values = self._bound(statement, parameters)
        with translated(sql):
            return plain_table(relation(self.duck, sql, values).to_arrow_table())

    def last_load(self, scope: str) -> LoadRecord | None:
        """Return the scope's latest load."""
        changes = self._of_scope(scope)
        return changes.base.last_load(scope) if changes and changes.base else None

    def find_load(self, scope: str, load_id: str) -> LoadRecord | None:
        """Return the load with this id."""
        changes = self._of_scope(scope)
        return changes.base.find_load(scope, load_id) if changes and changes.base else None

    def loaded_files(self, scope: str) -> frozenset[SourceFile]:
        """Return the files that loads of the scope have brought in."""
        changes = self._of_scope(scope)
        return frozenset(changes.base.loaded_files.get(scope, ())) if changes and changes.base else frozenset()

    def record_load(self, record: LoadRecord, files: Sequence[SourceFile]) -> None:
        """Keep the bookkeeping for the manifest."""
        failpoint("objects.record.before")
        self._pending = (record, tuple(files))
        failpoint("objects.record.after")

    def commit(self) -> None:
        """Publish the next version of each changed table."""
        for table in self._rewrites.tables():
            self._write_anew(table)
        publish(list(self._tables.values()), self._pending, self.store, self.settings, self._pointed)

    def rollback(self) -> None:
        """Remove the files that no committed version lists, as far as the place answers."""
        take_back(list(self._tables.values()), self.store)

    def close(self) -> None:
        """Release locks and DuckDB with its temporary files."""
        self.relations.close()
        self.duck.close()
        self._locks.close()

    def _changes(self, table: TableName | str) -> TableChanges:
        path = table if isinstance(table, str) else table_path(table)
        if path not in self._tables:
            history = History(self.store, path)
            if not self.read_only:
                self._locks.enter_context(history.locked(self.settings.lock_wait_seconds))
            base = history.newest() if self.read_only else history.repair()
            self._tables[path] = TableChanges(history, base, self.settings)
        return self._tables[path]

    def _of_scope(self, scope: str) -> TableChanges | None:
        for changes in self._tables.values():
            if changes.base and changes.base.last_load(scope):
                return changes
        if scope not in self._pointed:
            self._pointed[scope] = (self.store.read(pointer(scope)) or b"").decode()
        return self._changes(self._pointed[scope]) if self._pointed[scope] else None

    def _writable(self, table: TableName) -> TableChanges:
        if self.read_only:
            raise UnsupportedError(f"this session only looks at {table}")
        return self._changes(table)

    def _written(self, table: TableName, columns: Sequence[Column]) -> tuple[Column, ...]:
        """Return all columns of the table, those of the rows to be written taken in."""
        changes = self._writable(table)
        self._write_anew(table)
        check_columns(columns, self.settings.format)
        every = changes.extend(columns)
        check_columns(every, self.settings.format, self.settings.partition_by)
        return every

    def _changed(self, change: Change, values: Mapping[str, Any]) -> int:
        path = self._writable(change.table).history.table
        self._show(change.names)
        self._refresh(change.table)  # what was shown before the lock was held may be older
        failpoint("objects.execute.before")
        count = self._rewrites.change(path, change, values)
        self._refresh(change.table)
        failpoint("objects.execute.after")
        return count

    def _write_anew(self, table: TableName) -> None:
        """Replace the table's files by rows that statements have changed, if they have."""
        held = self._rewrites.take(table_path(table))
        if held is None:
            return
        if held.changed:
            columns = self._changes(table).columns() or ()
            self.clear(table)
            every = self._written(table, columns)
            self._copied(table, f"SELECT {_converted(every, _quoted(every))} FROM {held.rows}", {})
        self._hide(table)
        self._rewrites.drop(held)

    def _fed(self, feed: Feed, sql: str, table: TableName | None = None) -> int:
        """Run a statement that reads from the feed: into a staging table, or as a query into the table's files."""
        try:
            self.duck.register(_FEED, feed.reader())
            if table is None:
                self._run(sql, {})
            else:
                self._copied(table, sql, {})
        except (EmatixError, KeyboardInterrupt):
            if feed.failure is not None:
                raise feed.failure from None
            raise
        finally:
            self.duck.unregister(_FEED)
        return feed.rows

    def _copied(self, table: TableName, sql: str, values: Mapping[str, Any]) -> int:
        changes = self._changes(table)
        columns = changes.columns() or ()
        give_room(self.duck, self.settings, len(columns), self._group)
        sql = guarded(sql, columns, self.settings)
        with refused(), translated(sql):
            rows, files = copy(self.duck, sql, values, Output(self.store, changes.history.data, self.settings))
        unwanted = changes.add(rows, files)
        self.store.remove(f"{changes.history.data}/{file.path}" for file in unwanted)
        self._hide(table)
        return rows

    def _run(self, sql: str, values: Mapping[str, Any]) -> int:
        with translated(sql):
            rows = self.duck.execute(sql, dict(values) or None).fetchall()
        return int(rows[0][0]) if rows and isinstance(rows[0][0], int) else 0

    def _bound(self, sql: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the text as DuckDB takes it, with views for the tables that it reads."""
        text, found = bind(sql, parameters, "named_dollar")
        with contextlib.suppress(EmatixError):  # no query, or a faulty one: running it says so
            self._show(TableName(schema, name) for schema, name in table_names(self.duck, text))
        return text, bound_values(dict(found))

    def _show(self, tables: Iterable[TableName]) -> None:
        for table in tables:
            if table_path(table) and not is_shown(self.duck, table.schema, table.name):
                with contextlib.suppress(MissingSourceError):  # DuckDB says that there is no such table
                    self._refresh(table)

    def _hide(self, table: TableName) -> None:
        """Have the next statement that names the table see its files as they are then."""
        self.duck.execute(f"DROP VIEW IF EXISTS {quote(table.schema or 'main', table.name)}")

    def _refresh(self, table: TableName) -> None:
        """Show the table's files, uncommitted ones too, as a view of its name."""
        changes = self._tables.get(table_path(table))
        manifest = changes.manifest() if changes else History(self.store, table_path(table)).newest()
        if manifest is None or not len(manifest.schema):
            raise MissingSourceError(f"there is no table {table}")
        listing = table_listing(self.store, table_path(table), manifest)
        body = self._rewrites.shown(table_path(table)) or self.relations.query(listing)
        with translated(body):
            if table.schema:
                self.duck.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(table.schema)}")
            self.duck.execute(f"CREATE OR REPLACE VIEW {_name(table)} AS {body}")


def table_path(table: TableName) -> str:
    """Return a table's path below the connection: `analytics.events` is `analytics/events`."""
    return below(f"{table.schema}/{table.name}" if table.schema else table.name)


def _name(table: TableName) -> str:
    return quote(table.schema, table.name)


def _described(duck: DuckDBPyConnection, sql: str, values: Mapping[str, Any], written: str = "") -> tuple[Column, ...]:
    """Return the columns of a query; `written`: as `translated` takes it."""
    with translated(sql, written):
        found = relation(duck, sql, values).limit(0).to_arrow_reader(1).schema
    return columns_from(plain_schema(found))


def _quoted(columns: Sequence[Column]) -> dict[str, str]:
    return {column.name: quote(column.name) for column in columns}


def _converted(columns: Sequence[Column], given: Mapping[str, str]) -> str:
    """Return what is selected to be written: of each column the expression that is given, as files hold it."""
    kinds = (DIALECT.sql_type(column.type, column=column.name) for column in columns)
    pairs = zip(columns, kinds, strict=True)
    return ", ".join(f"CAST({given.get(c.name, 'NULL')} AS {kind}) AS {quote(c.name)}" for c, kind in pairs)
