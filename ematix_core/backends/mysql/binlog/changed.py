"""Rows of changes: those of one event of the log, and batches made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ematix_core.backends.mysql.binlog.rows import Row
    from ematix_core.backends.mysql.binlog.shape import Shape

INSERT, UPDATE, DELETE, SNAPSHOT = range(4)
_NAMES = pa.array(["insert", "update", "delete", "snapshot"])
ADDED = ("_op", "_deleted", "_event_ts", "_offset")
"""Columns beside those of the table."""
_FILE_BITS = 36
"""`_offset` is the number of the log's file, and in this many bits the place of the row in it."""


@dataclass(frozen=True)
class Changed:
    """Rows of one event in a transaction that begins at `at` in `file`; `first`: its number of the first of them."""

    shape: Shape
    rows: Sequence[Row]
    ops: Sequence[int]
    gtid: str
    committed_us: int
    file: int
    at: int
    first: int
    offset: int
    size: int

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def part(self, start: int, stop: int) -> Changed:
        """Return some of the rows."""
        return replace(
            self, rows=self.rows[start:stop], ops=self.ops[start:stop], first=self.first + start,
            offset=self.offset + start, size=max(1, self.size * (stop - start) // max(1, self.count)),
        )  # fmt: skip


def ordered(file: int, place: int) -> int:
    """Return the number by which the changes of a server are in order."""
    return file << _FILE_BITS | place


def split(before: Sequence[Row], after: Sequence[Row], key: Sequence[int]) -> tuple[list[Row], list[int]]:
    """Return updated rows; of one whose key is another now, the old one as deleted and the new one as inserted."""
    if all([row[place] for row in before] == [row[place] for row in after] for place in key):
        return list(after), [UPDATE] * len(after)
    rows: list[Row] = []
    ops: list[int] = []
    for old, new in zip(before, after, strict=True):
        if all(old[place] == new[place] for place in key):
            rows.append(new)
            ops.append(UPDATE)
        else:
            rows += (old, new)
            ops += (DELETE, INSERT)
    return rows, ops


def batch_of(parts: Sequence[Changed]) -> pa.RecordBatch:
    """Return the rows of events that have one shape. Raises ConversionError for a value that no type holds."""
    shape = parts[0].shape
    rows = [row for part in parts for row in part.rows]
    ops = np.array([op for part in parts for op in part.ops], np.int8)
    counts = [part.count for part in parts]
    times = np.repeat(np.array([part.committed_us for part in parts], np.int64), counts)
    offsets = np.concatenate([np.arange(part.offset, part.offset + part.count) for part in parts])
    return with_added(shape.schema, shape.arrays(rows), ops, times, offsets)


def with_added(
    schema: pa.Schema,
    arrays: Sequence[pa.Array[Any]],
    ops: npt.NDArray[np.int8],
    times: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
) -> pa.RecordBatch:
    """Return the columns of the table, then those of ADDED; times in us since 1970."""
    added = {
        "_op": _NAMES.take(pa.array(ops, pa.int8())),
        "_deleted": pa.array(ops == DELETE),
        "_event_ts": pa.array(times).view(pa.timestamp("us", "UTC")),
        "_offset": pa.array(offsets),
    }
    fields = [*schema, *(pa.field(name, array.type) for name, array in added.items())]
    return pa.RecordBatch.from_arrays([*arrays, *added.values()], schema=pa.schema(fields))
