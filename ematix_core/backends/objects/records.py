"""Long records: which text files hold one, what DuckDB then needs to read it, and what is refused on writing.

DuckDB gives a CSV record 2 MB and a line of JSON 16 MB. More room is slower and takes memory (64 MB in CSV: one thread;
in JSON: 128 MB a thread), so that only files with a long line are given it. What could not be read back is not written.
"""

# ruff: noqa: S608 - statements are built from quoted names and literals
from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from ematix_core.backends.duck.connection import configure, quote
from ematix_core.backends.duck.large_values import to_files, to_table
from ematix_core.backends.duck.memory import make_room, room_to_read, with_room
from ematix_core.backends.objects.csv_sample import literal
from ematix_core.backends.objects.text_files import LONG_MEMORY, LONGEST, is_packed, open_bytes
from ematix_core.backends.storage.paths import told
from ematix_core.errors import ConversionError, SqlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from ematix_core.backends.objects.settings import Settings
    from ematix_core.backends.storage.folder import StoredFile
    from ematix_core.model.table import Column

USUAL = {"csv": 2_000_000, "jsonl": 16 << 20}
"""Bytes that DuckDB gives a record of each format by itself."""
# With more than one thread DuckDB fails on files of several buffers of that size ("does not support a full read").
CSV_ROOM = f", max_line_size={LONGEST}, buffer_size={LONGEST + 1}, parallel=false"
JSON_ROOM = f", maximum_object_size={LONGEST}"
TOO_LONG = "ematix: a row is too long by "
_TEXTS = frozenset({"text", "string", "json"})
_SPARE = 100
"""Bytes of a value that is no text, at most."""
_LOOK = 1 << 16
_HINT = "Choose format='parquet', or keep such values out of the rows."


def any_long(form: str, files: Iterable[StoredFile]) -> bool:
    """Say whether a plain text file has a line that is longer than what DuckDB takes by itself."""
    return any(has_longer_line(file, USUAL[form]) for file in files if not is_packed(file))


def has_longer_line(file: StoredFile, most: int) -> bool:
    """Say whether a line of a plain file is longer than `most` bytes.

    Reads 64 kB in every `most` bytes, where the last line end is looked for: next to nothing for an ordinary file.
    """
    if file.size <= most:
        return False
    end = 0
    with told(f"read {file.path}"), file.open() as stream:
        while end + most < file.size:
            found = _last_line_end(stream, end, end + most + 1)
            if found < 0:
                return True
            end = found + 1
    return False


def _last_line_end(stream: BinaryIO, start: int, stop: int) -> int:
    """Return the position of the last line end in [start, stop), or -1."""
    while stop > start:
        begin = max(start, stop - _LOOK)
        stream.seek(begin)
        found = stream.read(stop - begin).rfind(b"\n")
        if found >= 0:
            return begin + found
        stop = begin
    return -1


def guarded(query: str, columns: Sequence[Column], settings: Settings) -> str:
    """Return the query for CSV files with these columns, made to fail at a row that could not be read back.

    Only rows with more than a megabyte of text are looked at: 4M rows with three texts take 1.26 s of CPU, without
    this 1.18 s. A record with line breaks inside cannot be told from many lines without reading all of the file, so
    that it may not be longer than usual.
    """
    texts = [column.name for column in columns if column.type.kind in _TEXTS]
    if settings.format != "csv" or not texts:
        return query
    usual, most = (limit - _SPARE * len(columns) for limit in (USUAL["csv"], LONGEST))
    names = [quote(name) for name in texts]
    size = " + ".join(f"coalesce(strlen({name}), 0)" for name in names)
    marks = [literal(mark) for mark in sorted({settings.quote, settings.escape} - {""})]
    exact = " + ".join(
        [size, *(f"coalesce(strlen({n}) - strlen(replace({n}, {m}, '')), 0)" for n in names for m in marks)]
    )
    broken = " OR ".join(f"coalesce(regexp_matches({name}, '[\\r\\n]'), false)" for name in names)
    packed = settings.compression not in {"", "none"}
    limit = str(usual) if packed else f"CASE WHEN {broken} THEN {usual} ELSE {most} END"
    sizes = ", ".join(
        f"{{n: coalesce(strlen({n}), 0), name: {literal(text)}}}" for n, text in zip(names, texts, strict=True)
    )
    fails = f"error({literal(TOO_LONG)} || list_max([{sizes}]).name)"
    good = f"CASE WHEN {size} <= {usual // 2} THEN true WHEN {exact} <= {limit} THEN true ELSE {fails} END"
    return f"SELECT * FROM ({query}\n) WHERE {good}"


@contextmanager
def refused() -> Iterator[None]:
    """Raise ConversionError for a row that `guarded` refuses."""
    try:
        yield
    except SqlError as error:
        _, found, column = error.what.partition(TOO_LONG)
        if not found:
            raise
        raise ConversionError(
            f"column {column!r} makes a row too long for CSV: 64 MB, or 2 MB if compressed or with line breaks inside",
            hint=_HINT,
        ) from error


def give_memory(connection: DuckDBPyConnection, settings: Settings) -> None:
    """Raise the connection's memory limit for long records, unless the user has set one."""
    if "memory_limit" not in settings.duckdb:
        configure(connection, {**settings.duckdb, **LONG_MEMORY})


def give_writer_memory(connection: DuckDBPyConnection, settings: Settings) -> None:
    """Raise the limit for JSON lines: DuckDB's writer takes 512 MB for a value of 50 MB.

    Ordinary rows take no more than with the usual limit: 4M rows peaked at 190 MB with either.
    """
    if settings.format == "jsonl":
        give_memory(connection, settings)


def give_room(connection: DuckDBPyConnection, settings: Settings, columns: int, group: int = 0) -> None:
    """Raise the connection's memory limit for rows of many columns, unless the user has set one.

    `group`: bytes that reading the largest Parquet row group takes.
    """
    if "memory_limit" not in settings.duckdb:
        make_room(connection, columns, beside=room_to_read(connection, group))


def given_room(
    batches: pa.RecordBatchReader, connection: DuckDBPyConnection, settings: Settings, *, staged: bool
) -> pa.RecordBatchReader:
    """Return the same rows; the memory limit is raised for their large values, unless the user has set one.

    `staged`: they go into a table of DuckDB, and not into files.
    """
    if "memory_limit" in settings.duckdb:
        return batches
    return with_room(batches, connection, to_table if staged else to_files)


def require_readable(settings: Settings, files: Iterable[StoredFile]) -> None:
    """Raise ConversionError when a file of JSON lines, just written, has a line that cannot be read back."""
    if settings.format != "jsonl":
        return
    for file in files:
        packed = is_packed(file)
        if _longest_packed(file) > USUAL["jsonl"] if packed else has_longer_line(file, LONGEST):
            raise ConversionError(
                "a row is too long for JSON lines: 64 MB, or 16 MB in compressed files", where=file.path, hint=_HINT
            )


def _longest_packed(file: StoredFile) -> int:
    longest = current = 0
    with open_bytes(file) as stream:
        while chunk := stream.read(1 << 20):
            first, *others = chunk.split(b"\n")
            longest = max(longest, current + len(first), *map(len, others))
            current = len(others[-1]) if others else current + len(first)
    return longest
