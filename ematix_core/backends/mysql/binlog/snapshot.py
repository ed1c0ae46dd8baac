"""The rows of a table at one moment of the log, read in the order of the key, a part at a time.

MariaDB tells where the log was when a snapshot began (`binlog_snapshot_position`):
https://mariadb.com/kb/en/enhancements-for-start-transaction-with-consistent-snapshot/. MySQL does not; there the table
is locked against writing for the moment in which the transaction begins, on another connection, as a transaction gives
up locks. What other tables get meanwhile makes no difference.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ematix_core.backends.mysql.binlog.place import Key, Part
from ematix_core.backends.mysql.binlog.table import number_of
from ematix_core.backends.mysql.connection import Database
from ematix_core.backends.mysql.literals import literal
from ematix_core.backends.mysql.reading import TypedQuery, quote
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from ematix_core.backends.mysql.binlog.table import Table
    from ematix_core.backends.mysql.columns import Declared

_LOCK_SECONDS = 30
"""So long the lock may wait; writers that come meanwhile wait behind it."""
_IDLE_SECONDS = 86_400
_NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year", "bit"})
_CASTS = {"date": "DATE", "datetime": "DATETIME(6)", "timestamp": "DATETIME(6)", "time": "TIME(6)"}
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_TRANSACTIONAL = frozenset({"InnoDB", "ROCKSDB", "RocksDB"})
_ASKED = 200
"""Keys that are compared by one statement."""


class Keys:
    """The key of a table: its values in JSON and in SQL, and its order, which is the server's."""

    def __init__(self, table: Table) -> None:
        """Look at the columns. Raises UnsupportedError for a key whose order is not that of its values."""
        self._table = table
        columns = table.columns()
        self._columns = [columns[name] for name in table.key]
        for column in self._columns:
            if column.data_type not in {*_NUMBERS, *_CASTS, *_TEXTS, *_BYTES}:
                raise UnsupportedError(
                    f"the key column {column.name!r} is {column.column_type}, in whose order no snapshot is read",
                    where=table.where, hint='Load the table by a job, and read its changes with snapshot="never".',
                )  # fmt: skip

    def last(self, rows: pa.RecordBatch) -> Key:
        """Return the key of the last row."""
        return tuple(_plain(rows.column(name)[-1].as_py()) for name in self._table.key)

    def all(self, rows: pa.RecordBatch) -> list[Key]:
        """Return the key of each row."""
        columns = [rows.column(name).to_pylist() for name in self._table.key]
        return [tuple(map(_plain, values)) for values in zip(*columns, strict=True)]

    def behind(self, key: Key) -> str:
        """Return the condition of the rows behind a key, column by column, as an index serves it."""
        literals = [_literal(column, value) for column, value in zip(self._columns, key, strict=True)]
        names = [quote(column.name) for column in self._columns]
        either = []
        for place in range(len(names)):
            same = [f"{name} = {value}" for name, value in zip(names[:place], literals[:place], strict=True)]
            either.append(" AND ".join([*same, f"{names[place]} > {literals[place]}"]))
        return "(" + ") OR (".join(either) + ")"

    @property
    def order(self) -> str:
        """The columns for ORDER BY."""
        return ", ".join(quote(column.name) for column in self._columns)

    def within(self, keys: Sequence[Key], last: Key) -> list[bool]:
        """Say of each key whether it is not behind the last one, as the server orders them."""
        found: list[bool] = []
        bound = self._row(last)
        for start in range(0, len(keys), _ASKED):
            asked = ", ".join(f"{self._row(key)} <= {bound}" for key in keys[start : start + _ASKED])
            found += [str(one) == "1" for one in self._table.database.rows(f"SELECT {asked}")[0]]
        return found

    def _row(self, key: Key) -> str:
        values = ", ".join(_literal(column, value) for column, value in zip(self._columns, key, strict=True))
        return f"({values})"


class Snapshot:
    """An open snapshot. For one thread."""

    def __init__(self, table: Table) -> None:
        """Open it. Raises UnsupportedError for tables that have none, LockedError when writers do not let go."""
        if table.engine not in _TRANSACTIONAL:
            raise UnsupportedError(
                f"tables of the engine {table.engine} have no snapshot", where=table.where,
                hint=f"ALTER TABLE {table.schema}.{table.name} ENGINE = InnoDB, or load it by a job and read changes "
                'with snapshot="never".',
            )  # fmt: skip
        self._table = table
        self.keys = Keys(table)
        self._database = Database(table.address)
        try:
            self._database.run(f"SET SESSION wait_timeout = {_IDLE_SECONDS}")
            self._database.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self.at_us = self._before()
            self.begins = self._of_mariadb() if table.mariadb else self._of_mysql()
            columns = ", ".join(quote(c.name) for c in table.columns().values() if "INVISIBLE" not in c.extra)
            self._select = f"SELECT {columns} FROM {table.quoted}"  # noqa: S608 - quoted names
            self._row_bytes = self._average()
        except BaseException:
            self.close()
            raise

    def read(self, behind: Key | None, rows: int, size: int) -> pa.RecordBatch | None:
        """Return the next rows behind a key (None: from the beginning), about so many bytes; None at the end."""
        limit = max(1, min(rows, size // self._row_bytes))
        condition = "" if behind is None else f" WHERE {self.keys.behind(behind)}"
        sql = f"{self._select}{condition} ORDER BY {self.keys.order} LIMIT {limit}"
        found = TypedQuery(self._database, sql, {}).all(self._table.key).to_batches()
        if not found or not found[0].num_rows:
            return None
        wide = max(1, found[0].nbytes // found[0].num_rows)
        return found[0].slice(0, max(1, size // wide))

    def close(self) -> None:
        """Give it up."""
        self._database.close()

    def _average(self) -> int:
        rows = self._database.rows(
            "SELECT AVG_ROW_LENGTH FROM information_schema.TABLES "  # noqa: S608 - hexadecimal literals
            f"WHERE TABLE_SCHEMA = {literal(self._table.schema, '')} AND TABLE_NAME = {literal(self._table.name, '')}"
        )
        return max(1, int(rows[0][0] or 1))

    def _before(self) -> int:
        """Return a time before that of every commit which a snapshot from now on lacks (us since 1970).

        MariaDB tells commits to the second, and by the time at which they were asked for: one may be under way.
        """
        return (int(self._database.rows("SELECT UNIX_TIMESTAMP()")[0][0]) - 1) * 1_000_000

    def _of_mariadb(self) -> Part:
        self._database.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        found = {
            str(name).lower(): value for name, value in self._database.rows("SHOW STATUS LIKE 'binlog_snapshot_%'")
        }
        file, at = str(found["binlog_snapshot_file"]), int(found["binlog_snapshot_position"])
        gtids = self._database.rows(f"SELECT BINLOG_GTID_POS({literal(file, '')}, {at})")[0][0]
        return Part(None, str(gtids or ""), number_of(file), at)

    def _of_mysql(self) -> Part:
        locking = Database(self._table.address)
        try:
            locking.run(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
            locking.run(f"LOCK TABLES {self._table.quoted} READ")
            self._database.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            end = self._table.end()
        finally:
            locking.close()
        return Part(None, end.gtids, end.file, end.at)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a key
    """Return the value for JSON."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, (Decimal, UUID)) else value


def _literal(column: Declared, value: Any) -> str:  # noqa: ANN401 - see _plain
    """Return a value from JSON for statements, in the order that the column has."""
    if column.data_type in _NUMBERS:
        return literal(Decimal(value), column.name)
    if column.data_type in _BYTES:
        return literal(bytes.fromhex(str(value)), column.name)
    text = literal(str(value), column.name)
    if column.data_type in _CASTS:
        return f"CAST({text} AS {_CASTS[column.data_type]})"
    return f"CONVERT({text} USING {column.charset}) COLLATE {column.collation}"
