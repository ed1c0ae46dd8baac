"""Through what else than its own name a table is read: views, stored functions, tables over other tables."""

# ruff: noqa: S608 - literals are hexadecimal, or constants of this file
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ematix_core.backends.mysql.connection import Database

# Engines that keep rows of their own. MERGE, FEDERATED, CONNECT, SPIDER and SEQUENCE read others.
# https://mariadb.com/kb/en/storage-engines/
_ENGINES = "'InnoDB', 'MyISAM', 'Aria', 'MEMORY', 'CSV', 'ARCHIVE', 'ROCKSDB', 'ColumnStore'"
_SYSTEM = "'information_schema', 'mysql', 'performance_schema', 'sys'"
_READERS = f"""
SELECT TABLE_NAME FROM information_schema.TABLES
WHERE TABLE_SCHEMA NOT IN ({_SYSTEM}) AND (ENGINE IS NULL OR ENGINE NOT IN ({_ENGINES}))
UNION SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA NOT IN ({_SYSTEM})
"""


def readers(database: Database, schema: str, name: str) -> tuple[str, ...] | None:
    """Return what a query may name and so read the table; None when emptying it may change other tables.

    `schema` and `name` are literals. See `LookingSession`.
    """
    entangled = database.rows(
        "SELECT 1 FROM information_schema.TRIGGERS WHERE EVENT_MANIPULATION = 'DELETE' "
        f"AND EVENT_OBJECT_SCHEMA = {schema} AND EVENT_OBJECT_TABLE = {name} "
        "UNION ALL SELECT 1 FROM information_schema.REFERENTIAL_CONSTRAINTS "
        f"WHERE UNIQUE_CONSTRAINT_SCHEMA = {schema} AND REFERENCED_TABLE_NAME = {name} "
        "AND DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION') LIMIT 1"
    )
    return None if entangled else tuple(str(row[0]) for row in database.rows(_READERS))
