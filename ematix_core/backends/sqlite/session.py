"""One transaction on a SQLite file."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.backends.feed import Feed
from ematix_core.backends.ledger import LedgerSession, SqlLedger
from ematix_core.backends.sqlite import forms
from ematix_core.backends.sqlite.connection import FINDING, PASSING
from ematix_core.backends.sqlite.declared import TYPES, column_type
from ematix_core.backends.sqlite.reading import TypedQuery
from ematix_core.errors import CancelledError, SqlError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.model.table import Column, TableName
from ematix_core.sql.parameters import bind, single
from ematix_core.types import Text, from_arrow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from ematix_core.backends.sqlite.connection import Database

_READERS = "SELECT name FROM sqlite_master WHERE type = 'view' OR sql LIKE 'CREATE VIRTUAL%'"
# Triggers, and foreign keys that do more than to forbid.
_ENTANGLED = """
SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE
UNION ALL SELECT 1 FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS f
WHERE m.type = 'table' AND f."table" = ? COLLATE NOCASE AND f.on_delete NOT IN ('RESTRICT', 'NO ACTION') LIMIT 1
"""


def quote(name: str) -> str:
    """Return a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def local_name(table: TableName) -> str:
    """Return the table's name in the file, which has no schemas: `analytics.orders` is `analytics_orders`."""
    return f"{table.schema}_{table.name}" if table.schema not in {"", "main"} else table.name


class SQLiteSession(LedgerSession):
    """Statements, loads and bookkeeping on one connection."""

    kind = "sqlite"

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stopped = False
        self._feed: Feed | None = None
        self._ledger = SqlLedger(self, text="TEXT")

    def columns(self, table: TableName) -> tuple[Column, ...] | None:
        """Read the declared types; where they say nothing, look at the values."""
        self._require_running()
        name = local_name(table)
        found = self.database.rows(f"PRAGMA table_info({quote(name)})")
        if not found:
            return None
        known = {str(row[1]): column_type(str(row[2])) if row[2] else None for row in found}
        seen = {}
        if None in known.values():
            schema = TypedQuery(self.database, f"SELECT * FROM {quote(name)}", {}).schema  # noqa: S608 - quoted names
            seen = {field.name: from_arrow(field.type) for field in schema}
        return tuple(
            Column(str(row[1]), known[str(row[1])] or seen.get(str(row[1]), Text), not row[3] and not row[5])
            for row in found
        )

    def unique_keys(self, table: TableName, *, where: str = "") -> tuple[tuple[str, ...], ...]:
        """Return the primary key and the unique indexes over plain columns, of all rows or of those `where`."""
        name = quote(local_name(table))
        primary = sorted((row[5], str(row[1])) for row in self.database.rows(f"PRAGMA table_info({name})") if row[5])
        keys = [tuple(column for _, column in primary)] if primary else []
        for row in self.database.rows(f"PRAGMA index_list({name})"):
            unique, partial = row[2], row[4]
            if unique and (not partial or self._is_for(str(row[1]), where)):
                key = tuple(part[2] for part in self.database.rows(f"PRAGMA index_info({quote(str(row[1]))})"))
                if None not in key and key not in keys:
                    keys.append(key)
        return tuple(keys)

    def missing_index(self, table: TableName, keys: Sequence[str], *, where: str = "") -> str:
        """Return the statement that makes an index on the keys; see `IndexedSession`."""
        name = local_name(table)
        found = self.database.rows(
            "SELECT l.name, l.partial, i.name FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i "
            "WHERE i.seqno = 0", [name],
        )  # fmt: skip
        if any(column in keys and (not partial or self._is_for(str(index), where)) for index, partial, column in found):
            return ""
        return f"CREATE INDEX {quote(f'{name}_keys')} ON {quote(name)} ({', '.join(quote(key) for key in keys)})"

    def _is_for(self, index: str, where: str) -> bool:
        """Say whether the partial index is for just the rows in which the column `where` is true."""
        found = self.database.rows("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?", [index])
        condition = re.search(r"\bWHERE\s+(\S+)\s*$", str(found[0][0]), re.IGNORECASE) if where and found else None
        return condition is not None and condition[1] == quote(where)

    def readers(self, table: TableName) -> tuple[str, ...] | None:
        """Return the views and virtual tables of the file; see `LookingSession`."""
        entangled = self.database.rows(_ENTANGLED, [local_name(table), local_name(table)])
        return None if entangled else tuple(str(name) for (name,) in self.database.rows(_READERS))

    def load(self, table: TableName, columns: Sequence[Column], batches: pa.RecordBatchReader) -> int:
        """Ingest through ADBC, by column name, inside the transaction."""
        _refuse(columns)
        self._require_running()
        failpoint("sqlite.load.before")
        name = local_name(table)
        temporary = bool(self.database.rows("SELECT 1 FROM temp.sqlite_master WHERE name = ?", [name]))
        feed = self._feed = Feed("sqlite", columns, batches, forms.encode)
        if not self._has_keys(name):
            self.database.cache(PASSING)
        try:
            self.database.ingest(name, feed.reader(), temporary=temporary)
        except Exception as error:
            if feed.failure is not None:
                raise feed.failure from error
            raise
        finally:
            self._feed = None
        self.database.cache(FINDING)
        failpoint("sqlite.load.after")
        return feed.rows

    def _has_keys(self, name: str) -> bool:
        columns = self.database.rows(f"PRAGMA table_info({quote(name)})")
        return any(row[5] for row in columns) or bool(self.database.rows(f"PRAGMA index_list({quote(name)})"))

    def insert(self, table: TableName, columns: Sequence[str], query: str, parameters: Mapping[str, Any]) -> int:
        """INSERT..SELECT inside the database."""
        names = ", ".join(quote(name) for name in columns)
        failpoint("sqlite.insert.before")
        count = self._execute(f"INSERT INTO {quote(local_name(table))} ({names}) {query}", parameters)
        failpoint("sqlite.insert.after")
        return count

    def clear(self, table: TableName) -> int:
        """DELETE every row; readers keep the old ones until the commit."""
        return self.execute(f"DELETE FROM {quote(local_name(table))}", {})  # noqa: S608 - quoted names

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        """Run the statement; values are bound in the form that columns keep."""
        failpoint("sqlite.execute.before")
        count = self._execute(statement, parameters)
        failpoint("sqlite.execute.after")
        return count

    def query(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Return the whole result, typed by the declared types of its columns."""
        import pyarrow as pa

        self._require_running()
        query = TypedQuery(self.database, statement, parameters)
        return pa.Table.from_batches(list(query.batches()), query.schema)

    def stop(self) -> None:
        """Stop before the next batch or statement: ADBC's SQLite driver cannot cancel one that runs."""
        self.stopped = True
        if (feed := self._feed) is not None:
            feed.stopped = True

    def require_running(self) -> None:
        """Raise CancelledError after `stop`."""
        self._require_running()

    def _execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        self._require_running()
        written = single(statement, "qmark")
        sql, values = bind(written, parameters, "qmark")
        try:
            return self.database.changes(sql, forms.parameters(list(values)))
        except SqlError as error:
            error.statement, error.position = written, error.position if sql == written else None
            raise

    def _require_running(self) -> None:
        if self.stopped:
            raise CancelledError("the session was interrupted")


def _refuse(columns: Sequence[Column]) -> None:
    """Raise UnsupportedError for a column that SQLite cannot hold: planning says so first, this is the last line."""
    for column in columns:
        if column.type.kind not in TYPES:
            raise UnsupportedError(
                f"SQLite cannot hold column {column.name!r} of type {column.type.label()}",
                hint="Cast it in the job's query.",
            )


@contextmanager
def transaction(session: SQLiteSession) -> Iterator[SQLiteSession]:
    """Take the write lock, and commit on clean exit or roll back on any exception, Ctrl-C included."""
    session.database.begin_writing()
    try:
        failpoint("sqlite.begin.after")
        yield session
        session.require_running()
        failpoint("sqlite.commit.before")
        session.database.commit()
    except BaseException:
        session.database.roll_back()
        raise
    failpoint("sqlite.commit.after")
