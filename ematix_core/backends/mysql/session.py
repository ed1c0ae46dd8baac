"""One transaction on a MySQL or MariaDB database, and a second connection for what would end it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ematix_core.backends.ledger import LedgerSession, SqlLedger
from ematix_core.backends.mysql.columns import table_columns
from ematix_core.backends.mysql.dialect import exact_collation
from ematix_core.backends.mysql.literals import bound, literal
from ematix_core.backends.mysql.loading import Loading
from ematix_core.backends.mysql.readers import readers
from ematix_core.backends.mysql.reading import TypedQuery, as_written, quote
from ematix_core.backends.mysql.staging import Staging, is_about, is_ddl, scope_key
from ematix_core.backends.mysql.texts import Texts, index_on
from ematix_core.errors import CancelledError, EmatixError, LockedError, SqlError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.model.table import Column, TableName
from ematix_core.sql.parameters import single

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from ematix_core.backends.mysql.columns import Declared
    from ematix_core.backends.mysql.connection import Database
    from ematix_core.backends.protocols import LoadRecord
    from ematix_core.types import ColumnType

LOCK_WAIT = 30
"""Seconds that a load waits for another one of the same job and target."""
_ENDS = re.compile(
    r"\s*(BEGIN|START\s+TRANSACTION|COMMIT|ROLLBACK|LOCK\s+TABLES|UNLOCK\s+TABLES|SET\s+(?:SESSION\s+)?AUTOCOMMIT)\b",
    re.IGNORECASE,
)
_HIGHEST = re.compile(r"\s*SELECT\s+MAX\(`((?:[^`]|``)+)`\)\s+FROM\s+`((?:[^`]|``)+)`\s*", re.IGNORECASE)
"""The highest value of a column is of the column's type; MySQL itself says DATETIME, and not that it is in UTC."""
_COMMITS = re.compile(r"\s*(ANALYZE|OPTIMIZE|CHECK|REPAIR|GRANT|REVOKE|FLUSH|CACHE|LOAD\s+INDEX)\b", re.IGNORECASE)


class MySQLSession(LedgerSession):
    """Statements, loads and bookkeeping. `work` is the second connection; None when the session only looks."""

    kind = "mysql"

    def __init__(self, main: Database, work: Database | None) -> None:
        self.main = main
        self.work = work
        self.stopped = False
        self._begun = False
        self._scope = ""
        self._staging = Staging(work or main)
        self._loading: Loading | None = None
        self._texts = Texts(main.server)
        collation = exact_collation(main.server)
        self._ledger = SqlLedger(self, text=f"LONGTEXT CHARACTER SET utf8mb4 COLLATE {collation}")

    def columns(self, table: TableName) -> tuple[Column, ...] | None:
        """Return the columns that can be written. Raises UnsupportedError for views and tables without transactions."""
        self._require_running()
        facts = self._facts(table)
        if not facts:
            return None
        if not self._staging.knows(table.name):
            self._require_transactional(table)
        return tuple(Column(fact.name, fact.type, fact.nullable) for fact in facts if not fact.generated)

    def unique_keys(self, table: TableName, *, where: str = "") -> tuple[tuple[str, ...], ...]:
        """Return the primary key and the unique indexes over whole columns; none is for some rows only."""
        del where
        rows = self.main.rows(
            "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND "  # noqa: S608 - hexadecimal literals
            f"TABLE_SCHEMA = {self._schema(table)} AND TABLE_NAME = {literal(table.name, '')} "
            "ORDER BY INDEX_NAME = 'PRIMARY' DESC, INDEX_NAME, SEQ_IN_INDEX"
        )
        keys: dict[str, list[str]] = {}
        partial = {index for index, column, part in rows if part is not None or column is None}
        for index, column, _ in rows:
            if index not in partial:
                keys.setdefault(index, []).append(column)
        return tuple(dict.fromkeys(tuple(key) for key in keys.values()))

    def missing_index(self, table: TableName, keys: Sequence[str], *, where: str = "") -> str:
        """Return the statement that makes an index on the keys; see `IndexedSession`."""
        del where
        found = self.main.rows(
            "SELECT 1 FROM information_schema.STATISTICS WHERE INDEX_TYPE IN ('BTREE', 'HASH') AND SEQ_IN_INDEX = 1 "  # noqa: S608 - hexadecimal literals
            f"AND TABLE_SCHEMA = {self._schema(table)} AND TABLE_NAME = {literal(table.name, '')} AND "
            f"COLUMN_NAME IN ({', '.join(literal(key, '') for key in keys)}) LIMIT 1"
        )
        return "" if found else index_on(table, keys, self._facts(table))

    def check_keys(self, table: TableName, keys: Sequence[str]) -> None:
        """Raise UnsupportedError for a key column by whose collation texts that differ are one key."""
        self._texts.require_exact(table, self._facts(table), keys)

    def readers(self, table: TableName) -> tuple[str, ...] | None:
        """Return the views and functions of the server; see `LookingSession`."""
        return readers(self.main, self._schema(table), literal(table.name, ""))

    def load(self, table: TableName, columns: Sequence[Column], batches: pa.RecordBatchReader) -> int:
        """LOAD DATA LOCAL from memory: into a work table in autocommit, into any other in the transaction."""
        self._require_running()
        staged = self._staging.knows(table.name)
        database = self._writer() if staged else self._begin()
        facts = {fact.name: fact for fact in self._facts(table)}
        failpoint("mysql.load.before")
        self._loading = Loading(database, self._place(table), columns, [facts[column.name] for column in columns])
        try:
            count = self._loading.run(batches)
        finally:
            self._loading = None
        failpoint("mysql.load.after")
        return count

    def insert(self, table: TableName, columns: Sequence[str], query: str, parameters: Mapping[str, Any]) -> int:
        """INSERT..SELECT inside the database."""
        names = ", ".join(quote(name) for name in columns)
        failpoint("mysql.insert.before")
        count = self._execute(f"INSERT INTO {_quoted(table)} ({names}) {query}", parameters)
        failpoint("mysql.insert.after")
        return count

    def clear(self, table: TableName) -> int:
        """DELETE every row; readers keep the old ones until the commit."""
        return self.execute(f"DELETE FROM {_quoted(table)}", {})  # noqa: S608 - quoted names

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        """Run one statement; DDL at once and for good, everything else in the transaction."""
        failpoint("mysql.execute.before")
        count = self._execute(statement, parameters)
        failpoint("mysql.execute.after")
        return count

    def query(self, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
        """Return the whole result, which is small."""
        self._require_running()
        if self._begun:
            self._staging.read_by_transaction(statement)
        found = TypedQuery(self.main, self._staging.renamed(statement), parameters).all()
        if (highest := _HIGHEST.fullmatch(statement)) is None:
            return found
        column = highest[1].replace("``", "`")
        facts = self._facts(TableName("", highest[2].replace("``", "`")))
        return found.cast(_typed(found.schema, next((f.type for f in facts if f.name == column), None)))

    def find_load(self, scope: str, load_id: str) -> LoadRecord | None:
        """See SqlLedger. A session that writes holds the scope's lock from here to its end."""
        if self.work is not None and not self._scope:
            self._take(scope)
        return super().find_load(scope, load_id)

    def stop(self) -> None:
        """Have the session raise at its next batch or statement; the caller kills what runs now."""
        self.stopped = True
        if (loading := self._loading) is not None and loading.feed is not None:
            loading.feed.stopped = True

    def commit(self) -> None:
        """Commit the transaction, if there is one."""
        self._require_running()
        failpoint("mysql.commit.before")
        if self._begun:
            self.main.run("COMMIT")
            self._begun = False
        failpoint("mysql.commit.after")

    def end(self, *, closing: bool) -> None:
        """Roll back what is not committed, and drop the work tables. `closing`: the first connection ends, too."""
        if self._begun:
            with suppress(EmatixError):  # a lost connection is rolled back by the server
                self.main.run("ROLLBACK")
        if closing:
            self.main.close()
        self._staging.drop_all()

    def _begin(self) -> Database:
        """Begin the transaction at the first change, so that DDL before it meets no lock of our own."""
        if not self._begun:
            self.main.run("START TRANSACTION")
            self._begun = True
            failpoint("mysql.begin.after")
        return self.main

    def _writer(self) -> Database:
        assert self.work is not None  # noqa: S101 - a session that only looks is asked for nothing else
        return self.work

    def _execute(self, statement: str, parameters: Mapping[str, Any]) -> int:
        self._require_running()
        written = single(statement, "literal")
        if (ends := _ENDS.match(written)) is not None:
            raise SqlError(
                f"{ends[1].upper()} would end the transaction of the load", statement=written,
                hint="Leave it out: the load commits by itself.",
            )  # fmt: skip
        sent = bound(written, parameters)
        try:
            return self._route(sent)
        except SqlError as error:
            raise as_written(error, sent, written) from error.__cause__

    def _route(self, sent: str) -> int:
        sent = self._texts.compared(sent)
        if is_about(sent):
            self._texts.require_distinct(sent, self._staging, self._writer())
            return self._staging.run(sent)
        if is_ddl(sent) or _COMMITS.match(sent):
            self._writer().run(self._staging.renamed(sent))
            return 0
        self._begin()
        self._staging.read_by_transaction(sent)
        return self.main.run(self._staging.renamed(sent))

    def _take(self, scope: str) -> None:
        """Take the lock of the scope, so that two runs of one job do not load one table at a time."""
        self._scope = scope
        key = scope_key(self.main.address.database, scope)
        name = f"ematix_{key}"
        taken = self.main.rows(f"SELECT GET_LOCK('{name}', {LOCK_WAIT})")[0][0]
        if taken != "1":
            job, _, table = scope.partition(":")
            holder = self.main.rows(f"SELECT IS_USED_LOCK('{name}')")[0][0]
            raise LockedError(
                f"another run of the job {job} loads {table}: connection {holder} of the server holds its lock, "
                f"and connection {self.main.id} has waited {LOCK_WAIT} s for it",
                where=f"MySQL {self.main.address}",
                hint="Wait until it ends. SHOW PROCESSLIST shows where it runs; KILL ends it.",
            )
        self._staging.adopt(key)

    def _facts(self, table: TableName) -> tuple[Declared, ...]:
        schema = table.schema or self.main.address.database
        facts = table_columns(self.main, schema, self._staging.physical(table.name))
        self._texts.note(facts)
        return facts

    def _schema(self, table: TableName) -> str:
        return literal(table.schema or self.main.address.database, "")

    def _place(self, table: TableName) -> str:
        return self._staging.renamed(_quoted(table))

    def _require_transactional(self, table: TableName) -> None:
        row = self.main.rows(
            "SELECT TABLE_TYPE, t.ENGINE, TRANSACTIONS FROM information_schema.TABLES AS t "  # noqa: S608 - hexadecimal literals
            "LEFT JOIN information_schema.ENGINES AS e ON e.ENGINE = t.ENGINE "
            f"WHERE TABLE_SCHEMA = {self._schema(table)} AND TABLE_NAME = {literal(table.name, '')}"
        )[0]
        if row[0] != "BASE TABLE":
            raise UnsupportedError(f"{table} is a {str(row[0]).lower()}, and rows can be loaded into tables only")
        if row[2] != "YES":
            raise UnsupportedError(
                f"table {table} has the engine {row[1]}, which has no transactions: a load could not be undone",
                hint=f"Change it: ALTER TABLE {table} ENGINE=InnoDB.",
            )

    def _require_running(self) -> None:
        if self.stopped:
            raise CancelledError("the session was interrupted")


def _quoted(table: TableName) -> str:
    return f"{quote(table.schema)}.{quote(table.name)}" if table.schema else quote(table.name)


def _typed(schema: pa.Schema, kind: type[ColumnType] | None) -> pa.Schema:
    """Return the schema of one column, as an instant when the column that it comes from holds instants."""
    if kind is None or kind.kind != "timestamp_tz":
        return schema
    return schema.set(0, schema.field(0).with_type(kind.to_arrow()))
