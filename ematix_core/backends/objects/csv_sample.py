"""Which types DuckDB finds in a sample of CSV files, of many compressed ones too in little memory."""

# ruff: noqa: S608 - statements are built from quoted names and literals
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.connection import quote
from ematix_core.backends.objects.text_files import is_packed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.storage.folder import StoredFile

# Joining files by name, DuckDB keeps the buffers of all compressed ones, 32 MB each unless told otherwise: seven tiny
# files are too many for the usual memory. With these 3,000 of them are sampled in 0.8 s, and large ones take no longer.
_BUFFERS = ", max_line_size=2000000, buffer_size=2000001"
_AT_ONCE = 8

ISO_DAY = "%Y-%m-%d"
AMBIGUOUS = "AMBIGUOUS"
"""Text that looks like a day in an order that nobody has said: it stays text."""


@dataclass(frozen=True)
class CsvSample:
    """Samples of files with one header."""

    connection: DuckDBPyConnection
    dialect: str
    """Arguments of read_csv."""
    size: int
    """Rows of each file; -1: all."""
    room: str = ""
    """Further arguments, for files with long records."""

    def sniffed(self, file: StoredFile) -> tuple[Sequence[str], str | None]:
        """Return the types of one file's columns, AMBIGUOUS among them, and the format of its timestamps.

        DuckDB tells one format for all dates of a file, whatever each column has: where there are several, they are
        held against ISO 8601 alone. Either takes a twentieth of a second.
        """
        kinds, dates, instants = self._sniff(file)
        days = [i for i, kind in enumerate(kinds) if kind == "DATE"]
        if days and dates != ISO_DAY:
            others = set(days)
        elif len(days) > 1:
            iso, *_ = self._sniff(file, f", dateformat={literal(ISO_DAY)}")
            others = {i for i in days if iso[i] != "DATE"}
        else:
            others = set()
        if instants and not instants.startswith("%Y"):
            others |= {i for i, kind in enumerate(kinds) if kind == "TIMESTAMP"}
        return [AMBIGUOUS if i in others else kind for i, kind in enumerate(kinds)], instants

    def _sniff(self, file: StoredFile, extra: str = "") -> tuple[Sequence[str], str | None, str | None]:
        query = (
            "SELECT list_transform(Columns, lambda c: c.type), DateFormat, TimestampFormat "
            f"FROM sniff_csv({literal(file.location)}, {self._arguments([file])}{extra})"
        )
        kinds, dates, instants = self.connection.execute(query).fetchall()[0]
        return kinds, dates, instants

    def types(self, files: Sequence[StoredFile]) -> list[str]:
        """Return for each column the type that holds what is in all files, in the order of the first one."""
        size = _AT_ONCE if self.room or any(map(is_packed, files)) else len(files)
        parts = [files[i : i + size] for i in range(0, len(files), size)]
        found = [self._described(part) for part in parts]
        names = dict.fromkeys(name for types in found for name in types)
        return [self._united(name, found, parts) for name in names]

    def _described(self, files: Sequence[StoredFile]) -> dict[str, str]:
        listed = ", ".join(literal(file.location) for file in files)
        read = f"read_csv([{listed}], union_by_name=true, dateformat={literal(ISO_DAY)}, {self._arguments(files)})"
        return {row[0]: row[1] for row in self.connection.execute(f"DESCRIBE SELECT * FROM {read}").fetchall()}

    def _united(self, name: str, found: Sequence[Mapping[str, str]], parts: Sequence[Sequence[StoredFile]]) -> str:
        """Return the type that DuckDB takes where files differ; it says VARCHAR of a column without values, too."""
        kinds = dict.fromkeys(types[name] for types in found if name in types)
        if len(kinds) > 1 and "VARCHAR" in kinds:
            texts = (part for types, part in zip(found, parts, strict=True) if types.get(name) == "VARCHAR")
            if not any(self._has_values(name, file) for part in texts for file in part):
                del kinds["VARCHAR"]
        if len(kinds) == 1:
            return next(iter(kinds))
        united = " UNION ALL ".join(f"SELECT CAST(NULL AS {kind}) AS a" for kind in kinds)
        return str(self.connection.execute(f"DESCRIBE {united}").fetchall()[0][1])

    def _has_values(self, name: str, file: StoredFile) -> bool:
        read = f"read_csv({literal(file.location)}, all_varchar=true, {self._arguments([file])})"
        rows = f"SELECT {quote(name)} AS a FROM {read}" + (f" LIMIT {self.size}" if self.size > 0 else "")
        counted: Any = self.connection.execute(f"SELECT count(a) FROM ({rows})").fetchall()
        return bool(counted[0][0])

    def _arguments(self, files: Sequence[StoredFile]) -> str:
        sample = f"sample_size={self.size}, ignore_errors=true, strict_mode=false, hive_partitioning=false"
        return f"{self.dialect}, {sample}{self.room or (_BUFFERS if any(map(is_packed, files)) else '')}"


def literal(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
