"""SQLite files of other programs, and queries with expressions: what types come out, and what is refused."""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.backends.sqlite.declared import column_type, has_text_affinity
from ematix_core.errors import ConversionError, SqlError
from ematix_core.model.connection import SQLiteConnection

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "other.db"


def fill(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def read(path: Path, sql: str, **parameters: object) -> pa.Table:
    source = registry.source(SQLiteConnection("other", path=str(path)))
    try:
        return source.read(Query(sql=sql, parameters=parameters)).read_all()
    finally:
        source.close()


MANY = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 150000)"


@pytest.mark.parametrize(
    ("declared", "value", "arrow", "expected"),
    [
        ("INTEGER", "5000000000", pa.int64(), 5_000_000_000),
        ("DATETIME", "'2026-01-02 03:04:05'", pa.timestamp("us"), dt.datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001 - no zone is meant
        (
            "DATETIME",
            "'2026-01-02T03:04:05Z'",
            pa.timestamp("us", "UTC"),
            dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        ),
        ("DATETIME", "'yesterday'", pa.string(), "yesterday"),
        ("DATETIME", "1700000000", pa.int64(), 1_700_000_000),
        ("DATE", "'2026-01-02'", pa.date32(), dt.date(2026, 1, 2)),
        ("DECIMAL(10,2)", "1.1", pa.decimal128(10, 2), pa.scalar("1.10").cast(pa.decimal128(10, 2)).as_py()),
        ("DECIMAL(38,9)", "1.5", pa.float64(), 1.5),
        ("NUMERIC", "2", pa.float64(), 2.0),
        ("VARCHAR(20)", "'x'", pa.string(), "x"),
        ("REAL", "1", pa.float64(), 1.0),
        ("BOOLEAN", "1", pa.bool_(), True),
        ("BLOB", "x'00ff'", pa.binary(), b"\0\xff"),
        ("", "'x'", pa.string(), "x"),
        ("", "7", pa.int64(), 7),
        ("", "x'01'", pa.binary(), b"\1"),
    ],
)
def test_a_declared_type_is_read_for_what_it_means(
    path: Path, declared: str, value: str, arrow: pa.DataType, expected: object
) -> None:
    fill(path, f"CREATE TABLE t (v {declared})", "INSERT INTO t VALUES (NULL)", f"INSERT INTO t VALUES ({value})")
    found = read(path, "SELECT * FROM t")
    assert found.schema.types == [arrow]
    assert found.to_pylist() == [{"v": None}, {"v": expected}]


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("INTEGER", "'abc'"), ("INTEGER", "1.5"), ("DOUBLE", "'abc'"), ("BOOLEAN", "2"), ("TINYINT", "300"),
        ("DECIMAL(10,2)", "1.234"), ("DECIMAL(10,2)", "'abc'"), ("TIMESTAMP_TEXT(6)", "'abc'"), ("UUID_TEXT", "'abc'"),
        ("BLOB", "'abc'"), ("TEXT", "x'ff00'"), ("DATE_TEXT", "'2026-13-01'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("late", [False, True])
def test_a_value_that_does_not_fit_is_named_and_never_bent(path: Path, declared: str, value: str, late: bool) -> None:
    rows = f"{MANY} INSERT INTO t SELECT NULL FROM n" if late else "INSERT INTO t VALUES (NULL)"
    fill(path, f"CREATE TABLE t (a INT, v {declared})".replace("a INT, ", ""), rows, f"INSERT INTO t VALUES ({value})")
    if declared == "BLOB":
        fill(path, "INSERT INTO t VALUES (x'00')") if late else fill(path, "UPDATE t SET v = x'00' WHERE v IS NULL")
    with pytest.raises(ConversionError, match="'v'"):
        read(path, "SELECT * FROM t")


def test_numbers_mixed_with_text_are_refused_with_the_cast_to_write(path: Path) -> None:
    fill(path, "CREATE TABLE t (v)", "INSERT INTO t VALUES (1), ('x')")
    with pytest.raises(ConversionError, match=r"CAST\(v AS TEXT\)"):
        read(path, "SELECT v FROM t")
    assert read(path, "SELECT CAST(v AS TEXT) AS v FROM t").to_pylist() == [{"v": "1"}, {"v": "x"}]


def test_expressions_take_the_type_of_their_values(path: Path) -> None:
    fill(path, "CREATE TABLE t (a INTEGER, s TEXT)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    found = read(
        path, "SELECT count(*) AS n, avg(a) AS m, max(s) AS s, NULL AS e, sum(a) * 1.5 AS f, a + :k AS g FROM t", k=1
    )
    assert found.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.null(), pa.float64(), pa.int64()]


def test_a_column_that_is_null_for_the_first_rows_keeps_its_type(path: Path) -> None:
    fill(
        path,
        "CREATE TABLE t (s TEXT, x)",
        f"{MANY} INSERT INTO t SELECT NULL, NULL FROM n",
        "INSERT INTO t VALUES ('z', 2.5)",
    )
    found = read(path, "SELECT s, x, s || '!' AS e FROM t")
    assert found.schema.types == [pa.string(), pa.float64(), pa.string()]
    assert found.slice(150_000).to_pylist() == [{"s": "z", "x": 2.5, "e": "z!"}]


def test_the_order_of_the_query_is_kept(path: Path) -> None:
    fill(path, "CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (2), (1), (3)")
    found = read(path, "WITH x AS (SELECT a FROM t) SELECT a, -a AS b, a AS c FROM x ORDER BY a DESC -- newest first")
    assert found.columns[0].to_pylist() == [3, 2, 1]
    assert len(found.columns) == 3


def test_a_late_value_of_another_kind_is_refused(path: Path) -> None:
    fill(path, "CREATE TABLE t (v)", f"{MANY} INSERT INTO t SELECT 'x' FROM n", "INSERT INTO t VALUES (1.5)")
    with pytest.raises(ConversionError, match=r"1\.5 does not fit"):
        read(path, "SELECT v FROM t")


def test_a_bound_value_selects_rows(path: Path) -> None:
    fill(
        path,
        "CREATE TABLE t (seen DATETIME)",
        "INSERT INTO t VALUES ('2026-01-01 00:00:00.000000'), ('2026-01-02 00:00:00.000000')",
    )
    found = read(path, "SELECT seen FROM t WHERE seen >= :watermark", watermark=dt.datetime(2026, 1, 2))  # noqa: DTZ001 - no zone is meant
    assert found.num_rows == 1


def test_wide_rows_come_in_smaller_batches(path: Path) -> None:
    fill(path, "CREATE TABLE t (v BLOB)", f"{MANY} INSERT INTO t SELECT zeroblob(1000000) FROM n LIMIT 100")
    source = registry.source(SQLiteConnection("other", path=str(path)))
    batches = list(source.read(Query(table="t")))
    source.close()
    assert sum(batch.num_rows for batch in batches) == 100
    assert max(batch.nbytes for batch in batches) < 40_000_000


def test_a_statement_that_is_no_query_is_refused_and_does_nothing(path: Path) -> None:
    fill(path, "CREATE TABLE t (v)")
    for sql in ("DROP TABLE t", "SELECT 1; DROP TABLE t", "INSERT INTO t VALUES (1)"):
        with pytest.raises(SqlError):
            read(path, sql)
    assert read(path, "SELECT count(*) AS n FROM t").to_pylist() == [{"n": 0}]


def test_declared_names_have_the_affinity_that_they_need() -> None:
    types = registry.dialect("sqlite").types
    textual = {"text", "string", "uuid", "json", "date", "time", "timestamp", "timestamp_tz"}
    for kind, declared in types.items():
        assert has_text_affinity(declared) == (kind.partition("[")[0] in textual), declared
    assert has_text_affinity("DECIMAL_TEXT(38,9)")
    assert column_type("whatever") is None


def test_a_table_may_have_any_short_name(path: Path) -> None:
    fill(path, "CREATE TABLE q (c0 TEXT, x)", "INSERT INTO q VALUES ('a', 1)")
    assert read(path, "SELECT * FROM q").to_pylist() == [{"c0": "a", "x": 1}]
