"""DuckDB files: transactions, loads, types, bookkeeping."""

from __future__ import annotations

import datetime as dt
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from ematix_core.backends import registry
from ematix_core.backends.duck.connection import open_duck
from ematix_core.backends.protocols import LoadRecord, Query, Session, SourceFile
from ematix_core.errors import CancelledError, ConversionError, UnsupportedError
from ematix_core.model.connection import DuckDBConnection
from ematix_core.model.table import Column, TableName
from ematix_core.types import UUID, BigInt, ColumnType, Duration, String, Text, from_arrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TableName("", "t")
SHORT: Any = String.__class_getitem__(2)
COLUMNS = (Column("a", BigInt), Column("s", Text))


@pytest.fixture
def shop(tmp_path: Path) -> DuckDBConnection:
    return DuckDBConnection("shop", path=str(tmp_path / "shop.duckdb"))


def rows(columns: dict[str, list[Any]]) -> pa.Table:
    return pa.table(columns)


def reader(columns: dict[str, list[Any]]) -> pa.RecordBatchReader:
    return rows(columns).to_reader()


def in_session(shop: DuckDBConnection, work: Callable[[Session], object]) -> None:
    target = registry.target(shop)
    try:
        with target.session() as session:
            work(session)
    finally:
        target.close()


def make(session: Session) -> None:
    session.execute('CREATE TABLE "t" (a BIGINT, s VARCHAR)', {})


def count(shop: DuckDBConnection, table: str = "t") -> int:
    target = registry.target(shop)
    with target.inspect() as session:
        found = session.query(f"SELECT count(*) AS n FROM {table}", {}).to_pylist()[0]["n"]
    target.close()
    return int(found)


def test_a_session_commits_on_clean_exit(shop: DuckDBConnection) -> None:
    target = registry.target(shop)
    with target.session() as session:
        make(session)
        assert session.load(T, COLUMNS, reader({"a": [1, 2], "s": ["x", None]})) == 2
        assert session.insert(T, ["a", "s"], "SELECT a + :n, s FROM t", {"n": 10}) == 2
        assert session.execute("UPDATE t SET s = 'y' WHERE a > 10", {}) == 2
    target.close()
    assert count(shop) == 4


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_any_exception_rolls_back_rows_and_tables(shop: DuckDBConnection, error: type[BaseException]) -> None:
    def work(session: Session) -> None:
        make(session)
        session.load(T, COLUMNS, reader({"a": [1], "s": ["x"]}))
        raise error

    with pytest.raises(error):
        in_session(shop, work)
    target = registry.target(shop)
    with target.inspect() as session:
        assert session.columns(T) is None
    target.close()


def test_an_error_of_the_reader_passes_through_unchanged(shop: DuckDBConnection) -> None:
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


def test_inspecting_creates_nothing(shop: DuckDBConnection, tmp_path: Path) -> None:
    target = registry.target(shop)
    with target.inspect() as session:
        assert session.columns(T) is None
        assert session.last_load("job") is None
        assert session.loaded_files("job") == frozenset()
    target.close()
    assert list(tmp_path.iterdir()) == []


def test_loads_are_recorded_with_the_rows(shop: DuckDBConnection) -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
    target = registry.target(shop)
    with target.session() as session:
        session.record_load(LoadRecord("job", "one", at, '"2026"', {"inserted": 3}), [SourceFile("x.csv", 1, 2**60)])
    with target.session() as session:
        session.record_load(LoadRecord("job", "two", at + dt.timedelta(seconds=1), None, {}), [])
    with target.inspect() as session:
        last, first = session.last_load("job"), session.find_load("job", "one")
        assert last is not None
        assert last.load_id == "two"
        assert first == LoadRecord("job", "one", at, '"2026"', {"inserted": 3})
        assert session.find_load("job", "three") is None
        assert session.last_load("other") is None
        assert session.loaded_files("job") == {SourceFile("x.csv", 1, 2**60)}
    target.close()


ARRAYS: list[pa.Array[Any]] = [
    pa.array([True, None]), pa.array([-1, None], pa.int8()), pa.array([1], pa.int16()), pa.array([1], pa.int32()),
    pa.array([2**63 - 1]), pa.array([255], pa.uint8()), pa.array([65535], pa.uint16()), pa.array([1], pa.uint32()),
    pa.array([2**64 - 1], pa.uint64()), pa.array([1.5], pa.float32()), pa.array([1.5, float("nan")]),
    pa.array([12], pa.int64()).cast(pa.decimal128(38, 9)), pa.array(["é\0日"]), pa.array([b"\0\xff"]),
    pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    pa.array([1], pa.time64("us")), pa.array([86_399_999_999_999], pa.time64("ns")),
    pa.array([1], pa.timestamp("s")), pa.array([1], pa.timestamp("ms")), pa.array([-1], pa.timestamp("us")),
    pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")), pa.array([1], pa.timestamp("us", "UTC")),
    pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC")),
    pa.array([(1, 2, 3000)], pa.month_day_nano_interval()),
    pa.array([uuid.UUID(int=5), None], pa.uuid()), pa.array(['{"a": 1}'], pa.json_(pa.string())),
    pa.array([[1, None], None], pa.list_(pa.int32())), pa.array([{"a b": 1, "c": "x"}]),
    pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.type))
def test_every_type_comes_back_as_it_went_in(shop: DuckDBConnection, array: pa.Array[Any]) -> None:
    kind = from_arrow(array.type)
    target, source = registry.target(shop), registry.source(shop)
    with target.session() as session:
        session.execute(f'CREATE TABLE "t" (v {registry.dialect("duckdb").sql_type(kind, column="v")})', {})
        session.load(T, [Column("v", kind)], pa.table({"v": array}).to_reader())
        assert [c.type.label() for c in session.columns(T) or ()] == [kind.label()]
    found = source.read(Query(table="t")).read_all()
    assert from_arrow(found.schema.field("v").type) is kind
    assert found.column("v").combine_chunks().cast(array.type).equals(array) or "nan" in str(array)
    source.close()
    target.close()


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([1], pa.decimal256(50, 2)), from_arrow(pa.decimal256(50, 2))),
        (pa.array([1], pa.duration("us")), Duration),
    ],
)
def test_what_duckdb_cannot_hold_is_refused_by_name(
    shop: DuckDBConnection, array: pa.Array[Any], kind: type[ColumnType]
) -> None:
    target = registry.target(shop)
    with pytest.raises(UnsupportedError, match="'v'"), target.session() as session:
        session.load(T, [Column("v", kind)], pa.table({"v": array}).to_reader())
    target.close()


def test_a_value_that_does_not_fit_names_its_column(shop: DuckDBConnection) -> None:
    def work(session: Session) -> None:
        make(session)
        session.load(T, (Column("a", BigInt), Column("s", SHORT)), reader({"a": [1], "s": ["abc"]}))

    with pytest.raises(ConversionError, match="'s'"):
        in_session(shop, work)


def test_half_floats_and_dictionaries_are_cast(shop: DuckDBConnection) -> None:
    target = registry.target(shop)
    with target.session() as session:
        session.execute('CREATE TABLE "t" (f FLOAT, d VARCHAR)', {})
        halves = pa.table({"f": pa.array([1.5], pa.float16()), "d": pa.array(["x"]).dictionary_encode()})
        columns = [Column(field.name, from_arrow(field.type)) for field in halves.schema]
        session.load(T, columns, halves.to_reader())
        assert session.query("SELECT * FROM t", {}).to_pylist() == [{"f": 1.5, "d": "x"}]
    target.close()


def test_sums_of_integers_come_as_decimals_and_enums_as_text(shop: DuckDBConnection) -> None:
    target = registry.target(shop)
    with target.inspect() as session:
        found = session.query("SELECT sum(x) AS s, 'a'::ENUM('a', 'b') AS e FROM range(3) r(x)", {})
    assert found.schema.types == [pa.decimal128(38, 0), pa.string()]
    target.close()


def test_nanoseconds_are_bound_exactly(shop: DuckDBConnection) -> None:
    value = pa.scalar(1_700_000_000_123_456_789, pa.timestamp("ns"))
    zoned = pa.scalar(1_700_000_000_123_456_789, pa.timestamp("ns", "Europe/Berlin"))
    target = registry.target(shop)
    with target.inspect() as session:
        row = session.query("SELECT :a AS a, :b AS b", {"a": value, "b": zoned})
    assert [column[0].value for column in row.columns] == [value.value, zoned.value]
    target.close()


def test_instants_with_zones_are_bound(shop: DuckDBConnection) -> None:
    at = dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    target = registry.target(shop)
    with target.inspect() as session:
        found = session.query("SELECT :at AS t", {"at": at})
    assert found.schema.field("t").type == pa.timestamp("us", "UTC")
    assert found.to_pylist()[0]["t"] == at
    target.close()


def test_unique_keys_are_constraints_and_unique_indexes(shop: DuckDBConnection) -> None:
    target = registry.target(shop)
    with target.session() as session:
        session.execute('CREATE TABLE "t" (a INT PRIMARY KEY, b INT, "c d" INT, UNIQUE (b, a))', {})
        session.execute('CREATE UNIQUE INDEX i ON t (b, "c d")', {})
        session.execute("CREATE UNIQUE INDEX j ON t ((b + 1))", {})
        assert set(session.unique_keys(T)) == {("a",), ("b", "a"), ("b", "c d")}
        assert [c.nullable for c in session.columns(T) or ()] == [False, True, True]
    target.close()


def test_a_replacement_keeps_a_primary_key(shop: DuckDBConnection) -> None:
    target = registry.target(shop)
    with target.session() as session:
        session.execute('CREATE TABLE "t" (a BIGINT PRIMARY KEY, s VARCHAR)', {})
        session.load(T, COLUMNS, reader({"a": [1, 2], "s": ["x", "y"]}))
    with target.session() as session:
        assert session.clear(T) == 2
        session.load(T, COLUMNS, reader({"a": [1, 2], "s": ["z", "z"]}))
    target.close()
    assert count(shop) == 2


def test_interrupt_stops_a_statement(shop: DuckDBConnection) -> None:
    target = registry.target(shop)

    def stop() -> None:
        time.sleep(0.3)
        target.interrupt()

    def work() -> None:
        with target.session() as session:
            stopper.start()
            session.execute("CREATE TABLE big AS SELECT count(*) FROM range(1000000) a, range(1000000) b", {})

    stopper = threading.Thread(target=stop)
    with pytest.raises(CancelledError):
        work()
    stopper.join()
    target.close()


def test_source_and_target_may_be_the_same_file(shop: DuckDBConnection) -> None:
    target, source = registry.target(shop), registry.source(shop)
    with target.session() as session:
        make(session)
        session.load(T, COLUMNS, reader({"a": [1], "s": ["x"]}))
    query = Query(sql="SELECT * FROM t WHERE a >= :watermark", parameters={"watermark": 1})
    found = source.read(query)
    with target.session() as session:
        assert session.load(T, COLUMNS, found) == 1
    local = source.local_query(query, shop)
    assert local is not None
    with target.session() as session:
        assert session.insert(T, ["a", "s"], local.sql, local.parameters) == 2
    source.close()
    target.close()


def test_a_uuid_is_declared_as_such() -> None:
    assert registry.dialect("duckdb").sql_type(UUID, column="id") == "UUID"


def test_a_file_that_another_thread_is_just_closing_is_waited_for(shop: DuckDBConnection) -> None:
    path = str(shop.settings()["path"])
    open_duck(path).close()

    def again() -> int:
        deadline, times = time.monotonic() + 2, 0
        while time.monotonic() < deadline:
            open_duck(path).close()
            times += 1
        return times

    with ThreadPoolExecutor(3) as pool:  # DuckDB refuses one time in thirty
        assert all(done.result() > 1 for done in [pool.submit(again) for _ in range(3)])
