"""A query reads the columns, partitions, files and row groups that it needs, and no others: the others are damaged."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from ematix_core.backends.duck.connection import quote
from ematix_core.errors import EmatixError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.backends.delta.conftest import Lake

GROUP = 2048
ROWS = 4 * GROUP


def _orders(**more: Any) -> pa.Table:  # noqa: ANN401 - columns of any kind
    numbers = list(range(ROWS))
    columns: dict[str, Any] = {"k": numbers, "v": [f"value {n}" for n in numbers], "c": [n % 3 for n in numbers]}
    return pa.table(columns | more)


def _damage(file: Path, column: str, group: int | None = None) -> None:
    """Overwrite the pages of a column, in one row group or in all, and leave the footer as it is."""
    meta = pq.read_metadata(file)
    content = bytearray(file.read_bytes())
    for number in range(meta.num_row_groups) if group is None else (group,):
        chunks = [meta.row_group(number).column(i) for i in range(meta.num_columns)]
        (chunk,) = (one for one in chunks if one.path_in_schema == column)
        begin = chunk.dictionary_page_offset or chunk.data_page_offset
        content[begin : begin + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    file.write_bytes(content)


def _files(lake: Lake, table: str = "orders") -> list[Path]:
    return sorted(lake.at(table).rglob("*.parquet"))


def _refused(lake: Lake, sql: str) -> bool:
    try:
        lake.read(sql)
    except EmatixError:
        return True
    return False


def test_columns_that_are_not_asked_for_are_not_read(lake: Lake) -> None:
    lake.load(_orders(), options={"row_group_size": GROUP})
    (file,) = _files(lake)
    _damage(file, "v")
    assert lake.read("SELECT sum(k) AS s FROM orders WHERE c = 0")[0]["s"] == sum(range(0, ROWS, 3))
    assert _refused(lake, "SELECT max(v) FROM orders")


def test_row_groups_without_a_wanted_row_are_not_read(lake: Lake) -> None:
    lake.load(_orders(), options={"row_group_size": GROUP})
    (file,) = _files(lake)
    assert pq.read_metadata(file).num_row_groups == 4
    for column in ("k", "v"):
        _damage(file, column, 3)
    assert lake.read("SELECT v FROM orders WHERE k = 17") == [{"v": "value 17"}]
    assert lake.read("SELECT v FROM orders WHERE k = :k", k=17) == [{"v": "value 17"}]
    assert _refused(lake, f"SELECT v FROM orders WHERE k = {ROWS - 1}")


def test_partitions_without_a_wanted_row_are_not_opened(lake: Lake) -> None:
    days = [date(2026, 1, 1 + n * 4 // ROWS) for n in range(ROWS)]
    lake.load(_orders(day=days), options={"partition_by": ["day"]})
    for file in _files(lake):
        if "2026-01-03" not in file.parent.name:
            file.write_bytes(b"damaged")
    assert lake.read("SELECT count(*) AS n FROM orders WHERE day = '2026-01-03'") == [{"n": ROWS // 4}]
    by_month = "SELECT min(k) AS k FROM orders WHERE day >= DATE '2026-01-03' AND day < DATE '2026-01-04'"
    assert lake.read(by_month) == [{"k": ROWS // 2}]
    assert _refused(lake, "SELECT count(*) FROM orders WHERE day = '2026-01-02' AND k > 0")


def test_tables_and_files_that_are_joined_are_read_as_far_as_they_are_needed(lake: Lake) -> None:
    lake.load(_orders(), options={"row_group_size": GROUP})
    customers = pa.table({"c": [0, 1, 2], "name": ["Ann", "Ben", "Cat"], "note": ["x", "y", "z"]})
    lake.load(customers, table="customers", name="customers")
    more = lake.root.parent / "regions.parquet"
    pq.write_table(pa.table({"name": ["Ann", "Ben"], "region": ["north", "south"], "map": ["a", "b"]}), more)
    _damage(_files(lake)[0], "v")
    _damage(_files(lake, "customers")[0], "note")
    _damage(more, "map")
    sql = f"""
        SELECT region, count(*) AS n
        FROM orders JOIN customers USING (c) JOIN read_parquet('{more}') USING (name)
        WHERE k < 9 GROUP BY ALL ORDER BY ALL
    """
    assert lake.read(sql) == [{"region": "north", "n": 3}, {"region": "south", "n": 3}]
    assert _refused(lake, "SELECT max(note) FROM orders JOIN customers USING (c)")


@pytest.mark.parametrize("by", [None, ["day"], ["day", "flag"]], ids=str)
def test_tables_of_delta_rs_are_read_with_partitions_nulls_and_nested_values(lake: Lake, by: list[str] | None) -> None:
    kinds: dict[str, pa.DataType] = {
        "k": pa.int64(), "day": pa.date32(), "flag": pa.bool_(), "amount": pa.decimal128(12, 2),
        "tags": pa.list_(pa.string()), "at": pa.timestamp("us", "UTC"), "raw": pa.binary(),
        "place": pa.struct([("city", pa.string()), ("parts", pa.list_(pa.struct([("n", pa.int32())])))]),
        "known": pa.map_(pa.string(), pa.int64()),
    }  # fmt: skip
    whole: dict[str, Any] = {
        "k": 1, "day": date(2026, 1, 2), "flag": True, "amount": Decimal("12.34"), "tags": ["a", None],
        "raw": b"\x00\xff", "place": {"city": None, "parts": [{"n": 1}, {"n": None}]}, "known": [("x", 1), ("y", None)],
    }  # fmt: skip
    rows = [whole, dict.fromkeys(kinds), whole | {"k": 2, "day": None, "tags": [], "place": None, "flag": False}]
    table = pa.Table.from_pylist(rows, schema=pa.schema(kinds))
    for _ in range(2):
        write_deltalake(str(lake.at()), table, mode="append", partition_by=by)
    found = lake.read(f"SELECT {', '.join(map(quote, kinds))} FROM orders")
    expected = [pa.Table.from_pylist([row], schema=pa.schema(kinds)).to_pylist()[0] for row in rows * 2]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert lake.read("SELECT count(*) AS n FROM orders WHERE day IS NULL AND NOT flag") == [{"n": 2}]
