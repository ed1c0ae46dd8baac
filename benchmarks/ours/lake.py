"""The moves from and to the lake as a user declares them. Run in a folder with `in/`, where the data is, and `out/`."""

from __future__ import annotations

import os

import ematix_core as ematix
from ematix_core import DeltaConnection, DuckDBConnection, ObjectStoreConnection, PostgresConnection

files_in = ObjectStoreConnection(name="files_in", path="in")
lake_in = DeltaConnection(name="lake_in", path="in/delta")
lake_out = DeltaConnection(name="lake_out", path="out/lake")
duckdb_out = DuckDBConnection(name="duckdb_out", path="out/target.duckdb")
postgres_in = PostgresConnection(name="postgres_in", url="${SOURCE_URL}")

CHANGING = f'SELECT * FROM "{os.environ.get("SOURCE_TABLE", "lineitem")}.parquet"'
KEYS = ["l_orderkey", "l_linenumber"]


@ematix.job(source_connection=files_in, target="lineitem", target_connection=lake_out)
def csv_to_delta() -> str:
    """Append a CSV file to a new Delta table."""
    return 'SELECT * FROM "lineitem.csv"'


@ematix.job(source_connection=files_in, target="lineitem", target_connection=lake_out)
def parquet_to_delta() -> str:
    """Append a Parquet file to a new Delta table."""
    return 'SELECT * FROM "lineitem.parquet"'


@ematix.job(source_connection=postgres_in, target="lineitem", target_connection=lake_out)
def postgres_to_delta() -> str:
    """Append a PostgreSQL table to a new Delta table."""
    return "SELECT * FROM lineitem"


@ematix.job(source_connection=lake_in, target="lineitem", target_connection=duckdb_out)
def delta_to_duckdb() -> str:
    """Append a Delta table to a new DuckDB table."""
    return "SELECT * FROM lineitem"


@ematix.job(source_connection=files_in, target="lineitem", target_connection=lake_out, mode=ematix.merge(keys=KEYS))
def delta_merge() -> str:
    """Insert or update by key in a Delta table."""
    return CHANGING


@ematix.job(source_connection=files_in, target="lineitem", target_connection=lake_out, mode=ematix.scd2(keys=KEYS))
def delta_scd2() -> str:
    """Keep every version in a Delta table."""
    return CHANGING
