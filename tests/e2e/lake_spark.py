"""Delta tables between ematix and a running Spark, each way: `make spark`, no part of the gate.

The name keeps it out of what pytest collects by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from ematix_core.store import open_store
from tests.e2e.lake_tables import WRITTEN, Rows, ordered
from tests.e2e.spark_tables import TABLES, SparkTable, check
from tests.unit.backends.delta.conftest import Lake
from tools.spark import Spark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with open_store("memory:") as store:
        yield Lake(tmp_path / "lake", store)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    with Spark(tmp_path_factory.mktemp("spark") / "log") as spark:
        yield spark


def _rows(spark: Spark, lake: Lake, folder: str) -> Rows:
    into = lake.root.parent / folder
    spark.run(f"SELECT * FROM delta.`{lake.at()}`", into)
    return [row for file in sorted(into.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


@pytest.mark.parametrize("written", WRITTEN)
def test_tables_of_ematix_are_read_and_changed_by_spark(spark: Spark, lake: Lake, written: str) -> None:
    expected = WRITTEN[written](lake)
    assert ordered(_rows(spark, lake, "before")) == ordered(expected)
    spark.run(f"DELETE FROM delta.`{lake.at()}` WHERE id = 1")
    expected = [row for row in expected if row["id"] != 1]
    assert ordered(_rows(spark, lake, "after")) == ordered(expected)
    assert ordered(lake.read("SELECT * FROM orders")) == ordered(expected)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_of_spark_are_read_right_or_refused_by_name(spark: Spark, lake: Lake, table: SparkTable) -> None:
    for statement in table.statements:
        spark.run(statement.replace("{table}", f"delta.`{lake.at()}`"))
    check(lake, table)
    if not table.unread:
        assert ordered(_rows(spark, lake, "rows")) == ordered(lake.rows())
