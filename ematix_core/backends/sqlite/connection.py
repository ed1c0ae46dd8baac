"""One ADBC connection to a SQLite file: opening, statements, transactions, and SQLite's errors in our words."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote

from ematix_core.errors import (
    ConfigError,
    ConnectError,
    ConversionError,
    DiskFullError,
    EmatixError,
    KeyViolationError,
    LockedError,
    MissingDriverError,
    RunError,
    SqlError,
    near,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    import pyarrow as pa

BATCH_ROWS = 32_768
"""Rows of a batch read: half of it costs a tenth more CPU time, twice as many only memory."""
PASSING, FINDING = -8_192, -65_536
"""KiB of cache, as SQLite writes it. 8 MB where pages are come to once: a scan, or rows added to a table without keys.

64 MB where they are found by keys: with 8 MB, 200,000 rows into a table of 1M with a unique index on random text take
twice the CPU time. A scan of 6M rows is no faster with them, and adding 6M rows takes 8.3 s of CPU with either.
"""
PRAGMAS: Mapping[str, Any] = {
    "busy_timeout": 2_000,  # milliseconds; the queue of one-writer systems does the long waiting, with a word about it
    "cache_size": FINDING,
}
"""What each connection sets; the connection's options override them. journal_mode, synchronous and foreign_keys stay
as the file and its owner have them: a commit is as safe as SQLite makes it. temp_store stays a file: the staging table
of 3M rows takes 66 MB of memory so, and 290 MB with MEMORY, which is no faster."""


def driver() -> ModuleType:
    """Return the ADBC module. Raises MissingDriverError when it is not installed."""
    try:
        import adbc_driver_sqlite.dbapi
    except ImportError as error:
        raise MissingDriverError("sqlite", "adbc-driver-sqlite", "sqlite") from error
    return adbc_driver_sqlite.dbapi


class Database:
    """A connection with statements by position (`?`). Use from one thread."""

    def __init__(self, path: Path | None, options: Mapping[str, Any], *, create: bool = False) -> None:
        self.name = str(path or ":memory:")
        dbapi = driver()
        with self.translated("open"):
            self.adbc = dbapi.connect(_uri(path, create=create), autocommit=False)
        self._cursor = self.adbc.cursor()
        self._streams: list[Any] = []
        self._cache_is_given = "cache_size" in options
        try:
            self.rows("ROLLBACK")  # ADBC has begun a transaction, and some pragmas cannot be set inside one
            self._configure(options)
            self.rows("BEGIN")
        except BaseException:
            self.close()
            raise

    def _configure(self, options: Mapping[str, Any]) -> None:
        known = {str(name) for (name,) in self.rows("PRAGMA pragma_list")}
        for name, value in {**PRAGMAS, **options}.items():
            if name not in known:
                raise ConfigError(f"{name!r} is no PRAGMA of SQLite", hint=near(name, known).partition("Known:")[0])
            if not re.fullmatch(r"-?\w+", str(value)):
                raise ConfigError(f"the PRAGMA {name} cannot be set to {value!r}")
            self.rows(f"PRAGMA {name} = {value}")

    def cache(self, size: int) -> None:
        """Change the size of the cache, PASSING or FINDING, unless the connection's options say it."""
        if not self._cache_is_given:
            self.rows(f"PRAGMA cache_size = {size}")

    def begin_writing(self) -> None:
        """Take the write lock now, so that nothing read in this transaction can change before it writes."""
        self.rows("ROLLBACK")
        try:
            self.rows("BEGIN IMMEDIATE")
        except BaseException:
            self.rows("BEGIN")  # what the driver believes to be in
            raise

    def commit(self) -> None:
        """Commit, and begin the next transaction."""
        with self.translated("COMMIT"):
            self.adbc.commit()

    def roll_back(self) -> None:
        """Roll back, and begin the next transaction. SQLite rolls back by itself when a disk is full, for instance."""
        try:
            self.adbc.rollback()
        except driver().Error as error:
            if "no transaction is active" not in str(error):
                raise
            self.rows("BEGIN")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with self.translated(sql):
            self._cursor.execute(sql, tuple(values) or None)
            return list(self._cursor.fetchall())

    def changes(self, sql: str, values: Sequence[Any]) -> int:
        """Run one statement and return how many rows it changed: ADBC does not tell, so SQLite is asked."""
        before = self.rows("SELECT total_changes()")
        self.rows(sql, values)
        if self.rows("SELECT total_changes()") == before:
            return 0  # changes() would still tell of the statement before a DDL statement
        return int(self.rows("SELECT changes()")[0][0])

    def stream(self, sql: str, values: Sequence[Any], *, batch_rows: int = BATCH_ROWS) -> pa.RecordBatchReader:
        """Run a query and return its rows as ADBC types them; the reader keeps a cursor of its own open."""
        cursor = self.adbc.cursor()
        try:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": batch_rows})
            with self.translated(sql):
                cursor.execute(sql, tuple(values) or None)
                reader: pa.RecordBatchReader = cursor.fetch_record_batch()
        except BaseException:
            cursor.close()
            raise
        self._streams.append(cursor)
        return reader

    def ingest(self, table: str, reader: pa.RecordBatchReader, *, temporary: bool) -> None:
        """Insert the reader's batches by column name, inside the running transaction."""
        with self.translated(f"INSERT INTO {table}"):
            self._cursor.adbc_ingest(table, reader, mode="append", temporary=temporary)

    def end_streams(self) -> None:
        """Close the cursors of `stream`: an open one keeps a lock on the file."""
        while self._streams:
            self._streams.pop().close()

    def close(self) -> None:
        """Close everything; what is not committed is rolled back."""
        self.end_streams()
        self._cursor.close()
        self.adbc.close()

    @contextmanager
    def translated(self, statement: str) -> Iterator[None]:
        """Raise ADBC's errors as ours; a reader's errors arrive as OSError."""
        dbapi = driver()
        try:
            yield
        except dbapi.Error as error:
            raise translate(error, statement, self.name) from error
        except OSError as error:
            if error.errno is not None:  # of the operating system; Arrow's have none
                raise
            raise translate(error, statement, self.name) from error


def _uri(path: Path | None, *, create: bool) -> str:
    """Return the file's address: SQLite would make a missing file when it is only read."""
    if path is None:
        return ":memory:"
    writable = os.access(path, os.W_OK) if path.exists() else create
    mode = "rwc" if create else "rw" if writable else "ro"
    return f"file:{url_quote(str(path))}?mode={mode}"


_PREFIX = re.compile(r"^(?:[A-Z_]+: )?(?:\[SQLite\] )?(?:[Ff]ailed to \w+(?: query)?: )?")
_BY_MESSAGE: tuple[tuple[re.Pattern[str], type[EmatixError], str], ...] = (
    (re.compile("database or disk is full"), DiskFullError, "Free space there. Nothing was committed."),
    (re.compile("not a database|malformed|unsupported file format"), ConnectError, "Check the path, or the file."),
    (re.compile("readonly database"), RunError, "The file or its folder cannot be written: check the permissions."),
    (re.compile("disk I/O error"), RunError, ""),
    (re.compile("UNIQUE constraint failed"), KeyViolationError, ""),
    (re.compile("NOT NULL constraint failed|datatype mismatch|out of range of int64"), ConversionError, ""),
)
_AT = re.compile(r'near "(.+?)": syntax error|no such (?:column|table|function): (?:main\.|temp\.)?(\S+)')


def translate(error: Exception, statement: str, database: str) -> EmatixError:
    """Return the error of our tree that says what SQLite's error means."""
    message = _PREFIX.sub("", str(error).partition("\nquery")[0])
    if "is locked" in message:
        return LockedError(
            f"the SQLite file {database} is locked by another program",
            hint="Wait until it ends, or raise the connection's option busy_timeout (milliseconds).",
        )
    if "failed to open" in str(error) or "unable to open" in message:
        return _cannot_open(database)
    for pattern, kind, hint in _BY_MESSAGE:
        if pattern.search(message):
            return kind(message, where=f"SQLite file {database}", hint=hint)
    return SqlError(message, statement=statement, position=_position(message, statement))


def _cannot_open(database: str) -> ConnectError:
    path = Path(database)
    if not path.parent.is_dir():
        folder = path.parent
        return ConnectError(f"cannot open {path}: there is no folder {folder}", hint=f"Run: mkdir -p {folder}")
    if not path.exists():
        return ConnectError(f"there is no SQLite file {path}", hint="A source is never created: check path=.")
    return ConnectError(f"cannot open the SQLite file {path}", hint="Is it a file, and may this user read it?")


def _position(message: str, statement: str) -> int | None:
    """Return where the word that SQLite complains about stands, when it stands in one place only."""
    if message == "incomplete input":
        return len(statement)
    found = _AT.search(message)
    if found is None:
        return None
    word = found[1] or found[2].rpartition(".")[2]
    places = [m.start() for m in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", statement)]
    return places[0] if len(places) == 1 else None
