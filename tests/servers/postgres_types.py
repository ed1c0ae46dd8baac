"""PostgreSQL's own types: how SQL writes them, awkward values, and what they are as column types."""

from __future__ import annotations

from dataclasses import dataclass

from ematix_core import types as t

SETUP = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy')",
    "CREATE TYPE pair AS (number integer, label text)",
    "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
    "CREATE DOMAIN email AS varchar(40) CHECK (VALUE LIKE '%@%')",
    "CREATE DOMAIN cents AS numeric(12, 2)",
    "CREATE DOMAIN tags AS text[]",
    "CREATE TYPE floats AS RANGE (subtype = float8)",
)


@dataclass(frozen=True)
class NativeType:
    """A column of type `sql` with these literals; `type` None: it is refused when the query is planned."""

    name: str
    sql: str
    literals: tuple[str, ...]
    type: type[t.ColumnType] | None


def _of(name: str, sql: str, kind: type[t.ColumnType] | None, *literals: str) -> NativeType:
    return NativeType(name, sql, literals, kind)


NUMBERS = (
    _of("boolean", "boolean", t.Boolean, "true", "false"),
    _of("smallint", "smallint", t.SmallInt, "-32768", "32767"),
    _of("integer", "integer", t.Integer, "-2147483648", "2147483647"),
    _of("bigint", "bigint", t.BigInt, "-9223372036854775808", "9223372036854775807"),
    _of("oid", "oid", t.BigInt, "0", "4294967295"),
    _of("real", "real", t.Float, "'3.4028235e38'", "'1e-45'", "'-Infinity'"),
    _of("double", "double precision", t.Double, "0.1", "'1.7976931348623157e308'", "'5e-324'", "'Infinity'"),
    _of("numeric_12_2", "numeric(12, 2)", t.Numeric[12, 2], "9999999999.99", "-0.01", "0"),
    _of("numeric_5", "numeric(5)", t.Numeric[5, 0], "99999", "-99999"),
    _of("numeric_38_9", "numeric(38, 9)", t.Numeric, "99999999999999999999999999999.999999999", "0.1"),
    _of("numeric_50_20", "numeric(50, 20)", t.Numeric[50, 20], "-123456789012345678901234567890.00000000000000000001"),
    _of("numeric_76_0", "numeric(76, 0)", t.Numeric[76, 0], "9" * 76),
    _of("numeric_3_minus_2", "numeric(3, -2)", t.Numeric[5, 0], "12300", "-99900"),
    _of("numeric_2_5", "numeric(2, 5)", t.Numeric[5, 5], "0.00099", "-0.00001"),
    _of("numeric_100_50", "numeric(100, 50)", t.Text, "9" * 50 + "." + "9" * 50),
    _of("numeric_free", "numeric", t.Text, "1.10", "'NaN'", "'Infinity'", "0." + "0" * 60 + "1", "1" + "0" * 90),
    _of("money", "money", None, "12.34"),
)
TEXTS = (
    _of(
        "text", "text", t.Text, "''", "' '", "'NULL'", r"'\N'", r"'\.'", "'\"a\",b'", r"E'line\nfeed\r\n\t'", "'日本🙂'"
    ),
    _of("varchar", "varchar", t.Text, "''", "'any length'"),
    _of("varchar_20", "varchar(20)", t.String[20], "'trailing  '", "''"),
    _of("char_5", "char(5)", t.String[5], "'ab'", "'abcde'", "''"),
    _of("char_quoted", '"char"', t.Text, "'x'"),
    _of("name", "name", t.Text, "'pg_class'"),
    _of("xml", "xml", t.Text, "'<a b=\"1\">x &amp; y</a>'"),
    _of("json", "json", t.JSON, """'{"b": 1,  "a": [1, 2.50, null]}'""", "'null'", "'\"text\"'"),
    _of("jsonb", "jsonb", t.JSON, """'{"b": 1, "a": [1, 2.50, "é"]}'""", "'[]'"),
    _of("jsonpath", "jsonpath", t.Text, "'$.a[*] ? (@ > 1)'"),
    _of("tsvector", "tsvector", t.Text, "'a fat cat'::tsvector", "to_tsvector('english', 'The Fat Rats')"),
    _of("tsquery", "tsquery", t.Text, "'fat & (rat | cat)'::tsquery"),
    _of("bytea", "bytea", t.Bytes, r"'\x'", r"'\x00ff275c0a22'", r"'\xdeadbeef'"),
    _of("bit_3", "bit(3)", t.Text, "B'101'"),
    _of("varbit", "bit varying", t.Text, "B'10110'", "B''"),
    _of("uuid", "uuid", t.UUID, "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
    _of("mood", "mood", t.Text, "'sad'", "'very happy'"),
    _of("pair", "pair", t.Text, "ROW(1, 'a \"b\", c')::pair", "ROW(NULL, '')::pair"),
)
TIMES = (
    _of("date", "date", t.Date, "'0001-01-01'", "'9999-12-31'", "'1969-12-31'"),
    _of("time", "time", t.Time, "'00:00'", "'23:59:59.999999'"),
    _of("time_0", "time(0)", t.Time["s"], "'12:30:59'"),
    _of("time_3", "time(3)", t.Time["ms"], "'12:30:59.123'"),
    _of("timetz", "timetz", t.Text, "'12:30:59.5+05:30'", "'00:00-12'"),
    _of(
        "timestamp", "timestamp", t.Timestamp, "'0001-01-01'", "'9999-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.5'"
    ),
    _of("timestamp_0", "timestamp(0)", t.Timestamp["s"], "'2026-02-28 12:00:01'"),
    _of("timestamp_3", "timestamp(3)", t.Timestamp["ms"], "'2026-02-28 12:00:01.001'"),
    _of("timestamptz", "timestamptz", t.TimestampTZ, "'0001-01-01 00:00+00'", "'9999-12-31 23:59:59.999999+00'"),
    _of("timestamptz_0", "timestamptz(0)", t.TimestampTZ["s"], "'2026-03-29 02:30:00+02'"),
    _of("timestamptz_3", "timestamptz(3)", t.TimestampTZ["ms"], "'2026-03-29 02:30:00.25+02'"),
    _of(
        "interval",
        "interval",
        t.Interval,
        "'1 year 2 mons -3 days 04:05:06.789'",
        "'-1 mon 1 day -00:00:00.000001'",
        "'0'",
    ),
)
NETWORKS = (
    _of("inet", "inet", t.Text, "'10.0.0.1'", "'10.0.0.1/8'", "'::1/64'"),
    _of("cidr", "cidr", t.Text, "'10.0.0.0/8'", "'2001:db8::/32'"),
    _of("macaddr", "macaddr", t.Text, "'08:00:2b:01:02:03'"),
    _of("macaddr8", "macaddr8", t.Text, "'08:00:2b:01:02:03:04:05'"),
    _of("point", "point", t.Text, "'(0.1,-2)'"),
    _of("line", "line", t.Text, "'{1,2,3}'"),
    _of("lseg", "lseg", t.Text, "'[(0,0),(1,1)]'"),
    _of("box", "box", t.Text, "'(1,1),(0,0)'"),
    _of("path", "path", t.Text, "'((0,0),(1,1))'", "'[(0,0),(1,1)]'"),
    _of("polygon", "polygon", t.Text, "'((0,0),(1,1),(1,0))'"),
    _of("circle", "circle", t.Text, "'<(0,0),1.5>'"),
    _of("pg_lsn", "pg_lsn", t.Text, "'16/B374D848'"),
    _of("int4range", "int4range", t.Text, "'[1,5)'", "'empty'", "'[,5)'"),
    _of("numrange", "numrange", t.Text, "'(1.10,2]'"),
    _of("tstzrange", "tstzrange", t.Text, "'[2026-01-01 00:00+00,infinity)'"),
    _of("daterange", "daterange", t.Text, "'[2026-01-01,)'"),
    _of("floats", "floats", t.Text, "'[0.1,1e300)'"),
    _of("multirange", "int8multirange", t.Text, "'{[1,3),[5,7)}'", "'{}'"),
)
COMPOUND = (
    _of("positive", "positive", t.Integer, "1", "2147483647"),
    _of("email", "email", t.String[40], "'a@b'"),
    _of("cents", "cents", t.Numeric[12, 2], "0.10"),
    _of("tags", "tags", t.Array[t.Text], "ARRAY['a', NULL, 'b,\"{c}']", "'{}'"),
    _of("integers", "integer[]", t.Array[t.Integer], "'{1,NULL,-2147483648}'", "'{}'"),
    _of("bigints", "bigint[]", t.Array[t.BigInt], "'{9223372036854775807}'"),
    _of("texts", "text[]", t.Array[t.Text], r"""ARRAY['', 'NULL', NULL, 'it''s', E'\\', '"', 'é']""", "'{}'"),
    _of("varchars", "varchar(9)[]", t.Array[t.Text], "'{abc,NULL}'"),
    _of("booleans", "boolean[]", t.Array[t.Boolean], "'{t,f,NULL}'"),
    _of("doubles", "double precision[]", t.Array[t.Double], "'{0.1,-5e-324}'"),
    _of("numerics", "numeric(12, 2)[]", t.Array[t.Numeric[12, 2]], "'{0.10,NULL,-9999999999.99}'"),
    _of("dates", "date[]", t.Array[t.Date], "'{0001-01-01,NULL,9999-12-31}'"),
    _of("instants", "timestamptz[]", t.Array[t.TimestampTZ], "'{\"2026-03-29 02:30:00.000001+02\",NULL}'"),
    _of("uuids", "uuid[]", t.Array[t.UUID], "'{00000000-0000-0000-0000-000000000001,NULL}'"),
    _of("byteas", "bytea[]", t.Array[t.Bytes], r"ARRAY['\x00ff'::bytea, NULL, '\x']"),
    _of("moods", "mood[]", t.Array[t.Text], "ARRAY['sad', 'very happy', NULL]::mood[]"),
    _of("inets", "inet[]", t.Array[t.Text], "'{10.0.0.1/8,NULL}'"),
    _of("intervals", "interval[]", t.Text, "'{\"1 mon -2 days\"}'"),
)
NATIVE_TYPES = (*NUMBERS, *TEXTS, *TIMES, *NETWORKS, *COMPOUND)
READABLE = tuple(each for each in NATIVE_TYPES if each.type is not None)
ROWS = 1 + max(len(each.literals) for each in NATIVE_TYPES)
"""Rows of the table of all types: one for each literal, and at least one NULL in every column."""


def create(table: str, types: tuple[NativeType, ...] = READABLE) -> list[str]:
    """Return the statements that make and fill a table with a column of each type."""
    columns = ", ".join(f'"{each.name}" {each.sql}' for each in types)
    rows = []
    for number in range(ROWS):
        values = (each.literals[number] if number < len(each.literals) else "NULL" for each in types)
        rows.append(f"({number}, {', '.join(values)})")
    return [f"CREATE TABLE {table} (n bigint, {columns})", *(f"INSERT INTO {table} VALUES {row}" for row in rows)]
