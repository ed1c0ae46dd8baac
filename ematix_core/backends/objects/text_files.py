"""Text files before DuckDB sees them: opening compressed ones, their first record, and the line at a position."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

from ematix_core.backends.objects.settings import format_of
from ematix_core.backends.storage.folder import StoredFile
from ematix_core.backends.storage.local import LocalFolder
from ematix_core.backends.storage.paths import told
from ematix_core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

SHOWN = 200
"""Characters of a bad line that an error message shows."""
LONGEST = 64 << 20
"""Bytes of a CSV record or of a line of JSON that files may hold at most; see `records`."""
LONG_MEMORY = {"memory_limit": f"{384 * (1 + max(2, os.cpu_count() or 1))}MB"}
"""What a connection needs to read records of that size."""
_CHUNK = 1 << 20
_FIRST_RECORD = 1 << 20


def open_bytes(file: StoredFile) -> BinaryIO:
    """Open a file's plain content, decompressed by its ending. Damaged compression raises SourceError when read."""
    import pyarrow as pa

    compression = format_of(file.path)[1]
    with told(f"open {file.path}"):
        raw = file.open()
    if not compression or file.unpacked:
        return raw
    return cast("BinaryIO", pa.CompressedInputStream(_as_arrow(raw), cast("Any", compression)))


def is_packed(file: StoredFile) -> bool:
    """Say whether DuckDB reads a file's content decompressed."""
    return file.location.endswith((".gz", ".zst"))


def _as_arrow(file: BinaryIO) -> pa.PythonFile:
    import pyarrow as pa

    return pa.PythonFile(cast("io.IOBase", file), mode="r")


def first_record(
    file: StoredFile, *, delimiter: str, quote: str, encoding: str, most: int = _FIRST_RECORD
) -> tuple[str, ...]:
    """Return the fields of a CSV file's first record; an empty tuple for a file without one."""
    try:
        with open_bytes(file) as stream:
            head = stream.read(most)
    except OSError as error:
        raise SourceError(f"cannot read {file.path}: {error}") from error
    text = head.decode("utf-8-sig" if encoding in {"utf-8", "utf8"} else encoding, errors="replace")
    return tuple(next(_parsed(io.StringIO(text, newline=""), delimiter, quote), ()))


def lines_at(file: StoredFile, offsets: Iterable[int]) -> dict[int, int]:
    """Return the 1-based number of the line that the byte at each offset belongs to. Reads the file once."""
    found: dict[int, int] = {}
    number, at = 1, 0
    with open_bytes(file) as stream:
        for offset in sorted(set(offsets)):
            while at < offset and (chunk := stream.read(min(offset - at, _CHUNK))):
                number += chunk.count(b"\n")
                at += len(chunk)
            found[offset] = number
    return found


def records(file: StoredFile, *, delimiter: str, quote: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Yield a CSV file's records with the number of the line that each begins on. For error reports only: slow."""
    with open_bytes(file) as stream:
        text = io.TextIOWrapper(cast("io.BufferedReader", stream), encoding=encoding, errors="replace", newline="")
        rows = _parsed(text, delimiter, quote)
        line = 1
        for row in rows:
            yield line, row
            line = rows.line_num + 1


def _parsed(text: TextIO, delimiter: str, quote: str) -> Any:  # noqa: ANN401 - csv's reader, whose class has no public name
    csv.field_size_limit(LONGEST)  # of the whole process, there is no other; its default is 128 kB
    if quote:
        return csv.reader(text, delimiter=delimiter, quotechar=quote)
    return csv.reader(text, delimiter=delimiter, quotechar=None, quoting=csv.QUOTE_NONE)


def decompress(file: StoredFile, folder: Path) -> StoredFile:
    """Unpack a bz2 file, which DuckDB does not read, below `folder` under its own path; bounded in memory."""
    import pyarrow as pa

    target = folder / file.path
    with told(f"unpack {file.path}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            file.open() as raw,
            pa.CompressedInputStream(_as_arrow(raw), "bz2") as source,
            target.open("wb") as out,
        ):
            while chunk := source.read(_CHUNK):
                out.write(chunk)
    return StoredFile(
        file.path, str(target), target.stat().st_size, file.modified, LocalFolder(str(folder)), unpacked=True
    )


def shortened(text: str) -> str:
    """Return a line fit for a message."""
    plain = text.rstrip("\r\n")
    return plain if len(plain) <= SHOWN else plain[:SHOWN] + "..."
