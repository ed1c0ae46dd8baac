"""The files of a table as a query for DuckDB: only the columns, files and row groups that are asked for are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ematix_core.backends.delta.dialect import DIALECT
from ematix_core.backends.duck.connection import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.backends.delta.log import DataFile
    from ematix_core.backends.storage.folder import Folder
    from ematix_core.model.table import Column

FILE, ROW = "_ematix_file", "_ematix_row"
"""Columns that say where a row is: the number of its file in the session, and its own in that file."""
# Up to so many partitions each is a branch of its own, which DuckDB leaves out unread when its values do not match.
_BRANCHES = 256


@dataclass(frozen=True)
class Piece:
    """A file of a table in one session, by its number."""

    number: int
    file: DataFile


@dataclass(frozen=True)
class Layout:
    """Where a table's files are and what is in them: `columns` in order, without those of `partition_by`."""

    place: Folder
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()


def scan(layout: Layout, pieces: Sequence[Piece], *, positions: bool = False) -> str:
    """Return the query for all rows of the files, with FILE and ROW if asked for.

    A column that a file lacks is NULL in it, and one of a narrower type is cast.
    """
    if not pieces:
        return _nothing(layout, positions=positions)
    ordered = sorted(pieces, key=lambda piece: repr(piece.file.partition))
    groups = [list(group) for _, group in groupby(ordered, key=lambda piece: repr(piece.file.partition))]
    if len(groups) > _BRANCHES:
        groups = [list(pieces)]
    return "\nUNION ALL ".join(_branch(layout, group, positions=positions) for group in groups)


def _nothing(layout: Layout, *, positions: bool) -> str:
    selected = [f"CAST(NULL AS {sql_type(c)}) AS {quote(c.name)}" for c in layout.columns]
    if positions:
        selected += [f"CAST(NULL AS BIGINT) AS {FILE}", f"CAST(NULL AS BIGINT) AS {ROW}"]
    return f"SELECT {', '.join(selected)} WHERE false"


def _branch(layout: Layout, pieces: Sequence[Piece], *, positions: bool) -> str:
    selected = []
    for column in layout.columns:
        if column.name in layout.partition_by:
            index = layout.partition_by.index(column.name)
            value = _by_file([_text(piece.file.partition[index]) for piece in pieces])
            selected.append(f"CAST({value} AS {sql_type(column)}) AS {quote(column.name)}")
        else:
            selected.append(quote(column.name))
    if positions:
        number = _by_file([str(piece.number) for piece in pieces])
        selected += [f"CAST({number} AS BIGINT) AS {FILE}", f"file_row_number AS {ROW}"]
    files = ", ".join(_path(layout.place, piece.file.path) for piece in pieces)
    stored = [column for column in layout.columns if column.name not in layout.partition_by]
    schema = ", ".join(
        f"{literal(c.name)}: {{name: {literal(c.name)}, type: {literal(sql_type(c))}, default_value: NULL}}"
        for c in stored
    )
    return f"SELECT {', '.join(selected)} FROM read_parquet([{files}], schema=MAP {{{schema}}})"  # noqa: S608 - quoted names and literals


def _by_file(values: Sequence[str]) -> str:
    """Return the expression for a value that is the same in all rows of a file."""
    if len(set(values)) == 1:
        return values[0]
    return f"list_element([{', '.join(values)}], CAST(file_index AS BIGINT) + 1)"


def _text(value: Any) -> str:  # noqa: ANN401 - a partition's value
    if value is None or value == "":  # the protocol has no other form for NULL
        return "NULL"
    if isinstance(value, bool):
        return literal(str(value).lower())
    return literal(str(value))


def _path(place: Folder, path: str) -> str:
    """Return the file's location as a literal that stands for this one file, though it may look like a pattern."""
    location = place.location(path)
    return literal(re.sub(r"([*?\[])", r"[\1]", location) if place.local else location)


def sql_type(column: Column) -> str:
    """Return the column's type in DuckDB."""
    return DIALECT.sql_type(column.type, column=column.name)


def literal(text: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"
