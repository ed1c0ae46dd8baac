"""What the lake's moves need beside lineitem: a Delta table of it, and 120,000 rows to merge into it.

Run as a process of its own, `python -m benchmarks.lake.data FOLDER`, since it imports drivers: see `measure`.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from benchmarks.verify import sums

CHANGED, NEW = 100_000, 20_000
CHANGES = "changes"
"""The name of the table with CHANGED rows of lineitem, spread evenly over it and changed, and NEW ones."""
AFTER = "after-changes.json"
"""Sums of what is there once they are merged."""
_CHANGED_ROW = (
    "REPLACE ((l_quantity + 1)::DECIMAL(15,2) AS l_quantity, (l_extendedprice + 1)::DECIMAL(15,2) AS l_extendedprice)"
)
_NEW_ROW = "REPLACE (l_orderkey + 1000000000 AS l_orderkey)"


def prepare(folder: Path) -> None:
    """Make the Delta table `delta/lineitem`, CHANGES as Parquet and AFTER in the folder, unless they are there."""
    if (folder / AFTER).exists():
        return
    import duckdb
    import pyarrow.dataset as ds
    from deltalake import write_deltalake

    source = folder / "lineitem.parquet"
    shutil.rmtree(folder / "delta", ignore_errors=True)
    write_deltalake(str(folder / "delta" / "lineitem"), ds.dataset(source).scanner().to_reader())
    changes, merged = folder / f"{CHANGES}.parquet", folder / "merged.parquet"
    with duckdb.connect() as duck:
        (rows,) = duck.execute(f"SELECT count(*) FROM '{source}'").fetchall()[0]
        every = f"FROM read_parquet('{source}', file_row_number=true)"
        spread = f"file_row_number % {rows // CHANGED} = 0 AND file_row_number < {rows // CHANGED * CHANGED}"
        columns = "* EXCLUDE (file_row_number)"
        duck.execute(
            f"COPY (SELECT {columns} {_CHANGED_ROW} {every} WHERE {spread} UNION ALL"
            f" SELECT {columns} {_NEW_ROW} {every} WHERE file_row_number < {NEW}) TO '{changes}' (FORMAT parquet)"
        )
        keys = "(l_orderkey, l_linenumber)"
        duck.execute(
            f"COPY (SELECT * FROM '{changes}' UNION ALL SELECT * FROM '{source}' WHERE {keys} NOT IN"
            f" (SELECT {keys} FROM '{changes}')) TO '{merged}' (FORMAT parquet)"
        )
    (folder / AFTER).write_text(json.dumps(sums(merged)), encoding="utf-8")
    merged.unlink()


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
