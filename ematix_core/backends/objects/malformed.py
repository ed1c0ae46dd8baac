"""Malformed lines of text files: as a table, as what a stream leaves out, and as an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.objects.csv_files import BadRow, CsvGroup, rejects
from ematix_core.backends.objects.text_files import shortened
from ematix_core.errors import BadRowError
from ematix_core.types import BigInt, Text, to_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from ematix_core.backends.objects.jsonl_files import JsonlGroup

_COLUMNS = (("file", Text), ("line", BigInt), ("column", Text), ("error", Text), ("text", Text))


def malformed(connection: DuckDBPyConnection, groups: Sequence[CsvGroup | JsonlGroup]) -> pa.Table:
    """Return the lines that reading these files in quarantine has left out: file, line, column, error, text.

    A line that is wrong in several columns is there for each.
    """
    import pyarrow as pa

    bad: list[BadRow] = []
    locations = {file.location: file for group in groups for file in group.files}
    for group in groups:
        if not isinstance(group, CsvGroup):
            for file in group.files:
                bad += group.bad_rows(file)
        elif group.guarded:
            for file in group.files:
                if group.bends(connection, file):
                    bad += group.bent_rows(file)
    first = next((group for group in groups if isinstance(group, CsvGroup)), None)
    if first is not None:
        bad += rejects(connection, locations, first.dialect)
    rows = sorted(dict.fromkeys(bad), key=lambda row: (row.file, row.line))
    schema = pa.schema([to_field(*column) for column in _COLUMNS])
    return pa.Table.from_pylist([vars(row) for row in rows], schema=schema)


def left_out(lines: pa.Table, file: str, changed: int) -> pa.Table:
    """Return `malformed` lines of one file as a stream tells of them: see `Polled`. `changed`: in ns since 1970."""
    import pyarrow as pa

    errors: dict[int, list[str]] = {}
    texts: dict[int, str] = {}
    for one in lines.to_pylist():
        column = f"column {one['column']!r}: " if one["column"] else ""
        errors.setdefault(one["line"], []).append(f"{column}{one['error']}")
        texts[one["line"]] = one["text"]
    at = pa.scalar(changed // 1000, pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "_file": pa.repeat(pa.scalar(file), len(texts)), "_event_ts": pa.repeat(at, len(texts)),
            "text": pa.array(texts.values(), pa.string()),
            "error": pa.array([f"line {line}: {'; '.join(told)}" for line, told in errors.items()], pa.string()),
        }
    )  # fmt: skip


def as_error(bad: BadRow) -> BadRowError:
    """Return the error of a read that leaves no line out."""
    column = f"column {bad.column!r}: " if bad.column else ""
    what = 'Correct it, or pass on_bad_rows="quarantine" to leave such lines out and keep them apart.'
    if "not utf-8 encoded" in bad.error:
        what = "Say how the file is encoded: options={'encoding': 'latin-1'} of the connection, for example."
    return BadRowError(
        f"malformed line: {column}{bad.error}",
        where=f"{bad.file}, line {bad.line}", hint=f"The line is: {shortened(bad.text)}\n{what}",
    )  # fmt: skip
