"""Tables that delta-rs wrote, and what of them is read or refused."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import TableFeatures, write_deltalake

from ematix_core.backends.delta.log import opened
from ematix_core.backends.delta.scan import Layout, Piece, scan
from ematix_core.backends.duck.connection import open_duck
from ematix_core.backends.storage.local import LocalFolder
from ematix_core.errors import MissingSourceError, SourceError, UnsupportedError

if TYPE_CHECKING:
    from tests.unit.backends.delta.conftest import Lake

VARIED = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "day": pa.array([date(2026, 1, 1), None, date(2026, 1, 2)]),
        "region": ["north east", "a/b=%", None],
        "flag": [True, False, None],
        "amount": pa.array([Decimal("1.10"), None, Decimal("-2.00")], pa.decimal128(12, 2)),
        "moment": pa.array([1, None, 3], pa.timestamp("us")),
        "instant": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")),
        "tags": pa.array([["a", None], [], None], pa.list_(pa.string())),
        "place": pa.array([{"city": "Köln", "zip code": 1}, None, {"city": None, "zip code": None}]),
        "raw": pa.array([b"\x00", b"", None], pa.binary()),
    }
)


@pytest.mark.parametrize("by", [None, ["day"], ["region", "flag"]], ids=str)
def test_table_of_another_writer_is_read_as_it_is(lake: Lake, by: list[str] | None) -> None:
    write_deltalake(str(lake.at("bronze/varied")), VARIED, partition_by=by)
    assert lake.read('SELECT * FROM "bronze/varied" ORDER BY id') == VARIED.to_pylist()
    assert lake.read("SELECT id FROM bronze.varied WHERE region = :region", region="a/b=%") == [{"id": 2}]
    assert lake.read('SELECT v.id FROM lake."bronze/varied" AS v WHERE v.flag IS NULL') == [{"id": 3}]


def test_files_older_than_a_column_have_null_in_it_and_wider_types_hold_all(lake: Lake) -> None:
    write_deltalake(str(lake.at()), pa.table({"id": pa.array([1], pa.int64())}))
    more = pa.table({"id": pa.array([2], pa.int64()), "note": ["x"]})
    write_deltalake(str(lake.at()), more, mode="append", schema_mode="merge")
    assert lake.read("SELECT * FROM orders ORDER BY id") == [{"id": 1, "note": None}, {"id": 2, "note": "x"}]


def test_only_matching_partitions_and_needed_columns_are_read(lake: Lake) -> None:
    rows = pa.table({"id": range(30), "day": [f"d{n % 10}" for n in range(30)], "wide": ["x" * 1000] * 30})
    write_deltalake(str(lake.at()), rows, partition_by=["day"])
    table = opened(LocalFolder(lake.at()))
    pieces = [Piece(number, file) for number, file in enumerate(table.files())]
    body = scan(Layout(table.place, table.columns, table.partition_by), pieces)
    with open_duck() as duck:
        plan = str(duck.execute(f"EXPLAIN SELECT sum(id) FROM ({body}) WHERE day = 'd3'").fetchall())
    assert plan.count("READ_PARQUET") == 1
    assert re.search(r"Projections: *id\b", plan)
    assert "wide" not in plan


def test_many_partitions_are_one_scan(lake: Lake) -> None:
    rows = pa.table({"id": range(300), "part": range(300)})
    write_deltalake(str(lake.at()), rows, partition_by=["part"])
    assert lake.read("SELECT count(*) AS n, sum(part) AS s FROM orders WHERE part = id") == [
        {"n": 300, "s": Decimal(sum(range(300)))}
    ]


def test_older_versions_are_read_by_number_and_by_time(lake: Lake) -> None:
    before = datetime.now(UTC)
    for number in range(3):
        write_deltalake(str(lake.at()), pa.table({"n": [number]}), mode="append")
    assert lake.read('SELECT count(*) AS n FROM "orders@v0"') == [{"n": 1}]
    assert lake.read('SELECT count(*) AS n FROM "orders@v1" JOIN orders USING (n)') == [{"n": 2}]
    assert lake.read(f'SELECT count(*) AS n FROM "orders@{datetime.now(UTC).isoformat()}"') == [{"n": 3}]
    with pytest.raises(MissingSourceError, match="there is no version 7: the newest is 2"):
        lake.read('SELECT * FROM "orders@v7"')
    with pytest.raises(MissingSourceError, match="the log begins later"):
        lake.read(f'SELECT * FROM "orders@{before.isoformat()}"')
    with pytest.raises(SourceError, match="no version of a table"):
        lake.read('SELECT * FROM "orders@yesterday"')


def test_names_that_look_like_patterns_mean_one_file(lake: Lake) -> None:
    lake.load(pa.table({"n": [1]}), "a[1]*", name="one")
    lake.load(pa.table({"n": [2]}), "a1", name="other")
    assert lake.read('SELECT n FROM "a[1]*"') == [{"n": 1}]
    assert lake.read("SELECT n FROM a1") == [{"n": 2}]


def test_missing_tables_and_paths_out_of_the_folder_are_named(lake: Lake) -> None:
    with pytest.raises(MissingSourceError, match="there is no folder"):
        lake.read("SELECT * FROM orders")
    write_deltalake(str(lake.at("silver/orders")), pa.table({"n": [1]}))
    with pytest.raises(MissingSourceError, match="Did you mean 'silver/orders'"):
        lake.read('SELECT * FROM "silver/order"')
    with pytest.raises(SourceError, match="no path below the connection"):
        lake.read('SELECT * FROM "../orders"')


def test_damaged_log_and_missing_file_are_named(lake: Lake) -> None:
    write_deltalake(str(lake.at()), pa.table({"n": [1]}))
    (data,) = lake.at().glob("*.parquet")
    shutil.move(data, lake.root / "away")
    with pytest.raises(SourceError, match=re.escape(data.name)):
        lake.read("SELECT * FROM orders")
    (lake.at() / "_delta_log" / f"{0:020}.json").write_text("no json", encoding="utf-8")
    with pytest.raises(SourceError, match="the Delta table cannot be used"):
        lake.read("SELECT * FROM orders")


@pytest.mark.parametrize(
    ("feature", "named"),
    [
        (TableFeatures.DeletionVectors, "deletionVectors"),
        (TableFeatures.V2Checkpoint, "v2Checkpoint"),
        (TableFeatures.ColumnMapping, "columnMapping"),
    ],
    ids=str,
)
def test_features_that_are_not_read_are_refused_by_name(lake: Lake, feature: TableFeatures, named: str) -> None:
    write_deltalake(str(lake.at()), pa.table({"n": [1]}))
    lake.table().alter.add_feature([feature], allow_protocol_versions_increase=True)
    with pytest.raises(UnsupportedError, match=named):
        lake.read("SELECT * FROM orders")
    with pytest.raises(UnsupportedError, match=named):
        lake.plan(pa.table({"n": [1]}))


def test_column_mapping_of_old_protocols_is_refused_by_name(lake: Lake) -> None:
    configuration: dict[str, Any] = {"delta.columnMapping.mode": "name"}
    write_deltalake(str(lake.at()), pa.table({"n": [1]}), configuration=configuration)
    with pytest.raises(UnsupportedError, match="columnMapping"):
        lake.read("SELECT * FROM orders")
