"""Several files of a bucket in one query, which DuckDB opens at once, from threads of its own."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

import ematix_core as ematix
from ematix_core import Connection, DeltaConnection, DuckDBConnection, ObjectStoreConnection, SQLiteConnection
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query

if TYPE_CHECKING:
    from pathlib import Path

    from tools.servers.bucket import Bucket

FILES = 5


@pytest.fixture
def drops(s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStoreConnection:
    """Return a connection to files of 1,000 rows, of which each has a column more than the one before."""
    monkeypatch.chdir(tmp_path)
    for number in range(FILES):
        columns = ["k", *(f"c{n}" for n in range(number))]
        rows = pa.table({name: range(1000) for name in columns})
        pq.write_table(rows, "part.parquet")
        csv.write_csv(rows, "part.csv")
        for kind in ("parquet", "csv"):
            s3.store().put(f"in/{number}.{kind}", (tmp_path / f"part.{kind}").read_bytes())
    return ObjectStoreConnection("drops", path=f"{s3.s3_url}/in", options=s3.options)


def target(kind: str, s3: Bucket) -> Connection:
    if kind == "duckdb":
        return DuckDBConnection("lake", path="lake.duckdb")
    if kind == "sqlite":
        return SQLiteConnection("lake", path="lake.sqlite")
    made = ObjectStoreConnection if kind == "objects" else DeltaConnection
    return made("lake", path=f"{s3.s3_url}/lake", options=s3.options)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["delta", "duckdb", "objects", "sqlite"])
@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("mode", ["append", "truncate"])
def test_they_are_loaded(s3: Bucket, drops: ObjectStoreConnection, kind: str, form: str, mode: str) -> None:
    lake = target(kind, s3)

    @ematix.job(source_connection=drops, target="events", target_connection=lake, mode=mode)
    def events() -> str:
        return f'SELECT * FROM "*.{form}"'

    for _ in range(2):
        assert events.run().inserted == FILES * 1000
    source = registry.source(lake)
    try:
        found = source.read(Query(sql="SELECT count(*), count(c3), count(c0) FROM events")).read_all()
    finally:
        source.close()
    loads = 2 if mode == "append" else 1
    assert [column[0].as_py() for column in found.columns] == [FILES * 1000 * loads, 1000 * loads, 4000 * loads]


@pytest.mark.timeout(60)
def test_many_compressed_ones_are_loaded(s3: Bucket, drops: ObjectStoreConnection) -> None:
    for number in range(40):
        s3.store().put(f"in/packed/{number}.csv.gz", gzip.compress(f"id,v\n{number},x\n".encode()))
    made = ematix.job(source_connection=drops, target="packed", target_connection=target("duckdb", s3))
    assert made(lambda: "SELECT * FROM packed").run().inserted == 40


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["r g", "Région", "50%", "a=b", "a/b", "it's"])
def test_partitions_of_any_name_are_read_back_and_get_new_columns(s3: Bucket, tmp_path: Path, name: str) -> None:
    lake = ObjectStoreConnection(
        "lake", path=f"{s3.s3_url}/lake", format="parquet", options={**s3.options, "partition_by": [name]}
    )
    values = ["a b", "é", "50%", "x=y", "x/y", "it's"]
    for rows in ({"id": range(6), name: values}, {"id": range(6), name: values, "more": range(6)}):
        made = ematix.job(name="t", target="t", target_connection=lake, on_drift="add")
        made(lambda rows=rows: pa.table(rows)).run()
    back = DuckDBConnection("back", path=str(tmp_path / "back.duckdb"))
    read = ematix.job(source_connection=lake, target="back", target_connection=back)(lambda: "SELECT * FROM t")
    assert read.run().inserted == 12
    with duckdb.connect(str(tmp_path / "back.duckdb")) as connection:
        found = connection.sql(f'SELECT "{name}", count(*), count(more) FROM back GROUP BY 1').fetchall()
    assert sorted(found) == sorted((value, 2, 1) for value in values)
