"""The data: TPC-H lineitem (16 columns) as Parquet, CSV, SQLite and DuckDB, made once into a cache.

Run as a process of its own, `python -m benchmarks.lineitem FOLDER ROWS...`, since it imports DuckDB: see `measure`.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

SIZES = {"600k": 600_000, "1M": 1_000_000, "2M": 2_000_000, "6M": 6_000_000, "20M": 20_000_000}

# SQLite has no decimals and no dates; declared as what it really keeps, so that no tool has to guess or parse.
SQLITE_COLUMNS = """
    l_orderkey BIGINT NOT NULL, l_partkey BIGINT NOT NULL, l_suppkey BIGINT NOT NULL, l_linenumber INTEGER NOT NULL,
    l_quantity REAL NOT NULL, l_extendedprice REAL NOT NULL, l_discount REAL NOT NULL, l_tax REAL NOT NULL,
    l_returnflag TEXT NOT NULL, l_linestatus TEXT NOT NULL, l_shipdate TEXT NOT NULL, l_commitdate TEXT NOT NULL,
    l_receiptdate TEXT NOT NULL, l_shipinstruct TEXT NOT NULL, l_shipmode TEXT NOT NULL, l_comment TEXT NOT NULL"""
DUCKDB_COLUMNS = """
    l_orderkey BIGINT, l_partkey BIGINT, l_suppkey BIGINT, l_linenumber INTEGER, l_quantity DECIMAL(15,2),
    l_extendedprice DECIMAL(15,2), l_discount DECIMAL(15,2), l_tax DECIMAL(15,2), l_returnflag VARCHAR,
    l_linestatus VARCHAR, l_shipdate DATE, l_commitdate DATE, l_receiptdate DATE, l_shipinstruct VARCHAR,
    l_shipmode VARCHAR, l_comment VARCHAR"""


def prepare(cache: Path, label: str) -> Path:
    """Return the folder with lineitem in all forms at that size, making it when it is not there."""
    folder = cache / label
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _make(_generated(cache, SIZES[label]), folder, SIZES[label])
        (folder / "complete").touch()
    return folder


def _generated(cache: Path, rows: int) -> Path:
    """Return lineitem with at least so many rows as tpchgen-cli writes it: 6,001,215 for each unit of the scale."""
    scale = "1" if rows <= SIZES["6M"] else "3.34"
    path = cache / f"sf{scale}" / "lineitem.parquet"
    if not path.exists():
        tool = Path(sys.executable).with_name("tpchgen-cli")
        options = ["parquet", "-s", scale, "--tables=lineitem", f"--output-dir={path.parent}"]
        subprocess.run([str(tool), *options], check=True, stdout=sys.stderr)
    return path


def _make(source: Path, folder: Path, rows: int) -> None:
    import duckdb

    parquet = folder / "lineitem.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{source}' LIMIT {rows}) TO '{parquet}' (FORMAT parquet)")
        connection.execute(f"COPY (FROM '{parquet}') TO '{folder / 'lineitem.csv'}' (FORMAT csv, HEADER)")
    with duckdb.connect(str(folder / "lineitem.duckdb")) as connection:
        connection.execute(f"CREATE TABLE lineitem ({DUCKDB_COLUMNS})")
        connection.execute(f"INSERT INTO lineitem FROM '{parquet}'")
    _fill_sqlite(parquet, folder / "lineitem.sqlite")


def _fill_sqlite(parquet: Path, path: Path) -> None:
    import duckdb

    target = sqlite3.connect(path)
    target.execute(f"CREATE TABLE lineitem ({SQLITE_COLUMNS})")
    with duckdb.connect() as connection:
        names = [row[0] for row in connection.execute(f"DESCRIBE FROM '{parquet}'").fetchall()]
        casts = {name: f"CAST({name} AS DOUBLE)" for name in names if _is_money(name)}
        casts |= {name: f"CAST({name} AS VARCHAR)" for name in names if name.endswith("date")}
        rows = connection.execute(f"SELECT {', '.join(casts.get(name, name) for name in names)} FROM '{parquet}'")
        insert = f"INSERT INTO lineitem VALUES ({', '.join('?' * len(names))})"
        while batch := rows.fetchmany(50_000):
            target.executemany(insert, batch)
    target.commit()
    target.close()


def _is_money(name: str) -> bool:
    return name.removeprefix("l_") in {"quantity", "extendedprice", "discount", "tax"}


if __name__ == "__main__":
    for size in sys.argv[2:]:
        prepare(Path(sys.argv[1]), size)
