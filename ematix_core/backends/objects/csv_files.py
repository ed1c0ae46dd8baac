"""CSV: which columns files have, how DuckDB reads them, and which line is bad.

The dialect (delimiter, quote, header) is what the connection says, never guessed. Types are what the target has for
columns that reach it untouched, else what a sample of every file looks like; dates only as `2024-12-31`, since
`01/02/2024` is two days. From then on they are fixed: a later value of another kind is an error with its line. DuckDB's
reader would round `1.7` into an integer column, cut the time from a date and the offset from a timestamp; where the
sample does not cover the whole file such columns are therefore read as text and converted under a guard.
"""

# ruff: noqa: S608 - statements are built from quoted names and literals
from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from ematix_core.backends.duck.connection import driver, open_duck, quote
from ematix_core.backends.objects.csv_sample import AMBIGUOUS, ISO_DAY, CsvSample, literal
from ematix_core.backends.objects.guards import INTEGERS, bent, pattern_of
from ematix_core.backends.objects.reading import AS_FOUND, Reading
from ematix_core.backends.objects.text_files import (
    LONG_MEMORY,
    LONGEST,
    first_record,
    is_packed,
    lines_at,
    records,
)
from ematix_core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.storage.folder import StoredFile

_BYTES_A_ROW = 2
"""A row has at least one character and its line end: files below sample size x this are sampled whole."""
_WIDER = {
    ("BIGINT", "HUGEINT"): "HUGEINT", ("BIGINT", "DOUBLE"): "DOUBLE", ("HUGEINT", "DOUBLE"): "DOUBLE",
    ("DATE", "TIMESTAMP"): "TIMESTAMP",
}  # fmt: skip
_REJECTS_SHOWN = 1000
_DELIMITERS = {";": ";", "\t": "\\t", "|": "|"}
_FORMATS = {"DATE": "dateformat", "TIMESTAMP": "timestampformat"}
"""The options by which DuckDB's reader takes a whole text or none of it."""


@dataclass(frozen=True)
class BadRow:
    """A malformed line."""

    file: str
    line: int
    column: str
    error: str
    text: str


@dataclass(frozen=True)
class CsvDialect:
    """How a CSV file is laid out."""

    delimiter: str = ","
    header: bool = True
    quote: str = '"'
    escape: str = '"'
    encoding: str = "utf-8"
    null: tuple[str, ...] = ("",)
    sample_size: int = 20_480

    def arguments(self) -> str:
        """Return the arguments of read_csv."""
        nulls = ", ".join(literal(n) for n in self.null)
        return (
            f"delim={literal(self.delimiter)}, quote={literal(self.quote)}, escape={literal(self.escape)}, "
            f"header={str(self.header).lower()}, encoding={literal(self.encoding)}, nullstr=[{nulls}], "
            "allow_quoted_nulls=false, comment='', skip=0"
        )


@dataclass(frozen=True)
class CsvGroup:
    """Files with one header. `types` by column, in the header's order; `guarded`: these are read as text first."""

    files: tuple[StoredFile, ...]
    types: Mapping[str, str]
    dialect: CsvDialect
    formats: str = ""
    guarded: frozenset[str] = frozenset()
    room: str = ""
    """Further arguments of read_csv, for files with records that are longer than it takes by itself."""

    def relation(self, extra: str, kept: Sequence[str], *, quarantine: bool) -> str:
        """Return a query over the files. `extra`: further arguments; `kept`: further columns that they bring."""
        plain = self._read(extra + (", store_rejects=true, rejects_limit=0" if quarantine else ""), self.guarded)
        if not self.guarded:
            return f"SELECT * FROM {plain}"
        columns = [self._converted(name, quarantine=quarantine) for name in self.types]
        columns += [quote(name) for name in kept]
        return f"SELECT {', '.join(columns)} FROM {plain}" + (f" WHERE NOT ({self._any_bent()})" if quarantine else "")

    def _any_bent(self) -> str:
        return " OR ".join(self._bent(name) for name in sorted(self.guarded))

    def _read(self, extra: str, as_text: frozenset[str] = frozenset()) -> str:
        types = ", ".join(
            f"{literal(name)}: {literal('VARCHAR' if name in as_text else kind)}" for name, kind in self.types.items()
        )
        files = ", ".join(literal(file.location) for file in self.files)
        arguments = f"auto_detect=false, columns={{{types}}}, {self.dialect.arguments()}{self.formats}{self.room}"
        return f"read_csv([{files}], {arguments}{extra})"

    def _bent(self, name: str) -> str:
        kind, column = self.types[name], quote(name)
        other = f"NOT regexp_full_match({column}, {literal(pattern_of(kind))})"
        return f"({column} IS NOT NULL AND ({other} OR TRY_CAST({column} AS {kind}) IS NULL))"

    def _converted(self, name: str, *, quarantine: bool) -> str:
        column = quote(name)
        if name not in self.guarded:
            return column
        kind = self.types[name]
        cast = f"CAST({column} AS {kind})"
        if quarantine:
            return f"{cast} AS {column}"
        return f"CASE WHEN {bent(column, kind)} THEN error('ematix: bad row') ELSE {cast} END AS {column}"

    def bad_rows(self, file: StoredFile, *, most: int = _REJECTS_SHOWN) -> list[BadRow]:
        """Return the malformed lines of one file, in order. Reads it again: for reports only."""
        one = CsvGroup((file,), self.types, self.dialect, self.formats, room=self.room)
        with open_duck(threads=1, **(LONG_MEMORY if self.room else {})) as connection:
            file.folder.mount(connection)
            every = ", ".join(f"count({quote(name)})" for name in self.types)
            read = one._read(f", store_rejects=true, rejects_limit={most}")
            connection.execute(f"SELECT {every} FROM {read}").fetchall()
            found = rejects(connection, {file.location: file}, self.dialect)
        if self.guarded:
            found += [row for row, _ in zip(self.bent_rows(file), range(most), strict=False)]
        return sorted(dict.fromkeys(found), key=lambda row: row.line)

    def bends(self, connection: DuckDBPyConnection, file: StoredFile) -> bool:
        """Say whether the file has such values as `bent_rows` yields, at many times its speed."""
        one = CsvGroup((file,), self.types, self.dialect, self.formats, room=self.room)
        read = one._read(", ignore_errors=true, hive_partitioning=false", self.guarded)
        return bool(connection.execute(f"SELECT EXISTS (FROM {read} WHERE {self._any_bent()})").fetchall()[0][0])

    def bent_rows(self, file: StoredFile) -> Iterator[BadRow]:
        """Yield the lines whose value in a guarded column is of another kind, though DuckDB would bend it to fit."""
        patterns = [
            (i, name, re.compile(pattern_of(kind)))
            for i, (name, kind) in enumerate(self.types.items())
            if name in self.guarded
        ]
        layout = self.dialect
        rows = records(file, delimiter=layout.delimiter, quote=layout.quote, encoding=layout.encoding)
        for number, (line, row) in enumerate(rows):
            if (number == 0 and layout.header) or len(row) != len(self.types):
                continue
            for i, name, pattern in patterns:
                if row[i] not in layout.null and not pattern.fullmatch(row[i]):
                    message = f'Could not convert string "{row[i]}" to {self.types[name]}'
                    yield BadRow(file.path, line, name, message, layout.delimiter.join(row))
                    break


def csv_groups(
    connection: DuckDBPyConnection,
    files: Sequence[StoredFile],
    dialect: CsvDialect,
    types: Mapping[str, str] | None,
    *,
    room: str = "",
    reading: Reading = AS_FOUND,
) -> list[CsvGroup]:
    """Return the files grouped by header, with types: the given ones (`types`), else from samples and `reading`."""
    head = {"most": LONGEST} if room else {}
    by_header: dict[tuple[str, ...], list[StoredFile]] = {}
    for file in files:
        record = first_record(file, delimiter=dialect.delimiter, quote=dialect.quote, encoding=dialect.encoding, **head)
        if record:
            names = _column_names(record) if dialect.header else tuple(f"column{i}" for i in range(len(record)))
            by_header.setdefault(names, []).append(file)
    if types is not None:
        return [
            CsvGroup(
                tuple(group),
                {n: types.get(n, "VARCHAR") for n in (names if dialect.header else types)},
                dialect,
                room=room,
            )
            for names, group in by_header.items()
        ]
    sniffed = {names: _sniffed(connection, names, group, dialect, room) for names, group in by_header.items()}
    merged: dict[str, str] = {}
    for kinds, _ in sniffed.values():
        for name, kind in kinds.items():
            merged[name] = _wider(merged.get(name, kind), kind)
    read = {name: reading.of_column(name, kind) for name, kind in merged.items()}
    bending = frozenset(name for name, kind in merged.items() if reading.guards(name, read[name], kind))
    groups = []
    for names, group in by_header.items():
        kinds, formats = {name: read[name] for name in names}, sniffed[names][1]
        guarded = _guarded(kinds, group, dialect, formats) | bending.intersection(names)
        groups.append(CsvGroup(tuple(group), kinds, dialect, formats, guarded, room))
    return groups


def require_delimited(groups: Iterable[CsvGroup]) -> None:
    """Raise SourceError for a header of one name that has another delimiter in it: nobody has named the delimiter."""
    for group in groups:
        names = [*group.types]
        mark = next((mark for mark in _DELIMITERS if mark in names[0]), None)
        if len(names) == 1 and mark is not None and group.dialect.header:
            raise SourceError(
                f"{group.files[0].path} has one column, named {names[0]!r}: its values are hardly separated by commas",
                hint=f"Pass options={{'delimiter': '{_DELIMITERS[mark]}'}} to the connection, "
                "or ',' if that really is the name.",
            )


def rejects(connection: DuckDBPyConnection, files: Mapping[str, StoredFile], dialect: CsvDialect) -> list[BadRow]:
    """Return what DuckDB's reader has rejected on this connection, with the line each record begins on."""
    try:
        rows = connection.execute(
            "SELECT DISTINCT s.file_path, e.line, e.line_byte_position, e.column_name, e.error_message, e.csv_line "
            "FROM reject_errors e JOIN reject_scans s USING (scan_id, file_id) ORDER BY ALL"
        ).fetchall()
        connection.execute("DELETE FROM reject_errors; DELETE FROM reject_scans")
    except driver().CatalogException:
        return []  # nothing was read with store_rejects
    found = []
    for location, group in groupby(rows, key=itemgetter(0)):
        file = files.get(location)
        if file is None:  # of a read before, which failed
            continue
        bad = list(group)
        exact = lines_at(file, [row[2] - 1 for row in bad if row[2]]) if dialect.encoding == "utf-8" else {}
        for _, line, offset, column, error, text in bad:
            number = exact.get(offset - 1, line) if offset else line
            what, plain = str(error).split("\n")[0], (text or "").rstrip("\r\n")
            found.append(BadRow(file.path, number, column or "", what, plain))
    return found


def _sniffed(
    connection: DuckDBPyConnection,
    names: tuple[str, ...],
    files: Sequence[StoredFile],
    dialect: CsvDialect,
    room: str,
) -> tuple[dict[str, str], str]:
    """Return the types by name, and the arguments for dates that are not written the ISO way."""
    sample = CsvSample(connection, dialect.arguments(), dialect.sample_size, room)
    kinds, instants = sample.sniffed(files[0])
    as_text = {name for name, kind in zip(names, kinds, strict=False) if kind == AMBIGUOUS}
    if len(files) > 1:
        kinds = sample.types(files)
    kinds = [kind for kind, _ in zip([*kinds, *["VARCHAR"] * len(names)], names, strict=False)]
    kinds = ["VARCHAR" if name in as_text else kind for name, kind in zip(names, kinds, strict=True)]
    formats = f", dateformat={literal(ISO_DAY)}" if "DATE" in kinds else ""
    formats += f", timestampformat={literal(instants)}" if instants and "TIMESTAMP" in kinds else ""
    return dict(zip(names, kinds, strict=True)), formats


def _guarded(
    types: Mapping[str, str], files: Sequence[StoredFile], dialect: CsvDialect, formats: str
) -> frozenset[str]:
    if not any(map(is_packed, files)) and all(file.size < dialect.sample_size * _BYTES_A_ROW for file in files):
        return frozenset()
    guards = {*INTEGERS, "TIME", *(kind for kind, option in _FORMATS.items() if option not in formats)}
    return frozenset(name for name, kind in types.items() if kind in guards)


def _wider(one: str, other: str) -> str:
    if one == other:
        return one
    return _WIDER.get((one, other)) or _WIDER.get((other, one)) or "VARCHAR"


def _column_names(record: tuple[str, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for i, text in enumerate(record):
        name = text.strip() or f"column{i}"
        taken, number = {n.lower() for n in names}, 1
        while name.lower() in taken:
            name, number = f"{text.strip() or f'column{i}'}_{number}", number + 1
        names.append(name)
    return tuple(names)
