"""Did the rows arrive? `python -m benchmarks.verify PATH` prints rows and sums of what a move left there, as JSON.

A process of its own, since it imports DuckDB: see `measure`.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

_SUMS = """count(*), sum(CAST(l_orderkey AS BIGINT)), round(sum(CAST(l_extendedprice AS DOUBLE))),
    sum(length(l_comment)), min(l_shipdate)"""
_FIND = "SELECT table_schema FROM information_schema.tables WHERE table_name = 'lineitem'"


def sums(path: Path) -> list[str]:
    """Return count and checksums of the table lineitem in a file or a folder of files, as text."""
    import duckdb

    if path.suffix == ".sqlite":
        with sqlite3.connect(_lineitem_file(path)) as connection:
            return _text(connection.execute(f"SELECT {_SUMS} FROM lineitem").fetchone())
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as database:
            (schema,) = database.execute(_FIND).fetchall()[0]
            return _text(database.execute(f"SELECT {_SUMS} FROM {schema}.lineitem").fetchone())
    if (path / "_delta_log").is_dir():
        return _delta_sums(path)
    with duckdb.connect() as database:
        return _text(database.execute(f"SELECT {_SUMS} FROM '{_parquet(path)}'").fetchone())


def _delta_sums(path: Path) -> list[str]:
    """Return the same of a Delta table, of a table with history its current rows, and the number of all rows."""
    import duckdb
    from deltalake import DeltaTable

    table = DeltaTable(str(path))
    files = [uri.removeprefix("file://") for uri in table.file_uris()]
    current = "WHERE is_current" if any(field.name == "is_current" for field in table.schema().fields) else ""
    with duckdb.connect() as database:
        found = _text(database.execute(f"SELECT {_SUMS} FROM read_parquet({files}) {current}").fetchone())
        (every,) = database.execute(f"SELECT count(*) FROM read_parquet({files})").fetchall()[0]
        return [*found, str(every)] if current else found


def _lineitem_file(path: Path) -> Path:
    """Return the file that has the rows: dlt keeps a SQLite dataset beside the file that it is given."""
    dataset = path.with_name(f"{path.stem}__main{path.suffix}")
    return dataset if dataset.exists() else path


def _parquet(path: Path) -> str:
    """Return the file itself, or the pattern of the files of ours or of dlt."""
    if path.is_file():
        return str(path)
    folders = [path / "main" / "lineitem", path.parent / "lineitem"]
    return f"{next(folder for folder in folders if folder.is_dir())}/**/*.parquet"


def _text(row: tuple[object, ...] | None) -> list[str]:
    count, keys, money, letters, first = row or (0, 0, 0, 0, "")
    return [str(count), str(keys), f"{float(str(money)):.0f}", str(letters), str(first)[:10]]


if __name__ == "__main__":
    print(json.dumps(sums(Path(sys.argv[1]))))
