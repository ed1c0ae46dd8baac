"""Work tables of a load: ordinary tables, since MySQL's temporary ones cannot be read twice in a statement.

DDL commits whatever transaction is open (https://dev.mysql.com/doc/refman/8.0/en/implicit-commit.html), so work tables
are made, filled, indexed and dropped on a second connection in autocommit. Statements call them `_ematix_staging..`;
in the database each session has names of its own: `_ematix_staging_<scope>_<session>_<n>`. A session that dies
leaves them behind, and the next session of the same scope, which holds the scope's lock, drops them.
"""

from __future__ import annotations

import re
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

from ematix_core.backends.mysql.literals import literal
from ematix_core.backends.mysql.reading import quote
from ematix_core.errors import EmatixError
from ematix_core.strategies.plan import STAGING

if TYPE_CHECKING:
    from ematix_core.backends.mysql.connection import Database

_NAME = re.compile(rf"`({STAGING}\w*)`")
_WRITES = re.compile(
    rf"\s*(?:INSERT\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+(?:`\w+`\s+)?FROM)\s+`({STAGING}\w*)`", re.IGNORECASE
)
_DDL = re.compile(r"\s*(CREATE|ALTER|DROP|TRUNCATE|RENAME)\b(?:\s+(TABLE|(?:UNIQUE\s+)?INDEX))?", re.IGNORECASE)


def scope_key(database: str, scope: str) -> str:
    """Return a short name for a scope in a database: part of the names of its lock and its work tables."""
    return sha256(f"{database}\0{scope}".encode()).hexdigest()[:12]


def is_ddl(statement: str) -> bool:
    """Say whether the statement would end a transaction."""
    return _DDL.match(statement) is not None


def is_about(statement: str) -> bool:
    """Say whether the statement writes to a work table, or makes or drops one."""
    if _WRITES.match(statement):
        return True
    return is_ddl(statement) and _NAME.search(statement) is not None


class Staging:
    """The work tables of one session, by the names that statements have for them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session = uuid4().hex[:8]
        self._key = "0" * 12
        self._names: dict[str, str] = {}
        self._made: list[str] = []
        self._read: set[str] = set()

    def adopt(self, key: str) -> None:
        """Use the scope's key in names from now on, and drop what dead sessions of the scope left behind."""
        self._key = key
        pattern = literal(f"{STAGING}_{key}_%".replace("_", r"\_"), "")
        rows = self._database.rows(
            "SELECT TABLE_NAME FROM information_schema.TABLES "  # noqa: S608 - a hexadecimal literal
            f"WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE {pattern}"
        )
        for (name,) in rows:
            self._database.run(f"DROP TABLE IF EXISTS {quote(name)}")

    def knows(self, name: str) -> bool:
        """Say whether the name is that of a work table."""
        return name.startswith(STAGING)

    def physical(self, name: str) -> str:
        """Return the name in the database of a work table that statements call `name`."""
        return self._names.get(name, name)

    def renamed(self, statement: str) -> str:
        """Return the statement with the names in the database."""
        return _NAME.sub(lambda found: quote(self.physical(found[1])), statement)

    def read_by_transaction(self, statement: str) -> None:
        """Note that the open transaction reads the statement's work tables: until it ends they cannot be altered."""
        self._read |= {self.physical(name) for name in _NAME.findall(statement)}

    def run(self, statement: str) -> int:
        """Run a statement that makes, indexes, fills or drops a work table, and return how many rows it changed."""
        ddl = _DDL.match(statement)
        verb = ddl[1].upper() if ddl else ""
        kind = (ddl[2] or "").upper() if ddl else ""
        names = _NAME.findall(statement)
        if verb == "DROP":
            self._forget(names)
            return 0
        if verb == "CREATE" and kind == "TABLE":
            self._make(names[0])
        elif verb in {"CREATE", "ALTER"}:
            self._free(names[-1])
        changed = self._database.run(self.renamed(statement))
        return changed if verb != "CREATE" else 0

    def drop_all(self) -> None:
        """Drop every table that the session made. What cannot be dropped now, the scope's next session drops."""
        with suppress(EmatixError):
            for name in self._made:
                self._database.run(f"DROP TABLE IF EXISTS {quote(name)}")

    def _make(self, name: str) -> None:
        physical = f"{STAGING}_{self._key}_{self._session}_{len(self._made)}"
        self._made.append(physical)
        self._names[name] = physical

    def _forget(self, names: list[str]) -> None:
        """Drop at the end: the open transaction has read the tables, and a DROP would wait for it."""
        for name in names:
            self._names.pop(name, None)

    def _free(self, name: str) -> None:
        """Copy a table that the open transaction has read: altering it would wait for that transaction's end."""
        old = self.physical(name)
        if old not in self._read:
            return
        self._make(name)
        new = self.physical(name)
        self._database.run(f"CREATE TABLE {quote(new)} LIKE {quote(old)}")
        self._database.run(f"INSERT INTO {quote(new)} SELECT * FROM {quote(old)}")  # noqa: S608 - our own names
