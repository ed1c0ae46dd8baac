"""Reading: a job's SQL on DuckDB, where a name in FROM is a path, glob, folder or table below the connection."""

# ruff: noqa: S608 - statements are built from quoted names and literals
from __future__ import annotations

import contextlib
import re
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.arrow import plain_batches, plain_schema
from ematix_core.backends.duck.binding import values
from ematix_core.backends.duck.connection import (
    BATCH_ROWS,
    as_written,
    driver,
    open_duck,
    quote,
    relation,
    table_of,
    translate,
    translated,
)
from ematix_core.backends.duck.functions import register
from ematix_core.backends.duck.groups import largest_group
from ematix_core.backends.duck.names import TableReference, table_names
from ematix_core.backends.duck.renaming import as_asked, renamed, views
from ematix_core.backends.duck.types import plain_columns
from ematix_core.backends.duck.untouched import untouched
from ematix_core.backends.objects.csv_files import BadRow
from ematix_core.backends.objects.dialect import DIALECT
from ematix_core.backends.objects.listing import Listing, find
from ematix_core.backends.objects.malformed import as_error, malformed
from ematix_core.backends.objects.reading import Reading
from ematix_core.backends.objects.records import give_room
from ematix_core.backends.objects.relations import Relations
from ematix_core.backends.objects.settings import format_of, settings_of
from ematix_core.backends.protocols import LocalQuery, Query, SourceFile
from ematix_core.backends.storage.handover import cause_of, handed_over
from ematix_core.errors import BadRowError, ConnectError, DiskFullError, EmatixError, RunError, SourceError, SqlError
from ematix_core.model.table import columns_from
from ematix_core.sql.parameters import bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from ematix_core.backends.objects.csv_files import CsvGroup
    from ematix_core.backends.objects.jsonl_files import JsonlGroup
    from ematix_core.backends.protocols import WantedType
    from ematix_core.backends.storage.folder import Folder
    from ematix_core.model.connection import Connection
    from ematix_core.model.function import Function
    from ematix_core.model.table import Column
    from ematix_core.sql.dialect import Dialect

_LOCAL_TARGETS = frozenset({"duckdb", "memory", "objects", "delta"})
_COUNTED = 10_000
_AS_PARQUET = ("Parquet file", "No magic bytes")
_DATA_ERRORS = ("ConversionException", "InvalidInputException", "OutOfRangeException", "SerializationException")


class ObjectSource:
    """Reads files below one connection."""

    dialect: Dialect = DIALECT
    guesses_types = True

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.settings = settings_of(connection)
        self.store = self.settings.folder()
        self._duck: DuckDBPyConnection | None = None
        self._reading: pa.RecordBatchReader | None = None
        self._relations: Relations | None = None
        self._local: Relations | None = None
        self._asked = ("", "")
        self._complete = False
        self._sampled: dict[object, Sequence[CsvGroup | JsonlGroup]] = {}
        self._found: dict[str, Listing] = {}  # a job reads the files that it was planned for

    def take_functions(self, functions: Sequence[Function]) -> None:
        """Let the queries call these functions of the user's."""
        register(self._opened(), functions)

    def schema(self, query: Query) -> pa.Schema:
        """Return the columns that the query gives; reads footers, headers and samples, not the rows."""
        sql, parameters = self._prepare(query)
        with self._told(sql, query.sql):
            return plain_schema(table_of(self._opened(), sql, parameters).limit(0).to_arrow_reader(1).schema)

    def columns(self, query: Query) -> tuple[Column, ...]:
        """Return the columns that the query gives, without Arrow where their types are the usual ones."""
        try:
            return self._columns(query)
        except SqlError:
            if query.files is None or self._complete:
                raise
        self._complete = True  # the new files may lack a column of others: only now are all looked at
        return self._columns(query)

    def _columns(self, query: Query) -> tuple[Column, ...]:
        sql, parameters = self._prepare(query)
        with self._told(sql, query.sql):
            found = plain_columns(table_of(self._opened(), sql, parameters))
        return found if found is not None else columns_from(self.schema(query))

    def read(self, query: Query) -> pa.RecordBatchReader:
        """Start the query."""
        import pyarrow as pa

        sql, parameters = self._prepare(query)
        schema, reader = self._reader(sql, parameters, query.sql)
        return pa.RecordBatchReader.from_batches(schema, self._batches(reader, schema, query.sql or sql))

    def read_listing(
        self, listing: Listing, leave_out: Callable[[pa.Table], None] | None = None,
        wanted: Mapping[str, WantedType] = MappingProxyType({}),
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        """Yield the rows of files that a tail has found by itself, in their order; then let go of what they took.

        `leave_out`: takes the malformed lines after the last row, see `rejected`; without it they are an error.
        `wanted`: see `Query`.
        """
        relations = Relations(self._opened(), self.settings, leave_out is not None, reading=Reading.of(wanted))
        self._relations = relations
        try:
            with self._told(listing.name):
                sql = relations.query(listing)
            schema, reader = self._reader(sql, {})
            try:
                yield from self._batches(reader, schema, sql)
                if leave_out is not None and (bad := self.rejected()) is not None and bad.num_rows:
                    leave_out(bad)
            finally:
                reader.close()
        finally:
            relations.close()

    def _reader(
        self, sql: str, parameters: dict[str, Any], written: str = ""
    ) -> tuple[pa.Schema, pa.RecordBatchReader]:
        with self._told(sql, written):
            found = relation(self._opened(), sql, parameters)
            give_room(self._opened(), self.settings, len(found.columns), self._group(self._relations))
            reader = found.to_arrow_reader(BATCH_ROWS)
        self._reading = reader
        return plain_schema(reader.schema), reader

    def _batches(self, reader: pa.RecordBatchReader, schema: pa.Schema, sql: str) -> Iterator[pa.RecordBatch]:
        while True:
            with self._told(sql):
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
            yield from plain_batches([batch], schema)

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return the query with the views that make it run in another DuckDB session; see `explain` for its errors."""
        if target.kind not in _LOCAL_TARGETS or query.on_bad_rows != "fail":
            return None
        names = views(self._names(query))
        relations = self._related(query)
        setup = []
        for (schema, name), view in names.items():
            body = _body(relations, self._find(schema, name), query, complete=self._complete)
            setup.append(f"CREATE OR REPLACE TEMP VIEW {quote(view)} AS {body}")
        self._local = relations
        sql = renamed(self._opened(), query.sql or f"SELECT * FROM {quote(query.table)}", query.parameters, names)
        if sql is None or not relations.portable:
            return None
        self._asked = (sql, query.sql)
        places = () if self.store.local else (self.store,)
        return LocalQuery(sql, tuple(setup), dict(query.parameters), group=self._group(relations), places=places)

    def explain(self, error: EmatixError) -> EmatixError:
        """Return what an error of a session that ran `local_query` says in terms of files: BadRowError with its line.

        Returns the error itself when no line is to blame.
        """
        return self._bad_row(self._local) or as_asked(error, *self._asked)

    def files(self, query: Query) -> Sequence[SourceFile]:
        """Return the files that the query reads, in order of their paths."""
        found: dict[str, SourceFile] = {}
        for schema, name in self._names(query):
            for file in self._find(schema, name).only(query.files).files:
                modified = file.modified or self.store.modified(file.location)
                found[file.path] = SourceFile(file.path, file.size, modified)
        return [found[path] for path in sorted(found)]

    def rejected(self) -> pa.Table | None:
        """Return the lines left out by the last read with on_bad_rows="quarantine"."""
        relations = self._relations
        if relations is None or not relations.quarantine:
            return None
        return malformed(self._opened(), relations.text_groups)

    def interrupt(self) -> None:
        """Stop the query, from another thread."""
        if (duck := self._duck) is not None:
            duck.interrupt()

    def exclusive(self) -> Path | None:
        """Return None: files are read by any number of processes."""
        return None

    def check(self) -> str:
        """Say what is there."""
        if not self.store.is_folder(""):
            raise ConnectError(f"there is no folder {self.store.shown}", hint=f"Run: mkdir -p {self.store.shown}")
        count = sum(1 for _ in islice(self.store.walk(), _COUNTED))
        most = " or more" if count == _COUNTED else ""
        return f"folder {self.store.shown}, {count}{most} data files, read with DuckDB {driver().__version__}"

    def close(self) -> None:
        """Close DuckDB and remove temporary files."""
        for relations in (self._relations, self._local):
            if relations is not None:
                relations.close()
        if self._reading is not None:
            self._reading.close()  # first: what still runs may call a function of the connection
        if self._duck is not None:
            self._duck.close()
            self._duck = None

    def _opened(self) -> DuckDBPyConnection:
        if self._duck is None:
            self._duck = open_duck(**self.settings.duckdb)
            self.store.mount(self._duck)
        return self._duck

    def _prepare(self, query: Query) -> tuple[str, dict[str, Any]]:
        """Make a view for each name of the query and return its text as DuckDB takes it."""
        duck = self._opened()
        names = self._names(query)
        self._relations = self._related(query)
        for schema, name in names:
            listing = self._find(schema, name)
            with self._told(query.sql or query.table):
                body = _body(self._relations, listing, query, complete=self._complete)
                if schema:
                    duck.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
                duck.execute(f"CREATE OR REPLACE VIEW {quote(schema, name)} AS {body}")
        if not query.sql:
            return f"SELECT * FROM {quote(*names[0])}", {}
        sql, parameters = bind(query.sql, query.parameters, "named_dollar")
        return sql, values(dict(parameters))

    def _related(self, query: Query) -> Relations:
        left_out = query.on_bad_rows == "quarantine"
        return Relations(
            self._opened(), self.settings, left_out, sampled=self._sampled, reading=_reading(self._opened(), query)
        )

    def _names(self, query: Query) -> tuple[TableReference, ...]:
        if not query.sql:
            return (("", query.table),)
        sql, _ = bind(query.sql, query.parameters, "named_dollar")
        with translated(sql, query.sql):
            return table_names(self._opened(), sql)

    def _group(self, relations: Relations | None) -> int:
        files = relations.parquet if relations else ()
        return largest_group(self._opened(), ((file.location, file.size) for file in files))

    def _find(self, schema: str, name: str) -> Listing:
        below = "" if schema == self.connection.name else schema
        if (key := f"{below}/{name}") not in self._found:
            self._found[key] = find(self.store, name, below)
        return self._found[key]

    @contextlib.contextmanager
    def _told(self, sql: str, written: str = "") -> Iterator[None]:
        """Raise what goes wrong in DuckDB or Arrow as our errors, a malformed line as BadRowError.

        `written`: see `translated`.
        """
        try:
            yield
        except _failures() as error:
            raise as_written(self._said(error, sql), written) from cause_of(error)
        except RunError as error:
            cause = error.__cause__
            said = self._said(cause, sql) if isinstance(cause, driver().Error) else error
            raise (said if isinstance(said, SourceError) else as_written(error, written)) from cause

    def _said(self, error: BaseException, sql: str) -> EmatixError:
        text = str(error)
        if (ours := handed_over(error)) is not None:
            return ours
        if "Permission denied" in text:
            return ConnectError(f"cannot read: {text.splitlines()[0]}", hint="Check the permissions of the file.")
        # Errors of a running query reach Arrow's reader as OSError with DuckDB's text.
        if isinstance(error, OSError) or any(isinstance(error, getattr(driver(), name)) for name in _DATA_ERRORS):
            bad = self._bad_row(self._relations) or _cast_of_query(text, self.store)
            if bad is not None:
                return bad
        if isinstance(error, driver().Error):
            return _file_error(text, self.store) or translate(error, sql)
        return _file_error(text, self.store) or SourceError(f"reading failed: {text.splitlines()[0]}")

    def _bad_row(self, relations: Relations | None) -> BadRowError | None:
        """Read the text files of the failed query once more, to find the first malformed line."""
        for group in relations.text_groups if relations else ():
            for file in group.files:
                with contextlib.suppress(driver().Error):
                    found = group.bad_rows(file, most=100)
                    if found:
                        return as_error(found[0])
        return None


def _reading(duck: DuckDBPyConnection, query: Query) -> Reading:
    """Return by which types text is read: those of the target, for columns that the query only hands on."""
    if not query.wanted or not query.sql:
        return Reading.of(query.wanted)
    sql, _ = bind(query.sql, query.parameters, "named_dollar")
    passing = untouched(duck, sql, query.wanted)
    return Reading.of({name: wanted for name, wanted in query.wanted.items() if name in passing})


def _body(relations: Relations, listing: Listing, query: Query, *, complete: bool) -> str:
    """Return a name's files as a query; `complete`: with the columns that only files have which are not read."""
    if complete and query.files is not None:
        return relations.completed(listing, only=query.files, file_column=query.file_column)
    return relations.query(listing, only=query.files, file_column=query.file_column)


def _cast_of_query(text: str, store: Folder) -> BadRowError | None:
    """Return the error of a CAST in the user's query, which DuckDB does in its CSV reader."""
    found = re.search(r"CSV Error on Line: (\d+)\nOriginal Line: (.*)\n(.*)", text)
    path = re.search(r"^\s*file = (.*)$", text, re.MULTILINE)
    if not found or not path:
        return None
    file = store.path(path[1])
    return as_error(BadRow(file, int(found[1]), "", found[3], found[2]))


def _failures() -> tuple[type[Exception], ...]:
    """Return what goes wrong in DuckDB or Arrow. Asked only when something did, so that it imports Arrow at no cost."""
    import pyarrow as pa

    return driver().Error, pa.ArrowException, OSError


def _file_error(text: str, store: Folder) -> SourceError | DiskFullError | None:
    """Return the error of a damaged file, by the path in DuckDB's message."""
    if "No space left" in text:
        return None
    head = text.splitlines()[0]
    place = store.location("")
    if place in head and "LINE " not in head:
        hint = "The file is damaged or of another format than its ending says."
        named = re.search(r"'([^']+)'", head)
        if named and not format_of(named[1])[0] and any(words in head for words in _AS_PARQUET):
            hint = "Its ending tells no format, so it was read as Parquet: pass the connection's format=, or rename it."
        return SourceError(f"cannot read a file: {head.partition(': ')[2].replace(place, store.shown)}", hint=hint)
    return None
