"""SQLite files: transactions, loads, types, bookkeeping."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core import types as t
from ematix_core.backends import registry
from ematix_core.backends.protocols import LoadRecord, Query, Session, SourceFile
from ematix_core.errors import CancelledError, ConversionError, KeyViolationError, UnsupportedError
from ematix_core.model.connection import SQLiteConnection
from ematix_core.model.table import Column, TableName
from ematix_core.types import BigInt, ColumnType, Text, from_arrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TableName("", "t")
COLUMNS = (Column("a", BigInt), Column("s", Text))


@pytest.fixture
def shop(tmp_path: Path) -> SQLiteConnection:
    return SQLiteConnection("shop", path=str(tmp_path / "shop.db"))


def rows(columns: dict[str, list[Any]]) -> pa.Table:
    return pa.table(columns)


def in_session(shop: SQLiteConnection, work: Callable[[Session], object]) -> None:
    target = registry.target(shop)
    with target.session() as session:
        work(session)
    target.close()


def make(session: Session) -> None:
    session.execute('CREATE TABLE "t" (a BIGINT, s TEXT)', {})


def read(shop: SQLiteConnection, sql: str, **parameters: object) -> pa.Table:
    source = registry.source(shop)
    try:
        query = Query(sql=sql, parameters=parameters)
        schema = source.schema(query)
        found = source.read(query).read_all()
        assert found.schema.equals(schema)
        return found
    finally:
        source.close()


def test_a_session_commits_on_clean_exit(shop: SQLiteConnection) -> None:
    def work(session: Session) -> None:
        make(session)
        session.execute('CREATE TEMP TABLE "staging" (s TEXT, a BIGINT)', {})
        loaded = (Column("s", Text), Column("a", BigInt))
        assert session.load(TableName("", "staging"), loaded, rows({"s": ["x", None], "a": [1, 2]}).to_reader()) == 2
        assert session.insert(T, ["a", "s"], "SELECT a, s FROM staging", {}) == 2
        assert session.insert(T, ["a", "s"], "SELECT a + :n, s FROM t;", {"n": 10}) == 2
        assert session.execute("UPDATE t SET s = 'y' WHERE a > 10", {}) == 2
        assert session.execute("CREATE INDEX i ON t (a)", {}) == 0

    in_session(shop, work)
    assert read(shop, "SELECT * FROM t ORDER BY a").to_pylist() == [
        {"a": 1, "s": "x"}, {"a": 2, "s": None}, {"a": 11, "s": "y"}, {"a": 12, "s": "y"},
    ]  # fmt: skip


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_exception_rolls_back_rows_and_tables(shop: SQLiteConnection, error: type[BaseException]) -> None:
    def work(session: Session) -> None:
        make(session)
        session.load(T, COLUMNS, rows({"a": [1], "s": ["x"]}).to_reader())
        raise error

    with pytest.raises(error):
        in_session(shop, work)
    with registry.target(shop).inspect() as session:
        assert session.columns(T) is None


def test_an_error_of_the_reader_passes_through_unchanged(shop: SQLiteConnection) -> None:
    problem = RuntimeError("line 7 is malformed")

    def batches() -> Iterator[pa.RecordBatch]:
        yield rows({"a": [1], "s": ["x"]}).to_batches()[0]
        raise problem

    failing = pa.RecordBatchReader.from_batches(rows({"a": [1], "s": ["x"]}).schema, batches())

    def work(session: Session) -> None:
        make(session)
        session.load(T, COLUMNS, failing)

    with pytest.raises(RuntimeError) as caught:
        in_session(shop, work)
    assert caught.value is problem


def test_inspecting_creates_nothing(shop: SQLiteConnection, tmp_path: Path) -> None:
    with registry.target(shop).inspect() as session:
        assert session.columns(T) is None
        assert session.last_load("job") is None
        assert session.loaded_files("job") == frozenset()
    assert list(tmp_path.iterdir()) == []


def test_loads_are_recorded_with_the_rows(shop: SQLiteConnection) -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    files = [SourceFile(f"{i}.csv", i, 2**60 + i) for i in range(1200)]
    one = LoadRecord("job", "one", at, '"2026"', {"inserted": 3})
    in_session(shop, lambda session: session.record_load(one, files))
    two = LoadRecord("job", "two", at + dt.timedelta(seconds=1), None, {})
    in_session(shop, lambda session: session.record_load(two, []))
    with registry.target(shop).inspect() as session:
        assert session.last_load("job") == two
        assert session.find_load("job", "one") == one
        assert session.find_load("job", "three") is None
        assert session.last_load("other") is None
        assert session.loaded_files("job") == frozenset(files)


DIGITS = "123456789012345678901234567890123456.78"
ARRAYS: list[pa.Array[Any]] = [
    pa.array([True, None, False]), pa.array([-128, None], pa.int8()), pa.array([1], pa.int16()),
    pa.array([1], pa.int32()),
    pa.array([2**63 - 1, -(2**63)]), pa.array([255], pa.uint8()), pa.array([65535], pa.uint16()),
    pa.array([2**32 - 1], pa.uint32()), pa.array([1.5, None], pa.float32()), pa.array([0.1, 1e300, 2.0, float("inf")]),
    pa.array([Decimal("1.10"), Decimal("-9999999999999.99"), Decimal(0), None], pa.decimal128(15, 2)),
    pa.array([Decimal("0.0000001"), Decimal("99999.9999999999")], pa.decimal128(15, 10)),
    pa.array([Decimal(DIGITS), Decimal("-0.01"), None], pa.decimal128(38, 2)),
    pa.array([Decimal("0.000000001")], pa.decimal128(38, 9)),
    pa.array(["é\0日", "", None]), pa.array([b"\0\xff", b"", None]),
    pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None]),
    pa.array([1, None], pa.time32("s")), pa.array([1, None], pa.time32("ms")),
    pa.array([86_399_999_999], pa.time64("us")),
    pa.array([86_399_999_999_999], pa.time64("ns")),
    pa.array([1], pa.timestamp("s")), pa.array([1], pa.timestamp("ms")), pa.array([-1, None], pa.timestamp("us")),
    pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")), pa.array([1, None], pa.timestamp("us", "UTC")),
    pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC")), pa.array([5], pa.timestamp("s", "UTC")),
    pa.array([uuid.UUID(int=5), None, uuid.UUID(int=2**127)], pa.uuid()),
    pa.array(['{"a": 1}', None], pa.json_(pa.string())), pa.array([None, None], pa.string()),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.type))
def test_every_type_comes_back_as_it_went_in(shop: SQLiteConnection, array: pa.Array[Any]) -> None:
    kind = from_arrow(array.type)

    def work(session: Session) -> None:
        session.execute(f'CREATE TABLE "t" (v {registry.dialect("sqlite").sql_type(kind, column="v")})', {})
        assert session.load(T, [Column("v", kind)], pa.table({"v": array}).to_reader()) == len(array)
        assert [c.type.label() for c in session.columns(T) or ()] == [kind.label()]

    in_session(shop, work)
    found = read(shop, "SELECT * FROM t")
    assert found.schema.types == [array.type]
    assert found.column("v").combine_chunks().equals(array)


def test_an_empty_table_has_its_types(shop: SQLiteConnection) -> None:
    kinds = [from_arrow(array.type) for array in ARRAYS]
    declared = [registry.dialect("sqlite").sql_type(kind, column="v") for kind in kinds]
    columns = ", ".join(f"c{i} {name}" for i, name in enumerate(declared))
    in_session(shop, lambda session: session.execute(f"CREATE TABLE t ({columns})", {}))
    assert [from_arrow(kind).label() for kind in read(shop, "SELECT * FROM t").schema.types] == [
        kind.label() for kind in kinds
    ]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1], pa.uint64()), pa.array([1], pa.duration("us")), pa.array([[1]], pa.list_(pa.int32())),
        pa.array([{"a": 1}]), pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    ],
    ids=lambda array: str(array.type),
)  # fmt: skip
def test_what_sqlite_cannot_hold_is_refused_by_name(shop: SQLiteConnection, array: pa.Array[Any]) -> None:
    kind = from_arrow(array.type)
    with pytest.raises(UnsupportedError, match="'v'"):
        registry.dialect("sqlite").sql_type(kind, column="v")
    with pytest.raises(UnsupportedError, match="'v'"):
        in_session(shop, lambda session: session.load(T, [Column("v", kind)], pa.table({"v": array}).to_reader()))


@pytest.mark.parametrize(
    ("array", "declared"),
    [
        (pa.array([float("nan")]), "DOUBLE"),
        (pa.array([2**60], pa.timestamp("us")), "TIMESTAMP_TEXT(6)"),
        (pa.array([3_000_000], pa.date32()), "DATE_TEXT"),
    ],
)
def test_a_value_that_sqlite_would_bend_is_refused_by_name(
    shop: SQLiteConnection, array: pa.Array[Any], declared: str
) -> None:
    def work(session: Session) -> None:
        session.execute(f"CREATE TABLE t (v {declared})", {})
        session.load(T, [Column("v", from_arrow(array.type))], pa.table({"v": array}).to_reader())

    with pytest.raises(ConversionError, match="'v'"):
        in_session(shop, work)


def test_values_are_bound_in_the_form_that_columns_keep(shop: SQLiteConnection) -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    columns: dict[str, tuple[type[ColumnType], str, Any]] = {
        "seen": (t.TimestampTZ, "TIMESTAMPTZ_TEXT(6)", at), "day": (t.Date, "DATE_TEXT", at.date()),
        "paid": (from_arrow(pa.decimal128(12, 2)), "DECIMAL(12,2)", Decimal("1.10")),
        "big": (from_arrow(pa.decimal128(38, 2)), "DECIMAL_TEXT(38,2)", Decimal("1.10")),
        "ok": (t.Boolean, "BOOLEAN", True), "id": (t.UUID, "UUID_TEXT", uuid.UUID(int=7)),
        "clock": (t.Time, "TIME_TEXT(6)", dt.time(1, 2, 3)),
    }  # fmt: skip
    table = pa.table({name: pa.array([value], kind.to_arrow()) for name, (kind, _, value) in columns.items()})

    def work(session: Session) -> None:
        definitions = ", ".join(f"{name} {declared}" for name, (_, declared, _) in columns.items())
        session.execute(f"CREATE TABLE t ({definitions})", {})
        session.load(T, [Column(name, kind) for name, (kind, _, _) in columns.items()], table.to_reader())
        for name, (_, _, value) in columns.items():
            assert session.query(f"SELECT count(*) AS n FROM t WHERE {name} = :v", {"v": value}).to_pylist() == [
                {"n": 1}
            ], name
            assert session.query(f"SELECT count(*) AS n FROM t WHERE {name} >= :v", {"v": value}).to_pylist() == [
                {"n": 1}
            ]

    in_session(shop, work)


def test_times_of_every_unit_compare_with_a_bound_time(shop: SQLiteConnection) -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)

    def work(session: Session) -> None:
        for label, digits in (("s", 0), ("ms", 3), ("us", 6), ("ns", 9)):
            unit: Any = label
            session.execute(f"CREATE TABLE t (v TIMESTAMPTZ_TEXT({digits}))", {})
            rows = pa.table({"v": pa.array([at, at + dt.timedelta(seconds=1)], pa.timestamp(unit, "UTC"))})
            session.load(T, [Column("v", from_arrow(rows.schema.field("v").type))], rows.to_reader())
            for value in (at, pa.scalar(at, pa.timestamp("ns", "UTC"))):
                assert session.query("SELECT count(*) AS n FROM t WHERE v >= :v", {"v": value}).to_pylist() == [
                    {"n": 2}
                ]
            session.execute("DROP TABLE t", {})

    in_session(shop, work)


def test_unique_keys_are_the_primary_key_and_whole_unique_indexes(shop: SQLiteConnection) -> None:
    def work(session: Session) -> None:
        session.execute('CREATE TABLE "t" (a BIGINT PRIMARY KEY, b INT, "c d" INT NOT NULL, UNIQUE (b, a))', {})
        session.execute('CREATE UNIQUE INDEX i ON t (b, "c d")', {})
        session.execute("CREATE UNIQUE INDEX j ON t (b + 1)", {})
        session.execute("CREATE UNIQUE INDEX k ON t (b) WHERE a > 1", {})
        assert set(session.unique_keys(T)) == {("a",), ("b", "a"), ("b", "c d")}
        assert [c.nullable for c in session.columns(T) or ()] == [False, True, False]
        session.execute('CREATE TABLE "r" (a INTEGER PRIMARY KEY)', {})
        assert session.unique_keys(TableName("", "r")) == (("a",),)

    in_session(shop, work)


def test_a_doubled_key_is_a_key_violation(shop: SQLiteConnection) -> None:
    def work(session: Session) -> None:
        session.execute('CREATE TABLE "t" (a BIGINT PRIMARY KEY, s TEXT)', {})
        session.load(T, COLUMNS, rows({"a": [1, 1], "s": ["x", "y"]}).to_reader())

    with pytest.raises(KeyViolationError, match=r"t\.a"):
        in_session(shop, work)


def test_interrupt_stops_a_load_before_its_next_batch(shop: SQLiteConnection) -> None:
    target = registry.target(shop)

    def batches() -> Iterator[pa.RecordBatch]:
        yield rows({"a": [1], "s": ["x"]}).to_batches()[0]
        target.interrupt()
        yield rows({"a": [2], "s": ["x"]}).to_batches()[0]

    def work() -> None:
        with target.session() as session:
            make(session)
            schema = rows({"a": [1], "s": ["x"]}).schema
            session.load(T, COLUMNS, pa.RecordBatchReader.from_batches(schema, batches()))

    with pytest.raises(CancelledError):
        work()
    with target.inspect() as session:
        assert session.columns(T) is None


def test_one_value_of_fifty_megabytes_passes(shop: SQLiteConnection) -> None:
    text = "é" * 25_000_000

    def work(session: Session) -> None:
        make(session)
        session.load(T, COLUMNS, rows({"a": [1, 2], "s": [text, "x"]}).to_reader())

    in_session(shop, work)
    assert read(shop, "SELECT s FROM t WHERE a = 1").to_pylist() == [{"s": text}]


def test_unique_keys_of_some_rows_are_given_for_just_those(shop: SQLiteConnection) -> None:
    with registry.target(shop).session() as session:
        session.execute('CREATE TABLE h (k INT, "is_current" BOOLEAN, other BOOLEAN)', {})
        session.execute('CREATE UNIQUE INDEX h_current ON h (k) WHERE "is_current"', {})
        assert session.unique_keys(TableName("", "h")) == ()
        assert session.unique_keys(TableName("", "h"), where="is_current") == (("k",),)
        assert session.unique_keys(TableName("", "h"), where="other") == ()
