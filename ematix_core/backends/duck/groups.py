"""The row groups of Parquet files: DuckDB holds one for each thread, as it is in the file, and cannot spill it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ematix_core.backends.duck.connection import driver
from ematix_core.backends.duck.large_values import LARGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from duckdb import DuckDBPyConnection

_SMALL = 20_000_000
"""Bytes for a row group that the usual limit has room for: in files of lineitem by DuckDB it is 13 MB."""
_LOOKED_AT, _TINY = 16, 1_000_000

_MOST_BYTES, _ROW_BYTES = 64_000_000, 512
"""Of a row group that COPY writes: so many bytes, or more by its number of rows."""


def largest_group(connection: DuckDBPyConnection, files: Iterable[tuple[str, int]]) -> int:
    """Return the bytes that reading takes for the largest row group in these Parquet files; 0 for what is usual.

    A row group is held as it is in the file; where DuckDB wrote it, a page has all of a column and is unpacked as a
    whole, in memory of the next power of two: 20 columns of short texts take 90 MB of a file that has 12 MB a group.
    The pages of others have a megabyte. `files` are locations with sizes in bytes; the footers of the 16 largest are
    read.
    """
    largest = 0
    # Large values are also held as they are, and copied when the memory for them grows.
    unpacked = (
        f"CASE WHEN total_uncompressed_size > {LARGE} * num_values THEN 4 * total_uncompressed_size"
        " WHEN compression <> 'UNCOMPRESSED' AND created_by LIKE 'DuckDB%'"
        " THEN CAST(pow(2, ceil(log2(greatest(total_uncompressed_size, 1)))) AS BIGINT) ELSE 0 END"
    )
    for location, size in sorted(files, key=lambda one: one[1], reverse=True)[:_LOOKED_AT]:
        if size <= _TINY:
            break
        path = location.replace("'", "''")
        query = (
            f"SELECT max(held) FROM (SELECT sum(total_compressed_size + {unpacked}) AS held"  # noqa: S608 - a quoted path, and a condition of ours
            f" FROM parquet_metadata('{path}'), (SELECT created_by FROM parquet_file_metadata('{path}'))"
            " GROUP BY row_group_id)"
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
