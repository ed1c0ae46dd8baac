"""What a backend offers the engine, as structural protocols.

A backend module has three names: `DIALECT`, `source(connection) -> Source` and `target(connection) -> Target`; the
last two raise UnsupportedError where a system has no such role. See `stream_protocols` for two more. Connections arrive
with their secrets resolved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from ematix_core.backends.storage.folder import Folder
    from ematix_core.errors import EmatixError
    from ematix_core.model.connection import Connection
    from ematix_core.model.maintenance import Maintenance
    from ematix_core.model.table import Column, TableName
    from ematix_core.sql.dialect import Dialect
    from ematix_core.types import ColumnType


@dataclass(frozen=True)
class WantedType:
    """The type that a target has for a column.

    `declared`: by the user, so that a value may be rounded to its scale. `evolves`: the table's type follows the rows'.
    """

    type: type[ColumnType]
    declared: bool = False
    evolves: bool = False


@dataclass(frozen=True)
class Query:
    """What a job reads: SQL text with `:name` parameters, or a whole table or file pattern.

    Exactly one of `sql` and `table` is set. `columns`, when given, are the only ones needed of `table`.
    """

    sql: str = ""
    table: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    on_bad_rows: str = "fail"
    files: tuple[str, ...] | None = None
    """For file sources with `watermark="_file"`: read only these."""
    file_column: bool = False
    """For file sources: add the column `_file`."""
    wanted: Mapping[str, WantedType] = field(default_factory=dict)
    """For sources that guess types from text: those of the columns where the rows go, by name."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a file source: path below the connection, size in bytes, modification time in ns."""

    path: str
    size: int
    modified: int


@dataclass(frozen=True)
class LocalQuery:
    """A query whose rows reach the target without passing through the engine.

    In the words of the target's session: `setup` statements, then `sql` with `parameters`. Or, `relayed`, in the words
    of the source, whose rows cross over in the wire form that both systems have: see `RelayingSource`.
    """

    sql: str
    setup: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    relayed: bool = False
    group: int = 0
    """Bytes of the largest Parquet row group that is read, in the file; 0 when it is none that matters."""
    places: tuple[Folder, ...] = field(default=(), repr=False)
    """Object stores whose files are read."""


@dataclass(frozen=True)
class LoadRecord:
    """One committed load, kept in the target itself, in the same transaction as its rows.

    `scope` names job and target. `watermark` is JSON text or None. `counts` by Count value plus `rows_read`.
    `replaces`: the earlier records of the scope are of no more use, as those of a stream that goes on.
    """

    scope: str
    load_id: str
    loaded_at: datetime
    watermark: str | None
    counts: Mapping[str, int]
    replaces: bool = field(default=False, compare=False)


class Source(Protocol):
    """Reads rows. One object serves one attempt of one job, from one thread at a time."""

    dialect: Dialect

    def schema(self, query: Query) -> pa.Schema:
        """Return the query's schema without reading its rows. Called while planning; may block on the system.

        Raises SqlError (with the statement), MissingSourceError, ConnectError.
        """
        ...

    # A source may also have `interrupt()`, which stops its query from another thread: its reader raises CancelledError;
    # `guesses_types`, True where values are text: its queries are told the types that are `wanted`;
    # `columns(query) -> tuple[Column, ...]`: `columns_from` of its schema, told without Arrow;
    # for one that reads several systems `parts`, their sources, whose `exclusive` is asked instead of its own, and
    # `asks(query) -> tuple[tuple[str, str], ...]`, what it sends to each connection, by name, for plans;
    # and `take_functions(functions)`, called before anything else, when its queries can call functions of the user's;
    # `local_query` is not asked then, as the target's session does not know them.

    def read(self, query: Query) -> pa.RecordBatchReader:
        """Start the query and return its rows in bounded batches (at most 122,880 rows each).

        Called once an attempt. The reader holds the connection until it is exhausted or closed, and raises our
        errors while it is iterated, too: SourceError for a failure half-way, BadRowError for a malformed line.
        """
        ...

    def local_query(self, query: Query, target: Connection) -> LocalQuery | None:
        """Return the query in the target's own words when its session can read this source by itself, else None.

        Same database on both sides; files into a DuckDB session; a relay between two servers of one kind. Called
        while planning, after `schema`; does no work of its own.
        """
        ...

    def explain(self, error: EmatixError) -> EmatixError:
        """Return what an error of a target's session that ran `local_query` means here.

        A malformed line becomes BadRowError. Returns the error itself when the source has nothing to add.
        """
        ...

    def files(self, query: Query) -> Sequence[SourceFile] | None:
        """Return the files that the query would read, or None for sources that are no files."""
        ...

    def rejected(self) -> pa.Table | None:
        """After the last batch, with on_bad_rows="quarantine": the malformed lines (file, line, error, text)."""
        ...

    def exclusive(self) -> Path | None:
        """Return the file that no other process may have open meanwhile, or None. See `engine.queue`."""
        ...

    def check(self) -> str:
        """Open the system and return one line about it (product and version). For `flow connections check`."""
        ...

    def close(self) -> None:
        """Release everything. Called once, on success and failure alike."""
        ...


class RelayingSource(Source, Protocol):
    """A source whose `local_query` may be `relayed`."""

    def relay(self, local: LocalQuery, session: Session, table: TableName, columns: Sequence[str]) -> int:
        """Put the query's rows into the table of the target's session, by position, and return their number.

        Called instead of `Session.load`, with a session of the same kind as the source. Blocks until the last row.
        """
        ...


class Session(Protocol):
    """One transaction on a target. Everything it did becomes visible together on clean exit, or not at all.

    Used from one thread. Statements are in the dialect's grammar; parameters are `:name` by mapping.
    """

    def columns(self, table: TableName) -> tuple[Column, ...] | None:
        """Return the table's columns with their types, in order; None when there is no such table."""
        ...

    def unique_keys(self, table: TableName, *, where: str = "") -> tuple[tuple[str, ...], ...]:
        """Return the column sets that the system itself keeps unique (primary key, unique indexes).

        With `where`, those too that it keeps unique among the rows in which that boolean column is true.
        """
        ...

    def load(self, table: TableName, columns: Sequence[Column], batches: pa.RecordBatchReader) -> int:
        """Bulk-load the batches by the fastest path and return the number of rows. The table exists.

        `columns` are the batches' columns with their declared types, in order. Blocks until the reader ends; an
        error raised by the reader passes through unchanged.
        """
        ...

    def insert(self, table: TableName, columns: Sequence[str], query: str, parameters: Mapping[str, Any]) -> int:
        """Add the query's rows to the table, by position, and return their number."""
        ...

    def clear(self, table: TableName) -> int:
        """Remove all rows of the table from this session's view and return how many there were (0 if unknown)."""
        ...

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        """Run one statement and return the number of rows that it changed (0 for DDL). Raises SqlError."""
        ...

    def query(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Run a query with a small result and return all of it."""
        ...

    def last_load(self, scope: str) -> LoadRecord | None:
        """Return the latest committed load of the scope, or None."""
        ...

    def find_load(self, scope: str, load_id: str) -> LoadRecord | None:
        """Return the committed load with this id, or None: says whether this load was committed already."""
        ...

    def loaded_files(self, scope: str) -> frozenset[SourceFile]:
        """Return the files that earlier loads of the scope have brought in."""
        ...

    def record_load(self, record: LoadRecord, files: Sequence[SourceFile]) -> None:
        """Write the bookkeeping of this load, in this transaction. Called once, last.

        It belongs to the table that the session was asked about first; others that it changed are side tables.
        """
        ...


class KeyCheckingSession(Session, Protocol):
    """A session of a system in which an existing table's key may take different values for one."""

    def check_keys(self, table: TableName, keys: Sequence[str]) -> None:
        """Raise UnsupportedError naming the column of the key, such as one whose collation ignores case.

        Called while a merge into an existing table is planned.
        """
        ...


class IndexedSession(Session, Protocol):
    """A session of a system that finds a row by its key slowly where the table has no index on it."""

    def missing_index(self, table: TableName, keys: Sequence[str], *, where: str = "") -> str:
        """Return the statement that makes an index on the keys; empty when one begins with one of them.

        `where` is as for `unique_keys`. Called while a load in one of the modes `scans_for_keys` is planned.
        """
        ...


class ModeCheckingSession(Session, Protocol):
    """A session of a system in which an existing table may refuse some modes."""

    def check_mode(self, table: TableName, mode: str) -> None:
        """Raise UnsupportedError for a mode that this table does not take. Called while a load of it is planned."""
        ...


class LookingSession(Session, Protocol):
    """A session that knows through what else its tables are read.

    Without it, a `truncate` of rows from the same database stages them first, whatever they come from.
    """

    def readers(self, table: TableName) -> Sequence[str] | None:
        """Return the names by which a query may read the table although they are not its own.

        Views, functions, tables of which it is a part. None when emptying the table may change others, too (a foreign
        key that cascades, a trigger), or when that cannot be told. Called while a `truncate` is planned.
        """
        ...


class ReadingSession(Session, Protocol):
    """A session that reads files by itself: it has to know where they are, and how much memory that takes."""

    def prepare(self, local: LocalQuery) -> None:
        """Open the query's places, and make room for its row groups. Called before a local query that has such."""
        ...


class PartingSession(Session, Protocol):
    """A session of a system whose Dialect has a `row_number`."""

    def parts(self, table: TableName) -> Sequence[tuple[int, int]]:
        """Return ranges of row numbers, ends excluded, that have all rows of a work table between them."""
        ...


class MakingSession(Session, Protocol):
    """A session of a system whose Dialect says `creates_filled`."""

    def make(
        self,
        table: TableName,
        columns: Sequence[Column],
        rows: str,
        query: str,
        parameters: Mapping[str, Any],
        *,
        temporary: bool,
    ) -> int:
        """Make the table of what `query` says of the rows of the query `rows`, and return its number of rows.

        `query` reads them as SOURCE (see `sql.shape`), and may read the target, to which nobody else writes any more.
        `columns` are the rows' columns, of the types that staging would have.
        """
        ...


class MaintainingTarget(Protocol):
    """A target of a system whose Dialect names steps of `maintenance`."""

    def check_maintenance(self, table: TableName, steps: Sequence[Maintenance]) -> None:
        """Raise UnsupportedError for a step that this very table cannot be given. The table may not exist yet."""
        ...

    def maintain(
        self, table: TableName, step: Maintenance, at: datetime, *, only_due: bool, dry_run: bool
    ) -> Mapping[str, int] | None:
        """Carry out the step outside of any transaction and return its counts; None when it is not due.

        Called after the commit, or by hand; may run beside other writers and may be killed: neither may lose a row.
        `at` is the time, which is noted for `every`. `only_due`: when the step's `every` says so, else at once.
        `dry_run`: return what the counts would be, as far as the system can tell, and change nothing.
        Raises ConflictError when other writers kept it from coming to an end, MissingSourceError without a table.
        """
        ...


class Target(Protocol):
    """Writes rows. One object serves one attempt of one job."""

    # A target may also have `connected()`, a context manager: the sessions within it share what it connects by.

    dialect: Dialect

    def session(self) -> AbstractContextManager[Session]:
        """Open a transaction. Commits on clean exit, rolls back on any exception (KeyboardInterrupt included).

        Raises ConnectError or LockedError. Failpoints: `<kind>.begin.after`, `<kind>.commit.before`, `.after`.
        """
        ...

    def inspect(self) -> AbstractContextManager[Session]:
        """Open a session for reading only, without creating anything (a missing file is an empty database)."""
        ...

    def check_columns(self, columns: Sequence[Column]) -> None:
        """Raise UnsupportedError for a column that this very target cannot hold, though its Dialect could."""
        ...

    def interrupt(self) -> None:
        """Stop what the session is doing, from another thread; its call raises and it rolls back."""
        ...

    def exclusive(self) -> Path | None:
        """Return the file that no other process may have open meanwhile, or None."""
        ...

    def close(self) -> None:
        """Release everything. Called once."""
        ...
