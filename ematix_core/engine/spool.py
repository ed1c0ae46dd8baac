"""Rows that have to wait on disk, because their target's system is taken by another target of the same read."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


@contextmanager
def spooled(rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatchReader]:
    """Write the whole stream to a temporary file and give it back from there; the file goes with the block.

    Memory stays that of one batch. Raises whatever the stream raises.
    """
    import pyarrow as pa

    with tempfile.TemporaryFile(prefix="ematix-spool-") as file:
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(file, rows.schema, options=options) as writer:
            for batch in rows:
                writer.write_batch(batch)
        file.seek(0)
        with pa.ipc.open_stream(file) as reader:
            yield reader
