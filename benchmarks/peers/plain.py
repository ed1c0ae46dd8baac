"""Plain tools' side of the moves, run in the peers' environment: `python plain.py MOVE SOURCE TARGET`.

What a programmer writes who needs the rows over there once: no state, no staging, no record of the load.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys

import duckdb

ROWS = 50_000
SQLITE3 = shutil.which("sqlite3") or "sqlite3"
COLUMNS = {
    "l_orderkey": "BIGINT", "l_partkey": "BIGINT", "l_suppkey": "BIGINT", "l_linenumber": "INTEGER",
    "l_quantity": "DECIMAL(15,2)", "l_extendedprice": "DECIMAL(15,2)", "l_discount": "DECIMAL(15,2)",
    "l_tax": "DECIMAL(15,2)", "l_returnflag": "VARCHAR", "l_linestatus": "VARCHAR", "l_shipdate": "DATE",
    "l_commitdate": "DATE", "l_receiptdate": "DATE", "l_shipinstruct": "VARCHAR", "l_shipmode": "VARCHAR",
    "l_comment": "VARCHAR",
}  # fmt: skip
DECLARED = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
IN_SQLITE = {"DECIMAL(15,2)": "REAL", "DATE": "TEXT", "VARCHAR": "TEXT"}
AS_SQLITE = ", ".join(f"{name} {IN_SQLITE.get(kind, kind)}" for name, kind in COLUMNS.items())
# The types of the SQLite file, for DuckDB: doubles for money and text for dates, as every other tool gets them.
FROM_SQLITE = {name: IN_SQLITE.get(kind, kind).replace("REAL", "DOUBLE") for name, kind in COLUMNS.items()}


def sqlite_pipe_to_duckdb(source: str, target: str) -> None:
    """Pipe sqlite3's CSV into DuckDB's reader."""
    with subprocess.Popen(
        [SQLITE3, "-csv", "-readonly", source, "SELECT * FROM lineitem"], stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None  # noqa: S101 - PIPE was asked for
        with duckdb.connect(target) as connection:
            connection.execute(f"CREATE TABLE lineitem ({', '.join(f'{n} {k}' for n, k in FROM_SQLITE.items())})")
            pipe = f"/dev/fd/{reader.stdout.fileno()}"
            connection.execute(f"INSERT INTO lineitem FROM read_csv('{pipe}', header=false, columns={FROM_SQLITE})")


def parquet_to_duckdb(source: str, target: str) -> None:
    """DuckDB's own INSERT..SELECT."""
    with duckdb.connect(target) as connection:
        connection.execute(f"CREATE TABLE lineitem ({DECLARED})")
        connection.execute(f"INSERT INTO lineitem SELECT * FROM read_parquet('{source}')")


def csv_to_parquet(source: str, target: str) -> None:
    """DuckDB's own COPY."""
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}' (FORMAT parquet)")


def duckdb_pipe_to_sqlite(source: str, target: str) -> None:
    """DuckDB's CSV, piped into sqlite3's import."""
    script = f"CREATE TABLE lineitem ({AS_SQLITE});\n.mode csv\n.import /dev/fd/{{pipe}} lineitem\n"
    read, write = os.pipe()
    writer = subprocess.Popen(
        [SQLITE3, target], stdin=subprocess.PIPE, pass_fds=[read], stdout=subprocess.DEVNULL, text=True
    )
    os.close(read)
    assert writer.stdin is not None  # noqa: S101 - PIPE was asked for
    writer.stdin.write(script.format(pipe=read))
    writer.stdin.close()
    with duckdb.connect(source, read_only=True) as connection:
        connection.execute(f"COPY lineitem TO '/dev/fd/{write}' (FORMAT csv, HEADER false)")
    os.close(write)
    if writer.wait():
        sys.exit(writer.returncode)


def duckdb_to_sqlite(source: str, target: str) -> None:
    """Python's sqlite3 with executemany."""
    money_as_double = ", ".join(
        f"CAST({name} AS {IN_SQLITE[kind].replace('REAL', 'DOUBLE')})" if kind in IN_SQLITE else name
        for name, kind in COLUMNS.items()
    )
    writer = sqlite3.connect(target)
    writer.execute(f"CREATE TABLE lineitem ({AS_SQLITE})")
    with duckdb.connect(source, read_only=True) as connection:
        rows = connection.execute(f"SELECT {money_as_double} FROM lineitem")
        while batch := rows.fetchmany(ROWS):
            writer.executemany(f"INSERT INTO lineitem VALUES ({', '.join('?' * len(COLUMNS))})", batch)
    writer.commit()
    writer.close()


MOVES = (sqlite_pipe_to_duckdb, parquet_to_duckdb, csv_to_parquet, duckdb_pipe_to_sqlite, duckdb_to_sqlite)

if __name__ == "__main__":
    name, *places = sys.argv[1:]
    next(move for move in MOVES if move.__name__ == name)(*places)
