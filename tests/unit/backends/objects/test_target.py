"""Tables of files: what is written, what readers see, and what a killed or rival writer leaves."""

# ruff: noqa: ANN401, PT012 - options and column types of any kind; a session is a block that raises
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ematix_core.backends.objects.manifest import History
from ematix_core.backends.objects.source import ObjectSource
from ematix_core.backends.protocols import Query, SourceFile
from ematix_core.errors import ConflictError, ConversionError, LockedError, UnsupportedError
from ematix_core.model.table import Column, TableName, columns_from
from ematix_core.strategies.plan import STAGING
from ematix_core.types import BigInt, Interval, Numeric, Text

from .conftest import EVENTS, record
from .rewrite import rewrite

if TYPE_CHECKING:
    from .conftest import Lake
else:
    Lake = Any


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64())})


TYPES: dict[str, Any] = {
    "small": pa.array([1, None], pa.int16()),
    "flag": pa.array([True, None]),
    "text": pa.array(["", None]),
    "day": pa.array([0, None], pa.date32()),
    "at": pa.array([1, None], pa.timestamp("us")),
    "instant": pa.array([1, None], pa.timestamp("us", "UTC")),
    "price": pa.array([1, None], pa.decimal128(15, 5)),
    "real": pa.array([0.1, None]),
}
MORE: dict[str, Any] = {
    "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
    "time": pa.array([1, None], pa.time64("us")),
    "time_ns": pa.array([1, None], pa.time64("ns")),
    "at_ns": pa.array([1, None], pa.timestamp("ns")),
    "instant_ns": pa.array([1, None], pa.timestamp("ns", "UTC")),
    "uuid": pa.array([b"0123456789abcdef", None], pa.uuid()),
    "json": pa.array(['{"a":1}', None], pa.json_(pa.string())),
}
NESTED: dict[str, Any] = {
    "items": pa.array([[1, 2], None], pa.list_(pa.int32())),
    "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"a": 1, "b": ["x"]}, None], pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])),
}
FORMATS = {
    "parquet": (
        TYPES | MORE | NESTED | {"bytes": pa.array([b"\0", None])},
        ["", "zstd", "gzip", "lz4", "brotli", "none"],
    ),
    "csv": (TYPES | MORE, ["", "gzip", "zstd"]),
    "jsonl": (TYPES | MORE | NESTED, ["", "gzip", "zstd"]),
    "orc": (TYPES | NESTED | {"bytes": pa.array([b"\0", None])}, ["", "zlib", "snappy", "none"]),
}


@pytest.mark.parametrize("way", ["load", "insert"])
@pytest.mark.parametrize(("form", "compression"), [(f, c) for f, (_, cs) in FORMATS.items() for c in cs])
def test_every_type_comes_back_from_every_format(lake: Lake, form: str, compression: str, way: str) -> None:
    table = pa.table(FORMATS[form][0])
    columns = columns_from(table.schema)
    options = {"compression": compression} if compression else {}
    with lake.target(form, **options).session() as session:
        assert session.load(EVENTS, columns, table.to_reader()) == 2
    if way == "insert":
        with lake.target(form, **options).session() as session:
            session.clear(EVENTS)
            # The view shows the session's state, so rows are taken to staging first.
            names = [column.name for column in columns]
            session.load(EVENTS, columns, table.to_reader())
            copy = TableName("analytics", "copy")
            assert session.insert(EVENTS, names, 'SELECT * FROM "analytics"."events"', {}) == 2
            assert session.columns(copy) is None
    source = ObjectSource(lake.connection(form))
    back = source.read(Query(table="analytics/events")).read_all().slice(0, 2)
    source.close()
    for name, column in TYPES.items():
        assert back.column(name).combine_chunks().cast(column.type).equals(column), name
    for name in table.column_names:
        assert back.column(name).null_count == 1
        if name not in {"map", "struct", "items"}:
            assert back.column(name).combine_chunks().cast(table[name].type).equals(table[name].combine_chunks()), name
        else:
            assert back.column(name).to_pylist() == table.column(name).to_pylist()
    with lake.target(form).inspect() as session:
        assert session.columns(EVENTS) == columns


def test_append_adds_and_truncate_replaces(lake: Lake) -> None:
    assert lake.load(rows(1)) == 1
    assert lake.load(rows(2, 3)) == 2
    assert lake.events() == [1, 2, 3]
    assert lake.load(rows(9), clear=True) == 1
    assert lake.events() == [9]
    with lake.target().session() as session:
        assert session.clear(EVENTS) == 1
    assert lake.events() == []


def test_an_empty_load_makes_an_empty_table_and_adds_no_file_later(lake: Lake) -> None:
    lake.load(rows())
    assert lake.events() == []
    assert len(lake.foreign()) == 1
    lake.load(rows(1))
    lake.load(rows())
    assert len(lake.foreign()) == 2
    assert pq.read_table(lake.root / "analytics/events").num_rows == 1


def test_nothing_is_visible_before_the_commit_or_after_a_rollback(lake: Lake) -> None:
    lake.load(rows(1))
    with pytest.raises(RuntimeError, match="stop"), lake.target().session() as session:
        session.clear(EVENTS)
        session.load(EVENTS, columns_from(rows().schema), rows(2).to_reader())
        assert lake.events() == [1]
        assert pq.read_table(lake.root / "analytics/events").num_rows == 1
        assert session.query('SELECT id FROM "analytics"."events"', {}).to_pylist() == [{"id": 2}]
        raise RuntimeError("stop")
    assert lake.events() == [1]
    assert len(lake.stored()) == 1


def test_a_foreign_reader_sees_one_version_during_truncates(lake: Lake) -> None:
    lake.load(rows(*range(100)))
    stop, seen = threading.Event(), set()

    def look() -> None:
        while not stop.is_set():
            # Resolved once, as the module docstring says: the link is exchanged in one step.
            folder = os.path.realpath(lake.root / "analytics/events")
            seen.add(pq.read_table(folder).num_rows)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(10):
        lake.load(rows(*range(50)), clear=True)
        lake.load(rows(*range(50)))
    stop.set()
    reader.join()
    assert seen <= {50, 100}


def test_an_error_of_the_reader_passes_unchanged_and_leaves_nothing(lake: Lake) -> None:
    def broken() -> Any:
        yield rows(1).to_batches()[0]
        raise ConversionError("half-way")

    batches = pa.RecordBatchReader.from_batches(rows().schema, broken())
    with pytest.raises(ConversionError, match="half-way"), lake.target().session() as session:
        session.load(EVENTS, columns_from(rows().schema), batches)
    assert not (lake.root / "analytics").exists()
    assert lake.stored() == []


def test_the_ledger_is_committed_with_the_rows(lake: Lake) -> None:
    files = [SourceFile("a.csv", 1, 2)]
    with lake.target().session() as session:
        assert session.last_load("job -> events") is None
        session.columns(EVENTS)
        session.load(EVENTS, columns_from(rows().schema), rows(1).to_reader())
        session.record_load(record("one", "5"), files)
    with lake.target().session() as session:
        last = session.last_load("job -> events")
        assert last is not None
        assert (last.load_id, last.watermark, dict(last.counts)) == ("one", "5", {"inserted": 1})
        assert session.find_load("job -> events", "one") == last
        assert session.find_load("job -> events", "two") is None
        assert session.loaded_files("job -> events") == frozenset(files)
        session.columns(EVENTS)
        session.record_load(record("two", "6"), [])
    with lake.target().inspect() as session:
        assert session.loaded_files("job -> events") == frozenset(files)
        assert session.find_load("job -> events", "two") is not None


def test_inspect_creates_nothing(lake: Lake) -> None:
    lake.root.rmdir()
    with lake.target().inspect() as session:
        assert session.columns(EVENTS) is None
        assert session.last_load("x") is None
    assert not lake.root.exists()


def test_staging_lives_in_the_session(lake: Lake) -> None:
    lake.load(rows(1))
    staging = TableName("", STAGING)
    with lake.target().session() as session:
        session.execute(f'CREATE TEMP TABLE "{STAGING}" ("id" BIGINT)', {})
        assert session.load(staging, columns_from(rows().schema), rows(1, 2, 3).to_reader()) == 3
        assert session.columns(staging) == columns_from(rows().schema)
        new = f'SELECT id FROM "{STAGING}" EXCEPT SELECT id FROM "analytics"."events"'
        assert session.insert(EVENTS, ["id"], new, {}) == 2
        assert session.execute(f'DELETE FROM "{STAGING}" WHERE id > :least', {"least": 1}) == 2
    assert lake.events() == [1, 2, 3]


@pytest.mark.parametrize(
    "statement",
    [
        'INSERT INTO "analytics"."events" VALUES (2)',
        'UPDATE "analytics"."events" SET id = 1 RETURNING id',
        'ALTER TABLE "analytics"."events" ADD COLUMN x INT',
        'TRUNCATE "analytics"."events"',
        "CREATE TABLE x (a INT)",
        "ATTACH 'x'",
    ],
)
def test_statements_that_are_no_plain_change_of_rows_are_refused(lake: Lake, statement: str) -> None:
    lake.load(rows(1))
    with pytest.raises(UnsupportedError, match="only a plain UPDATE or DELETE"), lake.target().session() as session:
        session.execute(statement, {})


def test_new_columns_and_wider_types_show_in_all_rows(lake: Lake) -> None:
    lake.load(pa.table({"id": pa.array([1], pa.int32()), "old": ["x"]}))
    lake.load(pa.table({"new": [True], "id": pa.array([2**40], pa.int64())}))
    back = lake.read('SELECT * FROM "analytics/events" ORDER BY id').to_pylist()
    assert back == [{"id": 1, "old": "x", "new": None}, {"id": 2**40, "old": None, "new": True}]


def test_rows_are_written_into_hive_folders(lake: Lake) -> None:
    table = pa.table({"id": [1, 2, 3], "day": ["2026-01-01", "2026-01-02", None]})
    lake.load(table, partition_by=["day"])
    folders = sorted(p.name for p in (lake.root / "analytics/events").iterdir())
    assert folders == ["day=2026-01-01", "day=2026-01-02", "day=__HIVE_DEFAULT_PARTITION__"]
    assert lake.read("SELECT id, day FROM analytics.events ORDER BY id").to_pylist() == table.to_pylist()


@pytest.mark.parametrize("form", ["parquet", "orc"])
def test_a_new_file_begins_at_the_target_size(lake: Lake, form: str) -> None:
    lake.load(rows(*range(400_000)), form, target_file_rows=100_000)
    assert len(lake.foreign()) >= 4
    assert len(lake.events()) == 400_000


@pytest.mark.parametrize(("form", "kind"), [("parquet", Interval), ("csv", Interval), ("parquet", Numeric[50, 2])])
def test_a_type_that_the_format_cannot_hold_is_refused_by_column(lake: Lake, form: str, kind: Any) -> None:
    with pytest.raises(UnsupportedError, match="column 'odd'"):
        lake.target(form).check_columns([Column("id", BigInt), Column("odd", kind)])
    lake.target(form).check_columns([Column("id", BigInt), Column("t", Text)])


def test_a_folder_with_foreign_files_is_not_taken_over_and_nothing_is_left(lake: Lake) -> None:
    lake.write_text("analytics/events/mine.csv", "id\n1\n")
    before = sorted(lake.root.rglob("*"))
    with pytest.raises(UnsupportedError, match="did not write"):
        lake.load(rows(1))
    assert sorted(lake.root.rglob("*")) == before


def test_two_writers_of_one_table_exclude_each_other(lake: Lake) -> None:
    with lake.target().session() as first:
        first.load(EVENTS, columns_from(rows().schema), rows(1).to_reader())
        with pytest.raises(LockedError, match="another process"):
            lake.load(rows(2), lock_wait_seconds=0.1)
    lake.load(rows(3))
    assert lake.events() == [1, 3]


def test_the_second_to_commit_a_version_loses_even_without_the_lock(lake: Lake) -> None:
    lake.load(rows(1))
    target = lake.target()
    with pytest.raises(ConflictError, match="another writer"), target.session() as session:
        session.load(EVENTS, columns_from(rows().schema), rows(2).to_reader())
        history = History(target.store, "analytics/events")
        newest = history.newest()
        assert newest is not None
        rival = lake.root / ".ematix/analytics/events/_manifest-000000002.json"
        rival.write_bytes((lake.root / ".ematix/analytics/events/_manifest-000000001.json").read_bytes())
    assert lake.events() == [1]


def test_files_of_replaced_versions_stay_for_the_grace_period(lake: Lake) -> None:
    lake.load(rows(1))
    lake.load(rows(2), clear=True)
    assert len(lake.stored()) == 2
    lake.load(rows(3), clear=True, grace_seconds=0)
    assert len(lake.stored()) == 1
    assert lake.events() == [3]


def run_child(lake: Lake, way: str, **environment: str) -> int:
    command = [sys.executable, str(Path(__file__).with_name("rewrite.py")), way, str(lake.root)]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path, **environment}, check=False).returncode


@pytest.mark.parametrize(
    ("way", "after", "replaced"), [("truncate", [7, 8, 9], 1), ("update", [7, 8, 9], 1), ("append", [1, 7, 8], 0)]
)
def test_a_writer_killed_at_any_point_leaves_no_half_load(
    lake: Lake, tmp_path: Any, way: str, after: list[int], replaced: int
) -> None:
    trace = tmp_path / "trace"
    lake.load(rows(1))
    assert run_child(lake, way, EMATIX_FAILPOINT_TRACE=str(trace)) == 0
    points = [line for line in trace.read_text().splitlines() if line.startswith("objects.")]
    assert len(set(points)) >= 11
    for i, point in enumerate(points):
        nth = points[: i + 1].count(point)
        other = type(lake)(tmp_path / f"lake{i}")
        other.load(rows(1))
        assert run_child(other, way, EMATIX_FAILPOINT=f"{point}#{nth}") == -signal.SIGKILL
        assert other.events() in ([1], after), point
        assert pq.read_table(other.root / "analytics/events").num_rows in {1, 3}, point
        rewrite(way, str(other.root))
        assert other.events() == after, point
        assert pq.read_table(other.root / "analytics/events").num_rows == 3, point
        newest = History(other.target().store, "analytics/events").newest()
        assert newest is not None
        assert len(other.stored()) == len(newest.files) + replaced, point  # in its grace period


@pytest.mark.parametrize(
    "values",
    [
        pa.array([None, -9_246_182_400_000_000], pa.timestamp("us")),
        pa.array([None, 16_725_225_600], pa.timestamp("s", "UTC")),
        pa.array([[None], None, [datetime(2500, 1, 1, tzinfo=UTC)]], pa.list_(pa.timestamp("us", "UTC"))),
        pa.array([None, {"at": datetime(2500, 1, 1, tzinfo=UTC)}], pa.struct([("at", pa.timestamp("us", "UTC"))])),
    ],
)
def test_orc_refuses_times_that_arrow_could_not_read_back(lake: Lake, values: pa.Array[Any]) -> None:
    with pytest.raises(ConversionError, match=r"column 'at' holds .*, but times in ORC files reach from 1677-09-21"):
        lake.load(pa.table({"id": range(len(values)), "at": values}), "orc")
    assert lake.foreign() == []
