"""Large values: DuckDB holds all of a vector that it reads, and of a row group that it writes, and spills neither.

6,000 texts of 100,000 characters into a file fail with 200 MB, as do 500 of a million, and so does reading them.
Figures: docs/decisions/memory-limit.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ematix_core.backends.duck.connection import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

LARGE = 65_536
"""Bytes. 60,000 texts of 10,000 characters are no trouble."""
_CPUS = os.cpu_count() or 1
_VECTOR, _ROW_GROUP = 2_048, 122_880  # rows that each thread holds: of what it reads, and of what goes into a table
_FILE_GROUP = 64_000_000  # bytes that each thread holds of what goes into files: see groups.size_options
_PIECE = 16_000_000  # bytes of large values in a batch
_LENGTHS = re.compile(r"'max_string_length': (\d+).*?'total_string_length': (\d+)")


Room = Callable[[int, int], int]
"""Gives the MB for large values, from the bytes of the longest and of all of them."""


def to_read(longest: int, total: int) -> int:
    """Return the MB to read large values from a table: a text that grows is held twice."""
    return 2 * min(longest * _VECTOR * _CPUS, total) // 1_000_000


def to_table(longest: int, total: int) -> int:
    """Return the MB to write large values into a table, for which 1.25 bytes a byte are just enough."""
    return 2 * min(longest * _ROW_GROUP * _CPUS, total) // 1_000_000


def to_files(longest: int, total: int) -> int:
    """Return the MB to write large values into files: they are held as they come, encoded and compressed."""
    return 4 * min((longest + _FILE_GROUP) * _CPUS, total) // 1_000_000


def in_table(connection: DuckDBPyConnection, scan: dict[str, Any], room: Room) -> int:
    """Return the MB that the large values of a scanned table take, 0 for what is no table of the database.

    `scan`: what a plan tells of the operator.
    """
    columns = scan.get("Projections", ())
    if "Table" not in scan or not columns:
        return 0
    names = [columns] if isinstance(columns, str) else columns
    # DuckDB keeps the lengths with the table. The function is only told of them, and reads nothing, in such a join.
    lengths = ", ".join(f"CAST(stats(t.{quote(name)}) AS VARCHAR)" for name in names)
    (row,) = connection.execute(
        f"SELECT {lengths} FROM (SELECT 1) LEFT JOIN {scan['Table']} AS t ON t.rowid < 0"  # noqa: S608 - DuckDB's own name of it, and quoted ones
    ).fetchall()
    found = [(int(longest), int(total)) for text in row for longest, total in _LENGTHS.findall(text)]
    return sum(room(longest, total) for longest, total in found if longest > LARGE)


def on_their_way(batches: pa.RecordBatchReader, raise_by: Callable[[int], None], room: Room) -> pa.RecordBatchReader:
    """Return the same rows, those with large values in small batches, as DuckDB makes one vector of a batch.

    `raise_by` is told of the MB that the large values so far take, before DuckDB has them.
    """
    import pyarrow as pa

    def stream() -> Iterator[pa.RecordBatch]:
        longest = total = 0
        for batch in batches:
            large = [length for array in batch.columns for length in _lengths(array)]
            if not large:
                yield batch
                continue
            longest, total = max(longest, *large), total + sum(large)
            raise_by(room(longest, total))
            at_once = max(1, batch.num_rows * _PIECE // sum(large))
            for start in range(0, batch.num_rows, at_once):
                yield batch.slice(start, at_once)

    return pa.RecordBatchReader.from_batches(batches.schema, stream())


def _lengths(array: pa.Array[Any]) -> list[int]:
    """Return the bytes of each of the array's large values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if array.nbytes <= LARGE or array.type not in {pa.string(), pa.binary(), pa.large_string(), pa.large_binary()}:
        return []
    lengths = pc.binary_length(cast("pa.StringArray", array))
    if (pc.max(lengths).as_py() or 0) <= LARGE:
        return []
    return [length for length in lengths.to_pylist() if length is not None and length > LARGE]
