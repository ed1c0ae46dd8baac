"""Large values: DuckDB holds all of a vector that it reads, and of a row group that it writes, and spills neither.

6,000 texts of 100,000 characters into a file fail with 200 MB, as do 500 of a million, and so does reading them.
Figures: docs/decisions/memory-limit.md.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, cast

from ematix_core.backends.duck.connection import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

LARGE = 65_536
"""Bytes. 60,000 texts of 10,000 characters are no trouble."""
_ROOM = 2
"""Bytes of memory for each byte of them; 1.25 are just enough for an append."""
_READ, _WRITTEN = 2_048, 122_880  # rows of a vector and of a row group, one a thread
_LENGTHS = re.compile(r"'max_string_length': (\d+).*?'total_string_length': (\d+)")


def in_table(connection: DuckDBPyConnection, scan: dict[str, Any], *, writes: bool) -> int:
    """Return the MB that the large values of a scanned table take, 0 for what is no table of the database.

    `scan`: what a plan tells of the operator. `writes`: the rows go into another table.
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
    rows = (_WRITTEN if writes else _READ) * (os.cpu_count() or 1)
    found = [(int(longest), int(total)) for text in row for longest, total in _LENGTHS.findall(text)]
    return _ROOM * sum(min(longest * rows, total) for longest, total in found if longest > LARGE) // 1_000_000


def on_their_way(batches: pa.RecordBatchReader, raise_by: Callable[[int], None]) -> pa.RecordBatchReader:
    """Return the same batches; `raise_by` is told of the MB that their large values take, before DuckDB has them."""
    import pyarrow as pa

    def stream() -> Iterator[pa.RecordBatch]:
        held = 0
        for batch in batches:
            if large := sum(map(_large, batch.columns)):
                held += large
                raise_by(_ROOM * held // 1_000_000)
            yield batch

    return pa.RecordBatchReader.from_batches(batches.schema, stream())


def _large(array: pa.Array[Any]) -> int:
    """Return the bytes of the array's large values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if array.nbytes <= LARGE or array.type not in {pa.string(), pa.binary(), pa.large_string(), pa.large_binary()}:
        return 0
    lengths = pc.binary_length(cast("pa.StringArray", array))
    if (pc.max(lengths).as_py() or 0) <= LARGE:
        return 0
    return sum(length for length in lengths.to_pylist() if length is not None and length > LARGE)
