"""Comparisons of texts that are exact, whatever collations the tables of others have.

A collation may take texts for equal that differ: in case, in accents, in spaces at their ends. What a load compares to
find out whether a row has changed is therefore compared byte by byte. Keys cannot be, since an index serves one
collation only: a key must have the exact collation of the server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ematix_core.backends.mysql.dialect import PADDED, UUID, exact_collation
from ematix_core.backends.mysql.reading import quote
from ematix_core.errors import AlikeKeysError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ematix_core.backends.mysql.columns import Declared
    from ematix_core.backends.mysql.connection import Database, Server
    from ematix_core.backends.mysql.staging import Staging
    from ematix_core.model.table import TableName

_INDEXED = 255
"""Characters of a text in an index: of 3,072 bytes, https://dev.mysql.com/doc/refman/8.0/en/innodb-limits.html"""
_BOTH_SIDES = re.compile(r"(`\w+`\.)(`(?:[^`]|``)+`) <=> (`\w+`\.)\2")
_INDEX = re.compile(r"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+`\w+`\s+ON\s+(`\w+`)\s*\((.*)\)", re.IGNORECASE | re.DOTALL)


class Texts:
    """What a session knows of the text columns of the tables that it was asked about."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._collation = exact_collation(server)
        self._names: set[str] = set()

    def note(self, facts: Iterable[Declared]) -> None:
        """Remember which of the columns hold text."""
        self._names |= {quote(fact.name) for fact in facts if fact.charset}

    def compared(self, statement: str) -> str:
        """Return the statement with texts compared NULL-safely byte by byte."""
        return _BOTH_SIDES.sub(self._bytewise, statement)

    def require_exact(self, table: TableName, facts: Iterable[Declared], keys: Sequence[str]) -> None:
        """Raise UnsupportedError for a key column with a collation by which keys that differ are equal."""
        for fact in facts:
            exact = fact.collation in {"", self._collation} or fact.comment == UUID
            if fact.name in keys and not exact:
                raise UnsupportedError(
                    f"the key {fact.name!r} of table {table} has the collation {fact.collation}, by which keys that "
                    "differ may be equal",
                    hint=f"Give it an exact one: ALTER TABLE {table} MODIFY {quote(fact.name)} {fact.column_type} "
                    f"CHARACTER SET utf8mb4 COLLATE {self._collation}.",
                )

    def require_distinct(self, statement: str, staging: Staging, database: Database) -> None:
        """Before a work table's keys are indexed: refuse spaces at their ends, where the server has no exact collation.

        MySQL before 8.0.17 takes a key with them for the one without.
        """
        found = _INDEX.match(statement) if self._collation == PADDED else None
        for name in re.findall(r"`(?:[^`]|``)+`", found[2]) if found else ():
            query = f"SELECT {name} FROM {staging.renamed(found[1])} WHERE {name} LIKE '% ' LIMIT 1"  # type: ignore[index]  # noqa: S608 - found, then; quoted names
            if name in self._names and (rows := database.rows(query)):
                raise AlikeKeysError(
                    f"the key {name} is {rows[0][0]!r}, which {self._server} takes for {rows[0][0].rstrip(' ')!r}: its "
                    f"collation {self._collation} compares texts without the spaces at their ends",
                    hint="Trim it in the job's query. MySQL from 8.0.17 and MariaDB tell such keys apart.",
                )

    def _bytewise(self, found: re.Match[str]) -> str:
        left, name, right = found[1], found[2], found[3]
        if name not in self._names:
            return found[0]
        return " <=> ".join(f"CAST(CONVERT({side}{name} USING utf8mb4) AS BINARY)" for side in (left, right))


def index_on(table: TableName, keys: Sequence[str], facts: Iterable[Declared]) -> str:
    """Return CREATE INDEX on the keys: texts that an index cannot hold whole by their first characters."""
    long = {fact.name for fact in facts if fact.data_type.endswith(("text", "blob")) or _length(fact) > _INDEXED}
    parts = (quote(key) + (f"({_INDEXED})" if key in long else "") for key in keys)
    of = ".".join(quote(name) for name in (table.schema, table.name) if name)
    return f"CREATE INDEX {quote(f'{table.name}_keys')} ON {of} ({', '.join(parts)})"


def _length(fact: Declared) -> int:
    return int(fact.type.parameters.get("length", 0)) if fact.data_type in {"varchar", "char"} else 0
