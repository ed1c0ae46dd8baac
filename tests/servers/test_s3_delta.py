"""What Delta tables in an object store can do beyond loads: maintenance, versions, the change feed, other readers."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import LoadRecord, Query
from ematix_core.model.connection import DeltaConnection
from ematix_core.model.table import TableName, columns_from

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.engine.result import RunResult
    from ematix_core.testing.s3_faults import S3Faults
    from tools.servers.bucket import Bucket


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def connection(s3: Bucket) -> DeltaConnection:
    return DeltaConnection("lake", path=s3.s3_url, options=s3.options)


def load(s3: Bucket, rows: dict[str, list[Any]], **options: Any) -> RunResult:  # noqa: ANN401 - what a job takes
    @ematix.job(name="orders", target="silver.orders", target_connection=connection(s3), **options)
    def orders() -> pa.Table:
        return pa.table(rows)

    return orders.run()


def read(s3: Bucket, sql: str) -> list[dict[str, Any]]:
    source = registry.source(connection(s3))
    try:
        return source.read(Query(sql=sql)).read_all().to_pylist()
    finally:
        source.close()


def test_maintenance_after_loads_leaves_the_rows(s3: Bucket) -> None:
    steps = [ematix.optimize(every=3), ematix.checkpoint(every=3), ematix.vacuum(every=3)]
    for number in range(4):
        result = load(s3, {"k": [number]}, maintenance=steps)
        assert not result.targets[0].warnings
    assert read(s3, "SELECT k FROM silver.orders ORDER BY k") == [{"k": number} for number in range(4)]
    assert any(key.endswith(".checkpoint.parquet") for key in s3.keys())  # noqa: SIM118 - a method of Bucket
    noted = [entry["ematix"].get("maintenance") for entry in table(s3).history() if "ematix" in entry]
    assert "optimize()" in noted or "optimize(every=3)" in noted


def test_earlier_versions_and_their_changes_are_read(s3: Bucket) -> None:
    write_deltalake(
        f"{s3.s3_url}/silver/orders", pa.table({"k": [1, 2]}), storage_options=s3.environ,
        configuration={"delta.enableChangeDataFeed": "true"},
    )  # fmt: skip
    table(s3).delete("k = 1")
    assert read(s3, 'SELECT k FROM "silver/orders@v0" ORDER BY k') == [{"k": 1}, {"k": 2}]
    changes = read(s3, 'SELECT k, _change_type AS what FROM "silver/orders@changes v1"')
    assert changes == [{"k": 1, "what": "delete"}]


def test_others_read_what_was_merged(s3: Bucket) -> None:
    load(s3, {"k": [1, 2], "v": ["a", "b"]}, mode=ematix.merge(keys="k"))
    load(s3, {"k": [2, 3], "v": ["B", "c"]}, mode=ematix.merge(keys="k"))
    found = pl.read_delta(f"{s3.s3_url}/silver/orders", storage_options=s3.environ).sort("k")
    assert found.to_dict(as_series=False) == {"k": [1, 2, 3], "v": ["a", "B", "c"]}


def test_a_table_in_a_bucket_is_read_by_the_session_of_a_duckdb_file(s3: Bucket, tmp_path: Path) -> None:
    load(s3, {"k": [1, 2]})
    warehouse = ematix.DuckDBConnection("warehouse", path=str(tmp_path / "warehouse.duckdb"))

    @ematix.job(target="orders", source_connection=connection(s3), target_connection=warehouse)
    def orders() -> str:
        return "SELECT k FROM silver.orders"

    assert orders.run().inserted == 2
    assert orders.run().inserted == 2


# Looks at the version: what a scope's last load went to (1 to plan, 1 to load), the log (4 and 1 to plan, 2 to load, 2
# that delta-rs makes after a commit), the record of loads (1).
MOST = {"GET log": 8, "LIST log": 3, "PUT log": 1, "GET bookkeeping": 3, "PUT bookkeeping": 1, "PUT data": 1}
MERGED = {"GET data": 1}
"""What a merge asks for beside these: the rows that it compares with."""


def asked(faults: S3Faults) -> dict[str, int]:
    """Return the number of requests by their kind."""
    places = (("_delta_log/", "log"), ("_ematix", "bookkeeping"))
    found: Counter[str] = Counter()
    for request in faults.requests:
        what = next((name for part, name in places if part in request.key), "data")
        found[f"{request.method} {what}"] += 1
    return dict(found)


@pytest.mark.parametrize(("mode", "most"), [("append", MOST), (ematix.merge(keys="k"), MOST | MERGED)])
def test_second_load_asks_for_no_more_than_it_needs(s3: Bucket, s3_faults: S3Faults, mode: Any, most: Any) -> None:  # noqa: ANN401 - a Mode, a dict
    through = s3.at(s3_faults.endpoint)
    load(through, {"k": [1, 2]}, mode=mode)
    s3_faults.clear()
    load(through, {"k": [2, 3]}, mode=mode)
    found = asked(s3_faults)
    assert {kind: count for kind, count in found.items() if count > most.get(kind, 0)} == {}, found


def test_files_of_a_version_are_read_without_a_look_at_each(s3: Bucket, s3_faults: S3Faults) -> None:
    through = s3.at(s3_faults.endpoint)
    for number in range(4):
        load(s3, {"k": [number, number + 100]})
    result = load(through, {"k": [1, 102, 7]}, after=["DELETE FROM silver.orders WHERE k IN (3, 100)"])
    assert result.inserted == 3
    rows = read(through, "SELECT k FROM silver.orders ORDER BY k")
    assert [row["k"] for row in rows] == [0, 1, 1, 2, 7, 101, 102, 102, 103]
    assert not s3_faults.seen("HEAD")


def test_commit_of_a_stream_asks_as_much_whatever_the_number_of_versions(s3: Bucket, s3_faults: S3Faults) -> None:
    name, rows = TableName("silver", "orders"), pa.table({"k": [1]})
    load(s3, {"k": [0]})
    target = registry.target(connection(s3.at(s3_faults.endpoint)))
    counts = []
    for number in range(12):
        s3_faults.clear()
        with target.session() as session:
            session.columns(name)
            session.last_load("events")
            session.load(name, columns_from(rows.schema), rows.to_reader())
            session.record_load(LoadRecord("events", str(number), datetime.now(UTC), None, {}, replaces=True), ())
        counts.append(asked(s3_faults))
    target.close()
    assert counts[3] == counts[-1]
    assert sum(counts[-1].values()) <= 13


def table(s3: Bucket) -> DeltaTable:
    return DeltaTable(f"{s3.s3_url}/silver/orders", storage_options=s3.environ)
