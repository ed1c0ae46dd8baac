"""What PostgreSQL can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.errors import UnsupportedError
from ematix_core.sql.dialect import Dialect, Replace, Upsert

if TYPE_CHECKING:
    from ematix_core.types import ColumnType

# https://www.postgresql.org/docs/current/datatype.html: there are no 8-bit and no unsigned integers, so the next wider
# type holds them. Nanoseconds, durations, structs and maps have no type of their own.
TYPES = {
    "boolean": "BOOLEAN",
    "tiny_int": "SMALLINT", "small_int": "SMALLINT", "integer": "INTEGER", "big_int": "BIGINT",
    "u_tiny_int": "SMALLINT", "u_small_int": "INTEGER", "u_integer": "BIGINT", "u_big_int": "NUMERIC(20, 0)",
    "float": "REAL", "double": "DOUBLE PRECISION", "numeric": "NUMERIC({precision}, {scale})",
    "text": "TEXT", "string": "VARCHAR({length})", "bytes": "BYTEA", "uuid": "UUID", "json": "JSONB",
    "date": "DATE", "time": "TIME", "time[s]": "TIME(0)", "time[ms]": "TIME(3)",
    "timestamp": "TIMESTAMP", "timestamp[s]": "TIMESTAMP(0)", "timestamp[ms]": "TIMESTAMP(3)",
    "timestamp_tz": "TIMESTAMPTZ", "timestamp_tz[s]": "TIMESTAMPTZ(0)", "timestamp_tz[ms]": "TIMESTAMPTZ(3)",
    "interval": "INTERVAL", "array": "{item}[]",
}  # fmt: skip

# What tests/servers/test_postgres_row_hash.py finds, with the session's TimeZone at UTC.
SAME_TEXT = frozenset({
    "boolean", "tiny_int", "small_int", "integer", "big_int", "u_tiny_int", "u_small_int", "u_integer", "u_big_int",
    "numeric", "text", "string", "uuid", "json", "date", "time", "timestamp", "timestamp_tz",
})  # fmt: skip

NAME_BYTES = 63
"""https://www.postgresql.org/docs/current/limits.html: longer names are cut, with a mere notice."""


class PostgresDialect(Dialect):
    """A Dialect whose arrays have one dimension: PostgreSQL's have no rows of different lengths."""

    def sql_type(self, kind: type[ColumnType], *, column: str) -> str:
        """Return the SQL type. Raises UnsupportedError for arrays of arrays and for names that would be cut."""
        if len(column.encode()) > NAME_BYTES:
            raise UnsupportedError(
                f"the column name {column!r} is longer than {NAME_BYTES} bytes, where postgres cuts names",
                hint="Give it a shorter name in the query, with AS.",
            )
        item = kind.parameters.get("item")
        if item is not None and item.kind in {"array", "interval"}:
            raise UnsupportedError(
                f"{self.name} cannot hold column {column!r} of type {kind.label()}",
                hint="Make a table of its items in the query, or cast it to text or JSON.",
            )
        return super().sql_type(kind, column=column)


DIALECT: Dialect = PostgresDialect(
    name="postgres",
    grammar="postgres",
    folds_names=False,
    types=TYPES,
    upsert=Upsert.UPDATE_INSERT,  # https://www.postgresql.org/docs/current/sql-update.html
    replace=Replace.TRANSACTION,  # https://www.postgresql.org/docs/current/mvcc-intro.html
    transactional_ddl=True,  # https://wiki.postgresql.org/wiki/Transactional_DDL_in_PostgreSQL:_A_Competitive_Analysis
    temporary_staging=True,  # https://www.postgresql.org/docs/current/sql-createtable.html
    declares_keys=True,
    partial_indexes=True,  # https://www.postgresql.org/docs/current/indexes-partial.html
    # 1M rows merged into as many: finding out that no key is there twice took a third of the servers' time.
    indexes_keys=True,
    # A unique index on 1M staged keys takes 0.8 s; finding keys that are there twice by GROUP BY takes 3.4 s.
    indexes_staging=True,
    # IS NOT DISTINCT FROM is no operator that can hash or merge: 40,000 rows took 47 s.
    # https://www.postgresql.org/docs/current/xoper-optimization.html
    joins_null_safe=False,
    # 1M rows: 0.36 s of CPU instead of 0.52, and what the query computes is spread over the server's processes.
    creates_filled=True,  # https://www.postgresql.org/docs/current/sql-createtableas.html
    collation="default",  # https://www.postgresql.org/docs/current/collation.html
    alter_type=True,  # https://www.postgresql.org/docs/current/sql-altertable.html
    same_text=SAME_TEXT,
    bulk="COPY BINARY; PostgreSQL to PostgreSQL passes it through",
)
