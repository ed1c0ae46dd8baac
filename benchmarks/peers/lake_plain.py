"""Plain tools' side of the lake's moves, run in its environment: `python lake_plain.py FUNCTION SOURCE TARGET`.

What a programmer writes who needs it once: no state, no checks, no record of the load.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 122_880


def _reader(path: Path) -> pa.RecordBatchReader:
    import pyarrow.dataset as ds

    return ds.dataset(path).scanner().to_reader()


def write_delta(source: str, target: str) -> None:
    """delta-rs's own writer, from a reader of the file."""
    from deltalake import write_deltalake

    write_deltalake(target, _reader(Path(source)))


def merge_delta(source: str, target: str) -> None:
    """delta-rs's own merge of the file SOURCE_TABLE; the first is a plain write."""
    from deltalake import DeltaTable

    table = os.environ["SOURCE_TABLE"]
    if table == "lineitem":
        write_delta(source, target)
        return
    on = "t.l_orderkey = s.l_orderkey AND t.l_linenumber = s.l_linenumber"
    merge = DeltaTable(target).merge(
        _reader(Path(source).with_name(f"{table}.parquet")), on, source_alias="s", target_alias="t"
    )
    merge.when_matched_update_all().when_not_matched_insert_all().execute()


def delta_to_duckdb(source: str, target: str) -> None:
    """DuckDB's own INSERT..SELECT from the table's files."""
    import duckdb

    with duckdb.connect(target) as connection:
        files = f"read_parquet('{source}/*.parquet')"
        connection.execute(f"CREATE TABLE lineitem AS SELECT * FROM {files} LIMIT 0")
        connection.execute(f"INSERT INTO lineitem SELECT * FROM {files}")


def parquet_by_datafusion(source: str, _: str) -> None:
    """Apache DataFusion's stream."""
    from datafusion import SessionContext  # type: ignore[import-not-found]  # only in the lake's environment

    context = SessionContext()
    context.register_parquet("lineitem", source)
    _count(batch.to_pyarrow() for batch in context.sql("SELECT * FROM lineitem").execute_stream())


def parquet_by_polars(source: str, _: str) -> None:
    """Polars's streaming engine, handing over batches."""
    import polars as pl

    _count(pl.scan_parquet(source).collect_batches())


def parquet_by_pyarrow(source: str, _: str) -> None:
    """pyarrow.dataset."""
    _count(_reader(Path(source)))


def parquet_by_duckdb(source: str, _: str) -> None:
    """DuckDB's Arrow reader: what ours is made of."""
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")
        _count(connection.sql(f"FROM '{source}'").to_arrow_reader(BATCH))


def delta_by_query_builder(source: str, _: str) -> None:
    """delta-rs's own engine."""
    from deltalake import DeltaTable, QueryBuilder

    found = QueryBuilder().register("lineitem", DeltaTable(source)).execute("SELECT * FROM lineitem")
    _count(found)


def delta_by_pyarrow(source: str, _: str) -> None:
    """pyarrow.dataset over the table's files."""
    from deltalake import DeltaTable

    _count(DeltaTable(source).to_pyarrow_dataset().scanner().to_reader())


def _count(batches: Any) -> None:  # noqa: ANN401 - each tool has batches of its own
    print("COPY", sum(b.num_rows if hasattr(b, "num_rows") else len(b) for b in batches))


FUNCTIONS = (
    write_delta, merge_delta, delta_to_duckdb, parquet_by_datafusion, parquet_by_polars, parquet_by_pyarrow,
    parquet_by_duckdb, delta_by_query_builder, delta_by_pyarrow,
)  # fmt: skip

if __name__ == "__main__":
    name, *places = sys.argv[1:]
    next(function for function in FUNCTIONS if function.__name__ == name)(*places)
