"""How much memory DuckDB gets: little for rows that only pass, more to compare and change many, and for wide ones.

DuckDB keeps the pages that it has read and written until its `memory_limit` is reached, so the limit is what it takes.
Figures: docs/decisions/memory-limit.md.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.connection import operators
from ematix_core.backends.duck.large_values import Room, in_table, on_their_way, to_read, to_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

_CPUS = max(2, os.cpu_count() or 1)
PASSING = 50 * _CPUS
"""MB, as all of these, for a file as long as rows only pass: 20M rows into it take as long as with twice as much."""
WORKING = 100 * _CPUS
"""For statements that keep rows: what is beyond it spills. 1.3 GB and 23 s of CPU to merge 6M rows into 6M become
0.48 GB and 27 s; half of it fails."""

_PASS_ON = re.compile(r"(\w+_)?SCAN|READ_PARQUET|RANGE|EMPTY_RESULT|PROJECTION|FILTER|UNNEST|UNION|STREAMING_\w+")
"""The operators of a plan that give each row on as it comes; those that read CSV and JSON hold 32 MB a thread."""

# Comparing 20M rows with as many fails with 400 MB on two CPUs, and now and then with 640 on a busy machine; grouping
# 60M by key fails with 512 MB and is done with 1 GB: tables of pointers, one for each thread, that DuckDB cannot spill.
_ROW_BYTES = 24
# Changing 3M rows of 2 columns at once takes 324 MB, 6M 602 MB, of 5 columns 685, of 13 670 MB, on two CPUs: the join
# spills its rows, the transaction its old values, but something that counts rows does not. A million at a time of 6M,
# 16 columns each: 296 MB fail, 356 are enough.
_CHANGED_BYTES, _PART_BYTES = 120, 60
# And by the size of the table: merging 1M rows that are all over one of 20M takes 198 s with 200 MB and 12 s with 400;
# deleting 43% of them fails with 360 MB, deleting 50,000 with 200.
_TABLE_BYTES = 16
# 200 columns read or inserted take 1.4 GB on two CPUs, and fail with 1 GB: DuckDB holds whole row groups, one a thread.
_COLUMN_MEGABYTES, _ROOM_MEGABYTES = 4, 256
# Larger row groups than this are read by fewer threads.
_GROUP_MEGABYTES = 512
# Changing half of 950,000 rows of 81 columns takes 98 s at once, 89 s in parts of 300,000 rows and 17 s in those of
# 150,000. But each part may look through the whole table.
_PART_VALUES, _PARTS = 12_000_000, 32
_RAISING = threading.Lock()  # nobody else reads the limit while it is reset
_UNITS = {"bytes": 1e-6, "KiB": 1.024e-3, "MiB": 1.048576, "GiB": 1073.741824, "TiB": 1099511.627776}


def room_to_compare(rows: int) -> int:
    """Return the MB that joins and groups of so many rows need."""
    return max(WORKING, rows * _ROW_BYTES * _CPUS // 1_000_000 - PASSING)


def rows_at_once(rows: int, columns: int) -> int:
    """Return how many of so many staged rows are compared with the table at a time."""
    return max(_PART_VALUES // columns, -(-rows // _PARTS))


def room_to_change(rows: int, of: int) -> int:
    """Return the MB that an UPDATE or DELETE takes which changes so many rows of so many, whatever their columns."""
    return max(WORKING + (of * _TABLE_BYTES + rows * _PART_BYTES) // 1_000_000, rows * _CHANGED_BYTES // 1_000_000)


def room_to_run(
    connection: DuckDBPyConnection, query: str, parameters: Mapping[str, Any], *, writes: bool = False
) -> int:
    """Return the MB for a query: few if each operator of its plan gives rows on as they come, as no sort or join does.

    With those for large values in the tables that it reads. `writes`: its rows go into a table. Raises the errors of
    `operators`.
    """
    plan = operators(connection, query, parameters)
    large = _large(connection, plan, to_table if writes else to_read)
    passes = bool(plan) and all(_PASS_ON.fullmatch(operator["name"].strip()) for operator in plan)
    return PASSING + large if passes else WORKING + 2 * large


def room_for_large(connection: DuckDBPyConnection, statement: str, parameters: Mapping[str, Any]) -> int:
    """Return the MB for the large values that a statement reads from tables, 0 for none: a join holds all sides'."""
    return _large(connection, operators(connection, statement, parameters), to_read)


def _large(connection: DuckDBPyConnection, plan: Sequence[dict[str, Any]], room: Room) -> int:
    return sum(in_table(connection, operator["extra_info"], room) for operator in plan)


def with_room(
    batches: pa.RecordBatchReader, connection: DuckDBPyConnection, room: Room = to_table
) -> pa.RecordBatchReader:
    """Return the same rows; the memory limit is raised for their large values while a statement reads them."""
    before = 0.0

    def raise_by(large: int) -> None:
        nonlocal before
        with closing(connection.cursor()) as beside:
            before = before or max(WORKING, _limit(beside))
            raise_limit(beside, before + large)

    return on_their_way(batches, raise_by, room)


def make_room(connection: DuckDBPyConnection, columns: int, *, least: int = 0, beside: int = 0) -> None:
    """Raise the memory limit to `least` MB, or to what rows of so many columns need.

    `beside`: MB that reading files takes at the same time, see `room_to_read`. Where rows are kept, each column counts
    then, however few they are, and what keeps them leaves the rest alone. The limit is never lowered, and stays below
    what DuckDB would take by itself: 80% of the machine, or of the container.
    """
    wide = columns * (os.cpu_count() or 1) * _COLUMN_MEGABYTES
    passing = max(least, wide if wide > _ROOM_MEGABYTES else 0)
    if not beside or least == PASSING:
        raise_limit(connection, passing + 2 * beside)
        return
    working = max(least, WORKING)
    raise_limit(connection, working + 2 * (wide + beside))
    connection.execute(f"SET operator_memory_limit = '{working}MB'")


def room_to_read(connection: DuckDBPyConnection, group: int) -> int:
    """Return the MB that reading Parquet files takes whose largest row group takes so many bytes, 0 for 0.

    Each thread holds one, see `largest_group`. Where they are very large, fewer threads are left to the connection.
    """
    if not group:
        return 0
    ((threads,),) = connection.execute("SELECT current_setting('threads')").fetchall()
    size = -(-group // 1_000_000)
    at_once = max(1, min(int(threads), _CPUS * _GROUP_MEGABYTES // size))
    if at_once < int(threads):
        connection.execute(f"SET threads = {at_once}")
    return at_once * size


def raise_limit(connection: DuckDBPyConnection, wanted: float) -> None:
    """Raise the memory limit to so many MB, as far as the machine has them."""
    with _RAISING:
        has = _limit(connection)
        if has >= wanted:
            return
        connection.execute("RESET memory_limit")
        most = _limit(connection)
        connection.execute(f"SET memory_limit = '{max(has, min(wanted, most)):.0f}MB'")


def _limit(connection: DuckDBPyConnection) -> float:
    ((found,),) = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    number, unit = str(found).split()
    return float(number) * _UNITS[unit]
