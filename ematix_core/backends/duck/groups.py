"""The row groups of Parquet files: DuckDB holds one for each thread, as it is in the file, and cannot spill it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ematix_core.backends.duck.connection import driver
from ematix_core.backends.duck.large_values import LARGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from duckdb import DuckDBPyConnection

_SMALL = 8_000_000
"""Bytes of a row group that the usual limit has room for: DuckDB itself writes lineitem in groups of 5 MB."""
_LOOKED_AT = 16

_MOST_BYTES, _ROW_BYTES = 64_000_000, 512
"""Of a row group that COPY writes: so many bytes, or more by its number of rows."""


def largest_group(connection: DuckDBPyConnection, files: Iterable[tuple[str, int]]) -> int:
    """Return the bytes of the largest row group in these Parquet files; 0 when it is none that matters.

    `files` are locations with sizes in bytes. A row group is no larger than its file, so that only the footers of large
    files are read, and of those 16 at most.
    """
    largest = _SMALL
    # Large values are also held as they are, in memory of the next power of two, and copied when that grows.
    unpacked = f"CASE WHEN total_uncompressed_size > {LARGE} * num_values THEN 4 * total_uncompressed_size ELSE 0 END"
    for location, size in sorted(files, key=lambda one: one[1], reverse=True)[:_LOOKED_AT]:
        if size <= largest:
            break
        path = location.replace("'", "''")
        query = (
            f"SELECT max(held) FROM (SELECT sum(total_compressed_size + {unpacked}) AS held"  # noqa: S608 - a quoted path, and a condition of ours
            f" FROM parquet_metadata('{path}') GROUP BY row_group_id)"
        )
        with suppress(driver().Error):  # a damaged file: reading it says so
            ((found,),) = connection.execute(query).fetchall()
            largest = max(largest, int(found or 0))
    return largest if largest > _SMALL else 0


def size_options(rows: int) -> tuple[str, str]:
    """Return the options of COPY for row groups of so many rows, of fewer where they are very wide.

    DuckDB holds a row group until it is written: 6,000 texts of 100,000 characters fail with 1 GB, and take 265 MB so.
    """
    return f"ROW_GROUP_SIZE {rows}", f"ROW_GROUP_SIZE_BYTES '{max(_MOST_BYTES, rows * _ROW_BYTES)}B'"
