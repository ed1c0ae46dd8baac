"""JSON lines: which columns files have, how DuckDB reads them, and which line is bad.

DuckDB's JSON reader has no table of rejected lines, numbers lines wrongly in large files, and rounds `1.7` into an
integer column. So integers, dates and times are read as text and converted under a guard, and bad lines are found by
reading the file once more as plain lines, which also is how quarantine reads: streaming, one line a row.
"""

# ruff: noqa: S608 - statements are built from quoted names and literals
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.backends.duck.connection import driver, open_duck, quote
from ematix_core.backends.objects.csv_files import BadRow
from ematix_core.backends.objects.csv_sample import literal
from ematix_core.backends.objects.guards import pattern_of
from ematix_core.backends.objects.reading import AS_FOUND, Reading
from ematix_core.backends.objects.records import CSV_ROOM
from ematix_core.backends.objects.text_files import LONG_MEMORY
from ematix_core.errors import BadRowError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.storage.folder import StoredFile

_GUARDS = {
    "BIGINT": r"[+-]?[0-9]+(\.0*)?",
    "UBIGINT": r"\+?[0-9]+(\.0*)?",
    "HUGEINT": r"[+-]?[0-9]+(\.0*)?",
    "DATE": r"\s*[0-9]+-[0-9]+-[0-9]+\s*",
    "TIMESTAMP": pattern_of("TIMESTAMP"),
    "TIME": pattern_of("TIME"),
}
_NESTED = ("STRUCT", "MAP", "[]", "JSON", "VARIANT")
_SAMPLE = 20_480
# One line a row: a delimiter that JSON cannot hold unescaped, and no quotes.
_LINES = (
    "columns={'line': 'VARCHAR'}, auto_detect=false, delim=chr(31), quote='', escape='', header=false, "
    f"strict_mode=false{CSV_ROOM}"
)


@dataclass(frozen=True)
class JsonlGroup:
    """JSON lines files and their columns."""

    files: tuple[StoredFile, ...]
    types: Mapping[str, str]
    room: str = ""
    """Further arguments of read_json, for files with lines that are longer than it takes by itself."""
    bending: frozenset[str] = frozenset()
    """Further columns of whose values DuckDB might bend some to fit."""

    def relation(self, extra: str, kept: Sequence[str], *, quarantine: bool) -> str:
        """Return a query over the files. `extra`: further arguments; `kept`: further columns that they bring."""
        listed = ", ".join(literal(file.location) for file in self.files)
        others = [quote(name) for name in kept]
        if quarantine:
            columns = [f"{self._taken(name)} AS {quote(name)}" for name in self.types]
            lines = f"read_csv([{listed}], {_LINES}{extra})"
            good = f"trim(line) <> '' AND NOT ({self._bad()})"
            return f"SELECT {', '.join([*columns, *others])} FROM {lines} WHERE {good}"
        types = ", ".join(
            f"{literal(name)}: {literal('VARCHAR' if self._guard(name) else kind)}" for name, kind in self.types.items()
        )
        columns = [self._converted(name) for name in self.types]
        # Of a single column DuckDB would look into all files at once whether lines are objects: 32 MB for each.
        layout = "format='newline_delimited', records=true"
        source = f"read_json([{listed}], {layout}, columns={{{types}}}{self.room}{extra})"
        return f"SELECT {', '.join([*columns, *others])} FROM {source}"

    def _converted(self, name: str) -> str:
        column, kind, guard = quote(name), self.types[name], self._guard(name)
        if not guard:
            return column
        fits = f"regexp_full_match({column}, {literal(guard)})"
        return f"CASE WHEN NOT {fits} THEN error('ematix: bad row') ELSE CAST({column} AS {kind}) END AS {column}"

    def _guard(self, name: str) -> str:
        kind = self.types[name]
        return _GUARDS.get(kind) or (pattern_of(kind) if name in self.bending else "")

    def _taken(self, name: str) -> str:
        """Return the expression that takes a column out of a good line."""
        kind, path = self.types[name], literal(f'$."{name}"')
        if kind == "JSON":
            return f"CASE WHEN json_type(line, {path}) <> 'NULL' THEN json_extract(line, {path}) END"
        if _is_nested(kind):
            return f"CAST(json_extract(line, {path}) AS {kind})"
        return f"CAST(json_extract_string(line, {path}) AS {kind})"

    def _misfit(self, name: str) -> str:
        """Return the condition that a line's value does not fit the column."""
        kind, path = self.types[name], literal(f'$."{name}"')
        if kind in {"JSON", "VARCHAR"}:
            return "false"
        if _is_nested(kind):
            inner = f"json_extract(line, {path})"
            return f"(json_type({inner}) <> 'NULL' AND TRY(CAST({inner} AS {kind})) IS NULL)"
        value = f"json_extract_string(line, {path})"
        pattern = self._guard(name)
        bent = f"NOT regexp_full_match({value}, {literal(pattern)}) OR " if pattern else ""
        return f"({value} IS NOT NULL AND ({bent}TRY_CAST({value} AS {kind}) IS NULL))"

    def _bad(self) -> str:
        misfits = " OR ".join(f"coalesce({self._misfit(name)}, false)" for name in self.types) or "false"
        return f"CASE WHEN NOT json_valid(line) THEN true WHEN json_type(line) <> 'OBJECT' THEN true ELSE {misfits} END"

    def bad_rows(self, file: StoredFile, *, most: int = 0) -> list[BadRow]:
        """Return the bad lines of one file, in order (the first `most`, or all). Reads it again."""
        column = " ".join(f"WHEN coalesce({self._misfit(n)}, false) THEN {literal(n)}" for n in self.types)
        which = f"CASE WHEN NOT json_valid(line) OR json_type(line) <> 'OBJECT' THEN '' {column} END"
        limit = f" LIMIT {most}" if most else ""
        query = (
            f"SELECT n, json_valid(line), {which}, line FROM "
            f"(SELECT row_number() OVER () AS n, line FROM read_csv([{literal(file.location)}], {_LINES})) "
            f"WHERE trim(line) <> '' AND ({self._bad()}){limit}"
        )
        with open_duck(**(LONG_MEMORY if self.room else {})) as connection:
            file.folder.mount(connection)
            rows = connection.execute(query).fetchall()
        return [BadRow(file.path, n, name, self._problem(name, valid=ok), t.rstrip("\r")) for n, ok, name, t in rows]

    def _problem(self, name: str, *, valid: bool) -> str:
        if not valid:
            return "malformed JSON"
        return f"the value of {name!r} is no {self.types[name]}" if name else "the line is no JSON object"


def jsonl_group(
    connection: DuckDBPyConnection,
    files: Sequence[StoredFile],
    types: Mapping[str, str] | None,
    *,
    room: str = "",
    reading: Reading = AS_FOUND,
) -> list[JsonlGroup]:
    """Return the files with the columns given, or with those that a sample of every file and `reading` say."""
    filled = [file for file in files if file.size]
    if not filled:
        return []
    if types is not None:
        return [JsonlGroup(tuple(filled), types, room)]
    found = _sampled(connection, filled, room)
    read = {name: reading.of_column(name, kind) for name, kind in found.items()}
    bending = frozenset(name for name, kind in found.items() if reading.guards(name, read[name], kind))
    return [JsonlGroup(tuple(filled), read, room, bending)]


def _sampled(connection: DuckDBPyConnection, files: Sequence[StoredFile], room: str) -> dict[str, str]:
    listed = ", ".join(literal(file.location) for file in files)
    try:
        described = connection.execute(
            f"DESCRIBE SELECT * FROM read_json([{listed}], format='newline_delimited', union_by_name=true, "
            f"ignore_errors=true, records=true, hive_partitioning=false, sample_size={_SAMPLE}{room})"
        )
        return {row[0]: "BIGINT" if row[1] == "UBIGINT" else row[1] for row in described.fetchall()}
    except driver().Error:
        # A line that is no object makes the JSON reader give up: take the structure of those that are.
        query = (
            "SELECT json_group_structure(line::JSON) FROM "
            f"(SELECT line FROM read_csv([{listed}], {_LINES}, hive_partitioning=false) "
            f"WHERE json_valid(line) AND json_type(line) = 'OBJECT' LIMIT {_SAMPLE})"
        )
        row = connection.execute(query).fetchall()[0]
        found = json.loads(row[0]) if row[0] is not None else None
        if not isinstance(found, dict):  # that of empty objects is "JSON"
            raise BadRowError(
                "no line is a JSON object with a field", where=f"{files[0].path}, line 1",
                hint="JSON lines: one object a line.",
            ) from None  # fmt: skip
        return {name: _type_of(kind) for name, kind in found.items()}


def _type_of(structure: Any) -> str:  # noqa: ANN401 - parsed JSON
    if isinstance(structure, dict):
        return "STRUCT(" + ", ".join(f"{quote(name)} {_type_of(kind)}" for name, kind in structure.items()) + ")"
    if isinstance(structure, list):
        return _type_of(structure[0]) + "[]" if structure else "JSON"
    return {"UBIGINT": "BIGINT", "NULL": "JSON"}.get(structure, str(structure))


def _is_nested(kind: str) -> bool:
    return any(part in kind for part in _NESTED)
