"""MySQL's own types: how SQL writes them, awkward values, and what they are as column types."""

from __future__ import annotations

from dataclasses import dataclass

from ematix_core import types as t

BOTH, MYSQL, MARIADB = ("mysql", "mariadb"), ("mysql",), ("mariadb",)


@dataclass(frozen=True)
class NativeType:
    """A column of type `sql` with these literals. `shown`: the SQL that prints a value with all its digits."""

    name: str
    sql: str
    literals: tuple[str, ...]
    type: type[t.ColumnType]
    shown: str = "CAST({} AS CHAR)"
    servers: tuple[str, ...] = BOTH


@dataclass(frozen=True)
class Refused:
    """A value, or a whole type, that cannot be read; the error's hint holds the way out."""

    name: str
    sql: str
    literal: str
    hint: str
    planned: bool = False


def _of(name: str, sql: str, kind: type[t.ColumnType], *literals: str) -> NativeType:
    return NativeType(name, sql, literals, kind)


def _hex(name: str, sql: str, *literals: str) -> NativeType:
    return NativeType(name, sql, literals, t.Bytes, "HEX({})")


NUMBERS = (
    _of("boolean", "BOOLEAN", t.Boolean, "TRUE", "FALSE"),
    _of("tinyint_1", "TINYINT(1)", t.Boolean, "1", "0"),
    _of("tinyint", "TINYINT", t.TinyInt, "-128", "127"),
    _of("tinyint_unsigned", "TINYINT UNSIGNED", t.UTinyInt, "0", "255"),
    NativeType("tinyint_zerofill", "TINYINT(3) ZEROFILL", ("7", "255"), t.UTinyInt, "{} + 0"),
    _of("smallint", "SMALLINT", t.SmallInt, "-32768", "32767"),
    _of("smallint_unsigned", "SMALLINT UNSIGNED", t.USmallInt, "0", "65535"),
    _of("mediumint", "MEDIUMINT", t.Integer, "-8388608", "8388607"),
    _of("mediumint_unsigned", "MEDIUMINT UNSIGNED", t.UInteger, "0", "16777215"),
    _of("int", "INT", t.Integer, "-2147483648", "2147483647"),
    _of("int_unsigned", "INT UNSIGNED", t.UInteger, "0", "4294967295"),
    _of("bigint", "BIGINT", t.BigInt, "-9223372036854775808", "9223372036854775807"),
    _of("bigint_unsigned", "BIGINT UNSIGNED", t.UBigInt, "0", "18446744073709551615"),
    NativeType("float", "FLOAT", ("3.4028234663852886e38", "1.401298464324817e-45", "0.1"), t.Float, "{} + 0E0"),
    NativeType(
        "double", "DOUBLE", ("1.7976931348623157e308", "5e-324", "0.1", "-123456789.12345679"), t.Double, "{} + 0E0"
    ),
    _of("decimal", "DECIMAL", t.Numeric[10, 0], "9999999999", "-1"),
    _of("decimal_12_2", "DECIMAL(12,2)", t.Numeric[12, 2], "9999999999.99", "-0.01"),
    _of("decimal_12_2_unsigned", "DECIMAL(12,2) UNSIGNED", t.Numeric[12, 2], "9999999999.99", "0.01"),
    _of("decimal_28_10", "DECIMAL(28,10)", t.Numeric[28, 10], "999999999999999999.9999999999", "-0.0000000001"),
    _of("decimal_29_10", "DECIMAL(29,10)", t.Numeric[29, 10], "9999999999999999999.9999999999"),
    _of("decimal_20_15", "DECIMAL(20,15)", t.Numeric[20, 15], "99999.999999999999999", "0.000000000000001"),
    _of("decimal_38_0", "DECIMAL(38,0)", t.Numeric[38, 0], "9" * 38, "-" + "9" * 38),
    _of("decimal_65_30", "DECIMAL(65,30)", t.Numeric[65, 30], "9" * 35 + "." + "9" * 30, "-0." + "0" * 29 + "1"),
    NativeType("bit_1", "BIT(1)", ("b'1'", "b'0'"), t.Boolean, "{} + 0"),
    NativeType("bit_10", "BIT(10)", ("b'1000000001'", "b'0'"), t.UBigInt, "{} + 0"),
    NativeType("bit_64", "BIT(64)", (f"b'{'1' * 64}'", "b'1'"), t.UBigInt, "{} + 0"),
    _of("year", "YEAR", t.SmallInt, "1901", "2155"),
)
TIMES = (
    _of("date", "DATE", t.Date, "'0001-01-01'", "'9999-12-31'", "'2024-02-29'"),
    _of("datetime", "DATETIME", t.Timestamp["s"], "'0001-01-01 00:00:00'", "'9999-12-31 23:59:59'"),
    _of("datetime_3", "DATETIME(3)", t.Timestamp["ms"], "'9999-12-31 23:59:59.999'"),
    NativeType(
        "datetime_5", "DATETIME(5)", ("'9999-12-31 23:59:59.99999'",), t.Timestamp, "{} + INTERVAL 0 MICROSECOND"
    ),
    _of("datetime_6", "DATETIME(6)", t.Timestamp, "'1969-12-31 23:59:59.999999'", "'1000-01-01 00:00:00.000001'"),
    _of("datetime_utc", "DATETIME(6) COMMENT 'UTC'", t.TimestampTZ, "'9999-12-31 23:59:59.999999'"),
    _of("timestamp", "TIMESTAMP NULL", t.TimestampTZ["s"], "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"),
    _of("timestamp_6", "TIMESTAMP(6) NULL", t.TimestampTZ, "'1970-01-01 00:00:01.000001'", "'2026-10-25 01:30:00.5'"),
    _of("time", "TIME", t.Time["s"], "'00:00:00'", "'23:59:59'"),
    _of("time_6", "TIME(6)", t.Time, "'23:59:59.999999'", "'00:00:00.000001'"),
)
TEXTS = (
    _of("char_5", "CHAR(5) CHARACTER SET utf8mb4", t.String[5], "'ab'", "''", "'🙂é'"),
    _of("varchar_20", "VARCHAR(20) CHARACTER SET utf8mb4", t.String[20], "'trailing  '", "''", r"'\\N'", "'a\\tb\\nc'"),
    _of("varchar_latin1", "VARCHAR(20) CHARACTER SET latin1", t.String[20], "'é€'", "''"),
    _of("varchar_utf8mb3", "VARCHAR(20) CHARACTER SET utf8", t.String[20], "'日本'", "'it''s'"),
    _of("tinytext", "TINYTEXT CHARACTER SET utf8mb4", t.Text, "'NULL'", "'\"q\",'"),
    _of("text", "TEXT CHARACTER SET utf8mb4", t.Text, "'日本🙂'", "'\\0'"),
    _of("mediumtext", "MEDIUMTEXT CHARACTER SET utf8mb4", t.Text, "' '"),
    _of("longtext", "LONGTEXT CHARACTER SET utf8mb4", t.Text, "REPEAT('x', 100000)"),
    _of("enum", "ENUM('a', 'B', 'it''s', '2')", t.Text, "'a'", "'it''s'", "'2'"),
    _of("set", "SET('x', 'y', 'z')", t.Text, "'x,z'", "''"),
)
OTHERS = (
    _hex("binary_4", "BINARY(4)", "X'00FF'", "X'00000000'"),
    _hex("varbinary_10", "VARBINARY(10)", "X''", "X'00095C0A27'"),
    _hex("tinyblob", "TINYBLOB", "X'FFFE'"),
    _hex("blob", "BLOB", "X'5C4E'", "X''"),
    _hex("mediumblob", "MEDIUMBLOB", "X'C328'"),
    _hex("longblob", "LONGBLOB", "REPEAT(X'00FF', 50000)"),
    _of("json", "JSON", t.JSON, '\'{"a": [1, 2.5, "é", null]}\'', "'18446744073709551615'", "'\"\\\\\\\\\"'"),
    _of(
        "uuid_text",
        "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin COMMENT 'UUID'",
        t.UUID,
        "'123e4567-e89b-12d3-a456-426614174000'",
    ),
    NativeType("uuid", "UUID", ("'123e4567-e89b-12d3-a456-426614174000'",), t.UUID, servers=MARIADB),
    NativeType("inet6", "INET6", ("'2001:db8::ff00:42:8329'", "'::'"), t.Text, servers=MARIADB),
)
NATIVE_TYPES = (*NUMBERS, *TIMES, *TEXTS, *OTHERS)

REFUSED = (
    Refused("zero_date", "DATE", "'0000-00-00'", "NULLIF"),
    Refused("zero_day", "DATE", "'2024-01-00'", "CAST"),
    Refused("zero_month", "DATETIME(6)", "'2024-00-10 12:00:00'", "CAST"),
    Refused("no_such_day", "DATE", "'2023-02-29'", "CAST"),
    Refused("zero_datetime", "DATETIME", "'0000-00-00 00:00:00'", "NULLIF"),
    Refused("zero_timestamp", "TIMESTAMP NULL", "'0000-00-00 00:00:00'", "NULLIF"),
    Refused("a_day", "TIME", "'24:00:00'", "TIME_TO_SEC"),
    Refused("longest_time", "TIME(6)", "'838:59:59'", "TIME_TO_SEC"),
    Refused("negative_time", "TIME(6)", "'-00:00:00.5'", "TIME_TO_SEC"),
    Refused("two", "TINYINT(1)", "2", "CAST"),
    Refused(
        "no_uuid", "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin COMMENT 'UUID'", "'nothing of the kind'", "CAST"
    ),
    Refused("point", "POINT", "ST_GeomFromText('POINT(1 2)')", "ST_AsText", planned=True),
    Refused("geometry", "GEOMETRY", "ST_GeomFromText('POINT(1 2)')", "ST_AsWKB", planned=True),
)


def of(server: str) -> tuple[NativeType, ...]:
    """Return the types that the server has."""
    return tuple(each for each in NATIVE_TYPES if server in each.servers)


def rows(server: str) -> int:
    """Return the number of rows of the table of all types: one a literal, and one of NULLs."""
    return max(len(each.literals) for each in of(server)) + 1


def create(server: str, table: str) -> tuple[str, ...]:
    """Return the statements that make a table with a column of each type, filled with the literals."""
    types = of(server)
    columns = ", ".join(f"`{each.name}` {each.sql}" for each in types)
    statements = [f"CREATE TABLE {table} (n INT PRIMARY KEY, {columns})"]
    for n in range(rows(server)):
        values = ", ".join(each.literals[n] if n < len(each.literals) else "NULL" for each in types)
        statements.append(f"INSERT INTO {table} VALUES ({n}, {values})")
    return tuple(statements)
