"""What the columns of tables and of results mean as column types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core import types as t
from ematix_core.backends.mysql.dialect import UTC, UUID, time_unit
from ematix_core.backends.mysql.literals import literal
from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.backends.mysql.connection import Database
    from ematix_core.backends.mysql.wire import Field
    from ematix_core.types import ColumnType

_SIGNED = {"tinyint": t.TinyInt, "smallint": t.SmallInt, "mediumint": t.Integer, "int": t.Integer, "bigint": t.BigInt}
_UNSIGNED = {
    "tinyint": t.UTinyInt, "smallint": t.USmallInt, "mediumint": t.UInteger, "int": t.UInteger, "bigint": t.UBigInt,
}  # fmt: skip
_PLAIN: dict[str, type[ColumnType]] = {
    "float": t.Float, "double": t.Double, "date": t.Date, "year": t.SmallInt, "json": t.JSON, "uuid": t.UUID,
    "enum": t.Text, "set": t.Text, "tinytext": t.Text, "text": t.Text, "mediumtext": t.Text, "longtext": t.Text,
    "inet4": t.Text, "inet6": t.Text,
    "binary": t.Bytes, "varbinary": t.Bytes, "tinyblob": t.Bytes, "blob": t.Bytes, "mediumblob": t.Bytes,
    "longblob": t.Bytes,
}  # fmt: skip
_TIMES: dict[str, Any] = {"time": t.Time, "datetime": t.Timestamp, "timestamp": t.TimestampTZ}
_CODES = {
    0: "decimal", 1: "tinyint", 2: "smallint", 3: "int", 4: "float", 5: "double", 6: "null", 7: "timestamp",
    8: "bigint", 9: "mediumint", 10: "date", 11: "time", 12: "datetime", 13: "year", 14: "date", 15: "varchar",
    16: "bit", 245: "json", 246: "decimal", 247: "enum", 248: "set", 249: "text", 250: "text", 251: "text",
    252: "text", 253: "varchar", 254: "char", 255: "geometry",
}  # fmt: skip
"""https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html"""
_ONLY_DECLARED = frozenset({"json", "uuid", "char", "varchar"})
"""Types of which a result says less than the table: how long a text can be, and what MariaDB keeps as text."""
_UNSIGNED_FLAG, _BINARY_CHARSET, _ANY_DECIMALS = 32, 63, 31
_INSIDE = re.compile(r"\(([^)]*)\)")


@dataclass(frozen=True)
class Declared:
    """A column of a table as information_schema has it. `data_type` is `json` for MariaDB's LONGTEXT with its check."""

    name: str
    data_type: str
    column_type: str
    nullable: bool
    charset: str
    collation: str
    extra: str
    comment: str

    @property
    def type(self) -> type[ColumnType]:
        """The column type. Raises UnsupportedError for a type that ematix has none for."""
        inside = _INSIDE.search(self.column_type)
        numbers = [int(n) for n in inside[1].split(",")] if inside and inside[1].replace(",", "").isdigit() else []
        unsigned = "unsigned" in self.column_type
        found = meaning(self.data_type, numbers, unsigned=unsigned, comment=self.comment)
        if found is None:
            raise UnsupportedError(f"column {self.name!r} is {self.column_type}, which ematix does not know")
        return found

    @property
    def generated(self) -> bool:
        """Whether the server makes the values by itself from other columns."""
        return "VIRTUAL" in self.extra or "STORED" in self.extra or "PERSISTENT" in self.extra

    @property
    def members(self) -> tuple[str, ...]:
        """The values of an ENUM or SET."""
        return tuple(value.replace("''", "'") for value in re.findall(r"'((?:[^']|'')*)'", self.column_type))


def meaning(  # noqa: PLR0911 - one line a family reads best
    data_type: str, numbers: Sequence[int], *, unsigned: bool, comment: str = ""
) -> type[ColumnType] | None:
    """Return what a type with the numbers in its parentheses stands for; None when ematix has no type for it.

    TINYINT(1) is how MySQL spells BOOLEAN: https://dev.mysql.com/doc/refman/8.0/en/numeric-type-syntax.html
    """
    first = numbers[0] if numbers else None
    if data_type == "tinyint" and first == 1 and not unsigned:
        return t.Boolean
    if data_type in _SIGNED:
        return _UNSIGNED[data_type] if unsigned else _SIGNED[data_type]
    if data_type == "decimal":
        return t.Numeric[first or 10, numbers[1] if len(numbers) > 1 else 0]
    if data_type == "bit":
        return t.Boolean if (first or 1) == 1 else t.UBigInt
    if data_type in _TIMES:
        kind = t.TimestampTZ if data_type == "datetime" and comment == UTC else _TIMES[data_type]
        unit = time_unit(first or 0)
        return kind if unit == "us" else kind[unit]
    if data_type in {"char", "varchar"}:
        if comment == UUID and first == 36:  # noqa: PLR2004 - the length of a UUID as text
            return t.UUID
        return t.String[first or 1]
    return _PLAIN.get(data_type)


def of_field(field: Field, declared: Declared | None) -> type[ColumnType] | None:
    """Return the type of a result column; None for one that is always NULL. Raises UnsupportedError.

    `declared` is the table's column that it is taken from, if it is one.
    """
    if declared is not None and (declared.data_type in _ONLY_DECLARED or declared.comment in {UTC, UUID}):
        return declared.type
    name = _CODES.get(field.code)
    if name == "null":
        return None
    if name in {"char", "varchar", "text"}:
        return t.Bytes if field.charset == _BINARY_CHARSET else t.Text
    unsigned = bool(field.flags & _UNSIGNED_FLAG)
    found = meaning(name or "", _numbers(field, name, unsigned=unsigned), unsigned=unsigned)
    if found is None:
        hint = f"Convert it in the query, for example: ST_AsText({field.name}), ST_AsWKB({field.name})."
        raise UnsupportedError(
            f"column {field.name!r} is of the type {name or field.code}, which cannot be read",
            hint=hint if name == "geometry" else f"Cast it in the query: CAST({field.name} AS CHAR).",
        )
    return found


def _numbers(field: Field, name: str | None, *, unsigned: bool) -> list[int]:
    if name == "decimal":
        digits = field.length - (field.decimals > 0) - (not unsigned)
        return [max(digits, field.decimals, 1), field.decimals]
    if name in {"time", "datetime", "timestamp"}:
        return [6 if field.decimals == _ANY_DECIMALS else field.decimals]
    return [field.length]


def table_columns(database: Database, schema: str, table: str) -> tuple[Declared, ...]:
    """Return the columns of a table or view in order; none when there is no such table."""
    found = declared(database, [(schema, table)])
    return tuple(found.values())


def declared(database: Database, tables: Sequence[tuple[str, str]]) -> dict[tuple[str, str, str], Declared]:
    """Return the columns of some tables by schema, table and name."""
    if not tables:
        return {}
    pairs = ", ".join(f"({literal(schema, '')}, {literal(table, '')})" for schema, table in tables)
    where = f"(TABLE_SCHEMA, TABLE_NAME) IN ({pairs})"
    documents: set[tuple[str, str]] = set()
    if database.server.mariadb:
        documents = _documents(database, tables)
    rows = database.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_SET_NAME, "  # noqa: S608 - hexadecimal literals
        f"COLLATION_NAME, EXTRA, COLUMN_COMMENT FROM information_schema.COLUMNS WHERE {where} ORDER BY ORDINAL_POSITION"
    )
    return {
        (row[0], row[1], row[2]): Declared(
            row[2], "json" if (f"{row[0]}.{row[1]}", row[2]) in documents else str(row[3]).lower(), _text(row[4]),
            row[5] == "YES", row[6] or "", row[7] or "", str(row[8]).upper(), _text(row[9]),
        )
        for row in rows
    }  # fmt: skip


def _documents(database: Database, tables: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return table and column of what MariaDB declares JSON: LONGTEXT with a check.

    https://mariadb.com/kb/en/json-data-type/
    """
    schemas = ", ".join(literal(schema, "") for schema, _ in tables)
    names = ", ".join(literal(table, "") for _, table in tables)
    rows = database.rows(
        "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS "  # noqa: S608 - hexadecimal literals
        f"WHERE CONSTRAINT_SCHEMA IN ({schemas}) AND TABLE_NAME IN ({names})"
    )
    found = set()
    for schema, table, name, clause in rows:
        checked = re.fullmatch(r"json_valid\(`((?:[^`]|``)*)`\)", str(clause))
        if checked:
            found.add((f"{schema}.{table}", checked[1].replace("``", "`")))
        del name
    return found


def _text(value: Any) -> str:  # noqa: ANN401 - some servers give these columns as blobs
    return value.decode() if isinstance(value, bytes) else str(value)
