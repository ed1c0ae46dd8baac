"""Staging: the temporary tables of a session's own DuckDB, which statements may change as they like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ematix_core.backends.duck.temporary import is_temporary
from ematix_core.errors import UnsupportedError
from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_TEMPORARY = re.compile(r"^\s*CREATE\s+(?:OR\s+REPLACE\s+)?TEMP(?:ORARY)?\s+(?:TABLE|VIEW|MACRO)\b", re.IGNORECASE)
_CHANGES = re.compile(
    r"^\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?|DROP\s+(?:TABLE|VIEW)(?:\s+IF\s+EXISTS)?"
    r'|ALTER\s+TABLE|CREATE\s+(?:UNIQUE\s+)?INDEX\s+\S+\s+ON|MERGE\s+INTO)\s+((?:"(?:[^"]|"")*"|[\w.])+)',
    re.IGNORECASE,
)


def require_temporary(duck: DuckDBPyConnection, statement: str) -> None:
    """Raise UnsupportedError for a statement that would change anything but temporary tables and views."""
    if _TEMPORARY.match(statement):
        return
    changed = _CHANGES.match(statement)
    if changed is None or not is_temporary(duck, _parsed(changed[1])):
        raise UnsupportedError(
            "a table of files takes no such statement, only a plain UPDATE or DELETE",
            where=f"statement {statement.strip()[:80]!r}",
            hint="Temporary tables of the session can be created and changed by others.",
        )


def _parsed(text: str) -> TableName:
    parts = [part.strip('"').replace('""', '"') for part in re.findall(r'"(?:[^"]|"")*"|\w+', text)]
    return TableName(parts[-2] if len(parts) > 1 else "", parts[-1])
