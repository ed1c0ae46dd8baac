"""One transaction on a PostgreSQL database."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.backends.feed import Feed
from ematix_core.backends.ledger import LOADS, LedgerSession, SqlLedger
from ematix_core.backends.postgres.catalog import Catalog, qualified, quote
from ematix_core.backends.postgres.dialect import DIALECT, NAME_BYTES
from ematix_core.backends.postgres.locks import lock_scope, lock_table
from ematix_core.backends.postgres.native import NUMERIC
from ematix_core.backends.postgres.parameters import bind
from ematix_core.backends.postgres.reading import TypedQuery
from ematix_core.backends.protocols import Query
from ematix_core.errors import ConversionError, KeyViolationError, SqlError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.sql.ddl import create_as
from ematix_core.types import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from ematix_core.backends.postgres.catalog import Stored
    from ematix_core.backends.postgres.link import Link
    from ematix_core.backends.protocols import LoadRecord, SourceFile
    from ematix_core.model.table import Column, TableName

_CHANGES = re.compile(
    r'\s*(?:UPDATE|DELETE\s+FROM|INSERT\s+INTO|MERGE\s+INTO)\s+((?:"(?:[^"]|"")*"\.?)+)', re.IGNORECASE
)
# A bare NULL, such as the end of a current version, is text once it is in a subquery.
_DATED = frozenset({"date", "timestamp", "timestamp_tz"})
_TEMPORARY = re.compile(
    r'\s*CREATE\s+TEMP(?:ORARY)?\s+TABLE\s+(?P<name>"(?:[^"]|"")*")?(?P<filled>\s+AS\b)?', re.IGNORECASE
)


class PostgresSession(LedgerSession):
    """Statements, loads and bookkeeping on one connection."""

    kind = "postgres"

    def __init__(self, link: Link, *, writing: bool = False, catalog: Catalog | None = None) -> None:
        """`catalog`: what another session on the connection has used before."""
        self.link = link
        self._writing = writing
        self._catalog = catalog or Catalog(link)
        self._ledger = SqlLedger(self, text="TEXT")
        self._main: TableName | None = None
        self._staged = False
        self._locked = False

    def columns(self, table: TableName) -> tuple[Column, ...] | None:
        """Ask the catalog. Columns that the server computes are left out: nobody writes them."""
        _require_short(table)
        if self._main is None and not table.name.startswith("_ematix_"):
            self._main = table
        stored = self._catalog.stored(table)
        return None if stored is None else tuple(each.column for each in stored if not each.computed)

    def unique_keys(self, table: TableName, *, where: str = "") -> tuple[tuple[str, ...], ...]:
        """Return the primary key and the unique indexes over plain columns, of all rows or of those `where`."""
        return self._catalog.keys(table, where)

    def readers(self, table: TableName) -> tuple[str, ...] | None:
        """Return the views, functions and parent tables of the database; see `LookingSession`."""
        return self._catalog.readers(table)

    def load(self, table: TableName, columns: Sequence[Column], batches: pa.RecordBatchReader) -> int:
        """COPY BINARY, encoded in this thread while the link's thread sends; CSV where a type needs it."""
        from ematix_core.backends.postgres.encoding import binary_chunks, csv_chunks, forms, plain_storage

        failpoint("postgres.load.before")
        natives = self.awaited(table, [column.name for column in columns])
        form, made = forms([column.type.to_arrow() for column in columns], [each.native for each in natives])
        by_name = {column.name: each for column, each in zip(columns, made, strict=True)}
        feed = Feed("postgres", columns, batches, lambda array, column: by_name[column.name](plain_storage(array)))
        reader = feed.reader()
        chunks = binary_chunks(reader) if form == "binary" else csv_chunks(reader)
        try:
            self.link.copy_in((table.schema, table.name), [column.name for column in columns], chunks, form=form)
        except Exception as error:
            if feed.failure is not None and feed.failure is not error:
                raise feed.failure from error
            if isinstance(error, ConversionError) and form != "binary":
                error.row = None  # lines of CSV are counted, and a text may have several
            raise
        self.filled(table)
        failpoint("postgres.load.after")
        return feed.rows

    def insert(self, table: TableName, columns: Sequence[str], query: str, parameters: Mapping[str, Any]) -> int:
        """INSERT..SELECT inside the database."""
        names = ", ".join(quote(name) for name in columns)
        failpoint("postgres.insert.before")
        natives = self.awaited(table, columns)
        if self._staged and table == self._main:
            self._lock()
        query = _cast(query, natives)
        count = self.link.change(bind(f"INSERT INTO {qualified(table)} ({names}) {query}", parameters))
        self.filled(table)
        failpoint("postgres.insert.after")
        return count

    def make(
        self, table: TableName, columns: Sequence[Column], rows: str, query: str, parameters: Mapping[str, Any], *,
        temporary: bool,
    ) -> int:  # fmt: skip
        """CREATE TABLE AS, whose query may use several processes; an INSERT's may not.

        https://www.postgresql.org/docs/current/when-can-parallel-query-be-used.html
        """
        failpoint("postgres.insert.before")
        self._lock()
        foreign = {each.column.name: each.type for each in self._stored(self._main) if _foreign(each)}
        sql = create_as(table, rows, columns, query, DIALECT, temporary=temporary, foreign=foreign)
        count = self.link.change(bind(sql, parameters))
        self._staged = self._staged or temporary
        self.filled(table)
        failpoint("postgres.insert.after")
        return count

    def clear(self, table: TableName) -> int:
        """DELETE every row; readers keep the old ones until the commit."""
        if table == self._main:
            self._lock()
        return self.execute(f"DELETE FROM {qualified(table)}", {})  # noqa: S608 - quoted names

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        """Run the statement; before the first change of the target, keep other writers out."""
        failpoint("postgres.execute.before")
        changes = _CHANGES.match(statement)
        if changes is not None and self._main is not None and changes[1] == qualified(self._main):
            self._lock()
        temporary = _TEMPORARY.match(statement)
        self._staged = self._staged or temporary is not None
        count = self._change(statement, parameters)
        if temporary is not None and temporary["filled"]:
            self.link.execute(f"ANALYZE {temporary['name']}")
        failpoint("postgres.execute.after")
        return count

    def _change(self, statement: str, parameters: Mapping[str, Any]) -> int:
        """Run the statement. A unique index that cannot be made leaves the transaction fit to look at the rows."""
        if not statement.startswith("CREATE UNIQUE INDEX"):
            return self.link.change(bind(statement, parameters))
        self.link.execute("SAVEPOINT ematix_index")
        try:
            return self.link.change(bind(statement, parameters))
        except KeyViolationError:
            self.link.execute("ROLLBACK TO SAVEPOINT ematix_index")
            raise

    def query(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Return the whole result."""
        import pyarrow as pa

        typed = TypedQuery(self.link, self._catalog, statement, Query(sql=statement, parameters=parameters))
        return pa.Table.from_batches(list(typed.batches()), typed.decoder.schema)

    def find_load(self, scope: str, load_id: str) -> LoadRecord | None:
        """See SqlLedger. A writing session waits first until no other one loads the scope."""
        if self._writing:
            lock_scope(self.link, scope)
        return super().find_load(scope, load_id)

    def record_load(self, record: LoadRecord, files: Sequence[SourceFile]) -> None:
        """See SqlLedger. Of two first loads, one makes the tables and the other waits for them."""
        if self.columns(LOADS) is None:
            lock_scope(self.link, str(LOADS))
        super().record_load(record, files)

    def stop(self) -> None:
        """Stop what runs, on the server too, from another thread."""
        self.link.cancel()

    def _lock(self) -> None:
        if not self._locked and self._main is not None:
            lock_table(self.link, self._main)
            self._locked = True

    def _is_temporary(self, table: TableName) -> bool:
        found = self.link.rows(
            "SELECT relpersistence FROM pg_catalog.pg_class WHERE oid = to_regclass($1)", qualified(table)
        )
        return bool(found) and found[0][0] == b"t"

    def _align(self, staging: TableName) -> None:
        """Give staging's columns of text the types that the target's have, such as inet, so that they compare."""
        target = {each.column.name: each for each in self._stored(self._main)}
        changed = [
            f"ALTER COLUMN {quote(each.column.name)} TYPE {to.type} USING {quote(each.column.name)}::{to.type}"
            for each in self._stored(staging)
            if (to := target.get(each.column.name)) is not None and to.type != each.type and _foreign(to)
        ]
        if changed:
            self.link.execute(f"ALTER TABLE {qualified(staging)} {', '.join(changed)}")

    def _stored(self, table: TableName | None) -> tuple[Stored, ...]:
        return () if table is None else self._catalog.stored(table) or ()

    def awaited(self, table: TableName, columns: Sequence[str]) -> list[Stored]:
        """Return the columns that rows are about to come into. Raises SqlError for one that takes none."""
        if self._is_temporary(table):
            self._staged = True
            self._align(table)
        stored = {each.column.name: each for each in self._stored(table)}
        for column in columns:
            found = stored.get(column)
            if found is None or found.computed:
                why = "does not exist" if found is None else "is GENERATED ALWAYS"
                raise SqlError(
                    f"column {column!r} of {table} {why}", statement=f"INSERT INTO {table} ({', '.join(columns)})",
                    hint="Leave it out of the query.",
                )  # fmt: skip
        return [stored[column] for column in columns]

    def filled(self, table: TableName) -> None:
        """Let the planner know what is in a temporary table: nobody else does."""
        if self._is_temporary(table):
            self.link.execute(f"ANALYZE {qualified(table)}")


def _cast(query: str, columns: Sequence[Stored]) -> str:
    """Return the query with its columns cast where the target's have types that text does not become by itself."""
    if not any(_foreign(each) for each in columns):
        return query
    names = [f"c{number}" for number in range(len(columns))]
    cast = [
        f"q.{name}::{each.type}" if _foreign(each) or each.column.type.kind in _DATED else f"q.{name}"
        for name, each in zip(names, columns, strict=True)
    ]
    return f"SELECT {', '.join(cast)} FROM (\n{query}\n) AS q({', '.join(names)})"  # noqa: S608 - around a query


def _foreign(stored: Stored) -> bool:
    """Say whether the column's values travel as text although its type is another one."""
    return stored.native.as_text or (stored.native.plain.oid == NUMERIC and stored.column.type is Text)


def _require_short(table: TableName) -> None:
    for name in (table.schema, table.name):
        if len(name.encode()) > NAME_BYTES:
            raise UnsupportedError(
                f"the name {name!r} is longer than {NAME_BYTES} bytes, where postgres cuts names",
                where=f"table {table}", hint="Choose a shorter one.",
            )  # fmt: skip


@contextmanager
def transaction(session: PostgresSession) -> Iterator[PostgresSession]:
    """Commit on clean exit, roll back on any exception, Ctrl-C included."""
    try:
        failpoint("postgres.begin.after")
        yield session
        session.link.require_running()
        failpoint("postgres.commit.before")
        session.link.commit()
    except BaseException:
        session.link.roll_back()
        raise
    failpoint("postgres.commit.after")
