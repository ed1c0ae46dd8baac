"""The moves as a user of ematix declares them. Run in a folder with `in/`, where the data is, and `out/`.

Databases are named by the variables SOURCE_URL and TARGET_URL.
"""

from __future__ import annotations

import os

import ematix_core as ematix
from ematix_core import (
    DuckDBConnection,
    MySQLConnection,
    ObjectStoreConnection,
    PostgresConnection,
    SQLiteConnection,
)

sqlite_in = SQLiteConnection(name="sqlite_in", path="in/lineitem.sqlite")
duckdb_in = DuckDBConnection(name="duckdb_in", path="in/lineitem.duckdb")
files_in = ObjectStoreConnection(name="files_in", path="in")
sqlite_out = SQLiteConnection(name="sqlite_out", path="out/target.sqlite")
duckdb_out = DuckDBConnection(name="duckdb_out", path="out/target.duckdb")
files_out = ObjectStoreConnection(name="files_out", path="out", format="parquet")
postgres_in = PostgresConnection(name="postgres_in", url="${SOURCE_URL}")
postgres_out = PostgresConnection(name="postgres_out", url="${TARGET_URL}")
mysql_in = MySQLConnection(name="mysql_in", url="${SOURCE_URL}")
mysql_out = MySQLConnection(name="mysql_out", url="${TARGET_URL}")

TABLE = "SELECT * FROM lineitem"
CHANGING = f"SELECT * FROM public.{os.environ.get('SOURCE_TABLE', 'lineitem')}"  # another table when rows have changed
LAKE = 'SELECT * FROM "lineitem.parquet"'
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
    return LAKE


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


@ematix.job(source_connection=postgres_in, target="target.lineitem", target_connection=postgres_out)
def postgres_to_postgres() -> str:
    """Append a PostgreSQL table to a new table of another database."""
    return TABLE


@ematix.job(
    source_connection=postgres_in,
    target="target.lineitem",
    target_connection=postgres_out,
    mode=ematix.merge(keys=KEYS),
)
def postgres_merge() -> str:
    """Insert or update by key in another PostgreSQL database."""
    return CHANGING


@ematix.job(
    source_connection=postgres_in, target="target.lineitem", target_connection=postgres_out, mode=ematix.scd2(keys=KEYS)
)
def postgres_scd2() -> str:
    """Keep every version in another PostgreSQL database."""
    return CHANGING


@ematix.job(source_connection=postgres_out, target="target.lineitem", target_connection=postgres_out)
def postgres_inside_append() -> str:
    """Append a table to another one of the same database."""
    return CHANGING


@ematix.job(source_connection=postgres_out, target="target.lineitem", target_connection=postgres_out, mode="truncate")
def postgres_inside_truncate() -> str:
    """Replace a table by another one of the same database."""
    return CHANGING


@ematix.job(
    source_connection=postgres_out,
    target="target.lineitem",
    target_connection=postgres_out,
    mode=ematix.merge(keys=KEYS),
)
def postgres_inside_merge() -> str:
    """Insert or update by key from a table of the same database."""
    return CHANGING


@ematix.job(
    source_connection=postgres_out,
    target="target.lineitem",
    target_connection=postgres_out,
    mode=ematix.scd2(keys=KEYS),
)
def postgres_inside_scd2() -> str:
    """Keep every version of a table of the same database."""
    return CHANGING


@ematix.job(source_connection=postgres_in, target="lineitem", target_connection=duckdb_out)
def postgres_to_duckdb() -> str:
    """Append a PostgreSQL table to a new DuckDB table."""
    return TABLE


@ematix.job(source_connection=postgres_in, target="lineitem", target_connection=files_out)
def postgres_to_parquet() -> str:
    """Turn a PostgreSQL table into a table of Parquet files."""
    return TABLE


@ematix.job(source_connection=files_in, target="target.lineitem", target_connection=postgres_out)
def parquet_to_postgres() -> str:
    """Append a Parquet file to a new PostgreSQL table."""
    return LAKE


@ematix.job(source_connection=mysql_in, target="target.lineitem", target_connection=postgres_out)
def mysql_to_postgres() -> str:
    """Append a MySQL table to a new PostgreSQL table."""
    return TABLE


@ematix.job(source_connection=mysql_in, target="lineitem", target_connection=duckdb_out)
def mysql_to_duckdb() -> str:
    """Append a MySQL table to a new DuckDB table."""
    return TABLE


@ematix.job(source_connection=files_in, target="lineitem", target_connection=mysql_out)
def parquet_to_mysql() -> str:
    """Append a Parquet file to a new MySQL table."""
    return LAKE
