"""The moves as a user of ematix declares them. Run in a folder with `in/`, where the data is, and `out/`."""

from __future__ import annotations

import ematix_core as ematix
from ematix_core import DuckDBConnection, ObjectStoreConnection, SQLiteConnection

sqlite_in = SQLiteConnection(name="sqlite_in", path="in/lineitem.sqlite")
duckdb_in = DuckDBConnection(name="duckdb_in", path="in/lineitem.duckdb")
files_in = ObjectStoreConnection(name="files_in", path="in")
sqlite_out = SQLiteConnection(name="sqlite_out", path="out/target.sqlite")
duckdb_out = DuckDBConnection(name="duckdb_out", path="out/target.duckdb")
files_out = ObjectStoreConnection(name="files_out", path="out", format="parquet")

TABLE = "SELECT * FROM lineitem"
KEYS = ["l_orderkey", "l_linenumber"]


@ematix.job(source_connection=sqlite_in, target="lineitem", target_connection=duckdb_out)
def sqlite_to_duckdb() -> str:
    """Append a SQLite table to a new DuckDB table."""
    return TABLE


@ematix.job(source_connection=sqlite_in, target="lineitem", target_connection=duckdb_out, watermark="l_orderkey")
def sqlite_to_duckdb_watermark() -> str:
    """Append the table and remember how far that got."""
    return TABLE


@ematix.job(source_connection=files_in, target="lineitem", target_connection=duckdb_out)
def parquet_to_duckdb() -> str:
    """Append a Parquet file to a new DuckDB table."""
    return 'SELECT * FROM "lineitem.parquet"'


@ematix.job(source_connection=files_in, target="lineitem", target_connection=files_out)
def csv_to_parquet() -> str:
    """Turn a CSV file into a table of Parquet files."""
    return 'SELECT * FROM "lineitem.csv"'


@ematix.job(source_connection=duckdb_in, target="lineitem", target_connection=sqlite_out)
def duckdb_to_sqlite() -> str:
    """Append a DuckDB table to a new SQLite table."""
    return TABLE


@ematix.job(source_connection=sqlite_in, target="lineitem", target_connection=duckdb_out, mode=ematix.merge(keys=KEYS))
def merge_duckdb() -> str:
    """Insert or update by key in DuckDB."""
    return TABLE


@ematix.job(source_connection=duckdb_in, target="lineitem", target_connection=sqlite_out, mode=ematix.merge(keys=KEYS))
def merge_sqlite() -> str:
    """Insert or update by key in SQLite."""
    return TABLE


@ematix.job(source_connection=sqlite_in, target="lineitem", target_connection=duckdb_out, mode=ematix.scd2(keys=KEYS))
def scd2_duckdb() -> str:
    """Keep every version in DuckDB."""
    return TABLE


@ematix.job(source_connection=duckdb_in, target="lineitem", target_connection=sqlite_out, mode=ematix.scd2(keys=KEYS))
def scd2_sqlite() -> str:
    """Keep every version in SQLite."""
    return TABLE
