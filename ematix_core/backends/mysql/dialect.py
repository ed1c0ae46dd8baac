"""What MySQL and MariaDB can do, readable without a driver; and what a particular server can do.

A column of ours says by its type what it holds; where MySQL has no type of its own, the column's comment says it, and
reading looks at that:

| column type | declared as |
|---|---|
| Boolean | `TINYINT(1)` |
| Timestamp, TimestampTZ | `DATETIME(6)`, `DATETIME(6) COMMENT 'UTC'`: years 1 to 9999, where TIMESTAMP ends in 2038 |
| UUID | `CHAR(36) .. COMMENT 'UUID'`; MariaDB from 10.7: `UUID` |
| Text, String | `LONGTEXT`, `VARCHAR(n)`, with a collation by which only equal texts are equal |
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ematix_core.errors import UnsupportedError
from ematix_core.sql.dialect import Dialect, Replace, Upsert
from ematix_core.types import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.backends.mysql.connection import Server
    from ematix_core.types import ColumnType

UTC, UUID = "UTC", "UUID"
"""Comments of columns that hold instants in UTC, and UUIDs as text."""
_MOST_DECIMALS = 30
_MOST_CHARACTERS = 16_383
"""A row has 65,535 bytes and a character up to four: https://dev.mysql.com/doc/refman/8.0/en/column-count-limit.html"""
_KEY_CHARACTERS = 255
"""Three such columns fit into the 3,072 bytes of an index: https://dev.mysql.com/doc/refman/8.0/en/innodb-limits.html"""
_SECONDS, _MILLIS = 0, 3

_NUMBERS = {
    "boolean": "TINYINT(1)",
    "tiny_int": "TINYINT", "small_int": "SMALLINT", "integer": "INT", "big_int": "BIGINT",
    "u_tiny_int": "TINYINT UNSIGNED", "u_small_int": "SMALLINT UNSIGNED", "u_integer": "INT UNSIGNED",
    "u_big_int": "BIGINT UNSIGNED", "float": "FLOAT", "double": "DOUBLE", "numeric": "DECIMAL({precision},{scale})",
}  # fmt: skip
_TIMES = {
    "date": "DATE",
    "time[s]": "TIME", "time[ms]": "TIME(3)", "time": "TIME(6)",
    "timestamp[s]": "DATETIME", "timestamp[ms]": "DATETIME(3)", "timestamp": "DATETIME(6)",
    "timestamp_tz[s]": "DATETIME COMMENT 'UTC'", "timestamp_tz[ms]": "DATETIME(3) COMMENT 'UTC'",
    "timestamp_tz": "DATETIME(6) COMMENT 'UTC'",
}  # fmt: skip


class MySQLDialect(Dialect):
    """A Dialect that knows the limits of DECIMAL and VARCHAR, and that there are no nanoseconds."""

    def sql_type(self, kind: type[ColumnType], *, column: str) -> str:
        """Return the SQL type; a String longer than a row is LONGTEXT, and its length is checked on the way in."""
        parameters = kind.parameters
        if parameters.get("unit") == "ns" or parameters.get("scale", 0) > _MOST_DECIMALS:
            most = "microseconds" if "unit" in parameters else f"{_MOST_DECIMALS} decimal places"
            raise UnsupportedError(
                f"{self.name} cannot hold column {column!r} of type {kind.label()}: it has {most} at most",
                hint="Cast it in the job's query, or declare another type for the column.",
            )
        if parameters.get("length", 0) > _MOST_CHARACTERS:
            return super().sql_type(Text, column=column)
        return super().sql_type(kind, column=column)


def _types(collation: str, *, uuid: bool, json: str) -> Mapping[str, str]:
    text = f"CHARACTER SET utf8mb4 COLLATE {collation}"
    return {
        **_NUMBERS, **_TIMES,
        "text": f"LONGTEXT {text}", "string": f"VARCHAR({{length}}) {text}", "bytes": "LONGBLOB", "json": json,
        "uuid": "UUID" if uuid else f"CHAR(36) CHARACTER SET ascii COLLATE ascii_bin COMMENT '{UUID}'",
    }  # fmt: skip


def _key_types(collation: str) -> Mapping[str, str]:
    return {
        "text": f"VARCHAR({_KEY_CHARACTERS}) CHARACTER SET utf8mb4 COLLATE {collation}",
        "bytes": f"VARBINARY({_KEY_CHARACTERS})",
    }


PADDED = "utf8mb4_bin"
DIALECT: Dialect = MySQLDialect(
    name="mysql",
    grammar="mysql",
    types=_types(PADDED, uuid=False, json="JSON"),
    key_types=_key_types(PADDED),
    upsert=Upsert.UPDATE_INSERT,  # exact counts: https://dev.mysql.com/doc/refman/8.0/en/update.html
    replace=Replace.TRANSACTION,  # https://dev.mysql.com/doc/refman/8.0/en/innodb-consistent-read.html
    transactional_ddl=False,  # https://dev.mysql.com/doc/refman/8.0/en/implicit-commit.html
    temporary_staging=False,  # cannot be read twice: https://dev.mysql.com/doc/refman/8.0/en/temporary-table-problems.html
    declares_keys=True,
    alter_type=False,  # MODIFY COLUMN wants all of the column's definition again, and would lose NOT NULL
    indexes_keys=True,
    # 20,000 rows into as many: 30 s without an index, 0.7 s with one. MySQL has hash joins from 8.0.18 on, but only
    # for `=`: https://dev.mysql.com/doc/refman/8.0/en/hash-joins.html
    scans_for_keys=frozenset({"merge", "scd2"}),
    indexes_staging=True,
    joins_by_index=True,
    bulk="LOAD DATA LOCAL from memory; read by connectorx",
    limits={"numeric_precision": 65},  # https://dev.mysql.com/doc/refman/8.0/en/fixed-point-types.html
)


def dialect_of(server: Server) -> Dialect:
    """Return the capabilities of this very server: its exact collation, and the types that it alone has."""
    collation = exact_collation(server)
    uuid = server.mariadb and server.version >= (10, 7)
    return replace(DIALECT, types=_types(collation, uuid=uuid, json="JSON"), key_types=_key_types(collation))


def exact_collation(server: Server) -> str:
    """Return the collation by which two texts are equal only if every character is; without one, spaces at the end.

    https://dev.mysql.com/doc/refman/8.0/en/charset-binary-collations.html, https://mariadb.com/kb/en/supported-character-sets-and-collations/
    """
    if server.mariadb:
        return "utf8mb4_nopad_bin"
    return "utf8mb4_0900_bin" if server.version >= (8, 0, 17) else PADDED


def time_unit(decimals: int) -> str:
    """Return the unit of a time type with so many decimal places."""
    if decimals == _SECONDS:
        return "s"
    return "ms" if decimals <= _MILLIS else "us"
