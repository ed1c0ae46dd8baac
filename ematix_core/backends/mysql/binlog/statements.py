"""What a statement in a binary log does to one table beside the rows that the log has of it."""

from __future__ import annotations

import re
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.backends.mysql.binlog.events import Statement

_TOKEN = re.compile(
    r"(?P<skipped>\s+|--[^\n]*|#[^\n]*|/\*(?![!M]).*?\*/|/\*M?!\d*|\*/)"
    r"|(?P<quoted>`(?:[^`]|``)*`)|(?P<text>'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\")"
    r"|(?P<word>[\w$\u0080-\uffff]+)|(?P<sign>.)",
    re.DOTALL,
)
_READ = 65_536
"""Characters of a statement that are looked at: names stand in its beginning, rows of an INSERT do not matter."""
_ROWS = {"INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH"}
_PARTS, _TAKING = {"PARTITION", "TABLESPACE"}, {"TRUNCATE", "DROP", "EXCHANGE", "DISCARD"}
_RENAMED_INSIDE = {"COLUMN", "INDEX", "KEY"}


class Effect(Enum):
    """What a statement means for a stream of the table's rows."""

    NOTHING = "nothing"
    SHAPED = "its columns may be others"
    EMPTIED = "rows went without a trace in the log"
    WRITTEN = "rows were changed, and the log has the statement only"


def effect(statement: Statement, schema: str, table: str) -> Effect:  # noqa: PLR0911 - one line a kind reads best
    """Say what the statement does to the table."""
    words = _words(statement.sql)
    if not words:
        return Effect.NOTHING
    verb, *rest = (word.upper() for word in words)
    if verb == "DROP" and rest[:1] and rest[0] in {"DATABASE", "SCHEMA"}:
        return Effect.EMPTIED if _same(schema) in map(_same, words[2:]) else Effect.NOTHING
    if not _named(words, _same(statement.schema) == _same(schema), schema, table):
        return Effect.NOTHING
    if verb in _ROWS:
        return Effect.WRITTEN
    if verb in {"TRUNCATE", "RENAME"} or (verb == "DROP" and "TABLE" in rest[:3]):
        return Effect.EMPTIED
    if verb == "CREATE":
        return Effect.EMPTIED if "OR" in rest[:1] and "TABLE" in rest[:4] else Effect.SHAPED
    if verb == "ALTER":
        return Effect.EMPTIED if _parted(rest) or _renamed(rest) else Effect.SHAPED
    return Effect.NOTHING


def _parted(words: Sequence[str]) -> bool:
    """Say whether an ALTER TABLE takes rows away with their partition or file."""
    return bool(_PARTS.intersection(words) and _TAKING.intersection(words))


def _renamed(words: Sequence[str]) -> bool:
    """Say whether an ALTER TABLE gives the table another name."""
    return any(word == "RENAME" and after not in _RENAMED_INSIDE for word, after in pairwise(words))


def _words(sql: str) -> list[str]:
    """Return words and names, and the points between names; quoted ones without their quotes."""
    found = []
    for token in _TOKEN.finditer(sql[:_READ]):
        if (quoted := token["quoted"]) is not None:
            found.append(quoted[1:-1].replace("``", "`"))
        elif token["text"] is not None:
            found.append(token["text"][1:-1])  # a name under ANSI_QUOTES
        elif token["word"] is not None or token["sign"] == ".":
            found.append(token[0])
    return found


def _named(words: Sequence[str], here: bool, schema: str, table: str) -> bool:  # noqa: FBT001 - whether it ran in the schema
    for place, word in enumerate(words):
        if _same(word) != _same(table):
            continue
        if place > 1 and words[place - 1] == ".":
            if _same(words[place - 2]) == _same(schema):
                return True
        elif here:
            return True
    return False


def _same(name: str) -> str:
    """Return a name to compare: servers differ in whether case matters."""
    return name.lower()
