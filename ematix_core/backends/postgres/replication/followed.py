"""The table that a stream follows: its key, its columns, and what of it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.backends.postgres.catalog import Catalog, qualified, quote
from ematix_core.backends.postgres.native import require_readable
from ematix_core.errors import ConfigError, MissingSourceError, UnsupportedError, near
from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.backends.postgres.catalog import Stored
    from ematix_core.backends.postgres.link import Link

_TABLE = """
SELECT c.oid, c.relkind, c.relpersistence, c.relreplident AS identity, n.nspname AS schema, c.relname AS name,
       current_setting('wal_level') AS wal_level, row_security_active(c.oid) AS hides,
       c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AS has_heirs
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)
"""
# The leaves of a partitioned table are what writes to it are logged as; a plain table is its own leaf.
_WITHOUT_IDENTITY = """
SELECT t.relid::regclass::text AS name
FROM (SELECT relid FROM pg_catalog.pg_partition_tree($1::oid) WHERE isleaf UNION SELECT $1::oid) t
JOIN pg_catalog.pg_class c ON c.oid = t.relid
WHERE c.relkind = 'r' AND (c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))) ORDER BY 1
"""
_KEY = """
SELECT a.attname AS name
FROM pg_catalog.pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place), pg_catalog.pg_attribute a
WHERE i.indrelid = $1::oid AND CASE WHEN $2 THEN i.indisreplident ELSE i.indisprimary END
  AND k.place <= i.indnkeyatts AND a.attrelid = i.indrelid AND a.attnum = k.number
ORDER BY k.place
"""
_GENERATED = """
SELECT attname AS name FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum > 0 AND attgenerated <> ''
"""
_KINDS = {b"v": "a view", b"m": "a materialized view", b"f": "a foreign table", b"S": "a sequence", b"c": "a type"}


@dataclass(frozen=True)
class Followed:
    """A table whose changes the server tells. `key`: the columns by which its rows are told apart; none for none."""

    oid: int
    schema: str
    name: str
    key: tuple[str, ...]
    columns: tuple[Stored, ...]
    partitioned: bool

    @property
    def sql(self) -> str:
        """The name, quoted."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def types(self) -> Mapping[str, str]:
        """The key columns' types, as SQL writes them."""
        found = {stored.column.name: stored.type for stored in self.columns}
        return {name: found[name] for name in self.key}


def followed(link: Link, name: str, where: str) -> Followed:
    """Look the table up.

    Raises MissingSourceError; ConfigError for a server that does not write changes in its log; UnsupportedError for a
    table whose changes it does not tell.
    """
    table, catalog = TableName.parse(name), Catalog(link)
    rows = link.rows(_TABLE, qualified(table))
    if not rows:
        raise MissingSourceError(f"there is no table {name}", where=where, hint=near(name, catalog.tables()))
    row = rows[0]
    if row["wal_level"] != "logical":
        raise ConfigError(
            f"the server's wal_level is {row['wal_level']}, and changes are told only with logical", where=where,
            hint="ALTER SYSTEM SET wal_level = logical; and restart the server. Amazon RDS: rds.logical_replication = 1"
            " in the parameter group.",
        )  # fmt: skip
    if row["relkind"] not in {b"r", b"p"} or row["relpersistence"] != b"p":
        kind = _KINDS.get(row["relkind"], "temporary or unlogged")
        raise UnsupportedError(
            f"{name} is {kind}, and PostgreSQL logs changes of ordinary tables only", where=where,
            hint="Follow the tables that it is made of.",
        )  # fmt: skip
    if row["has_heirs"] or row["hides"]:
        raise UnsupportedError(
            f"{name} has tables that inherit from it, whose changes are told by their own names" if row["has_heirs"]
            else f"row security hides rows of {name} from user {link.address.user}, and their changes would be told",
            where=where, hint="Follow each of them by a stream of its own." if row["has_heirs"]
            else f'ALTER ROLE "{link.address.user}" BYPASSRLS lets it see them.',
        )  # fmt: skip
    _require_identity(link, row["oid"], where)
    generated = {found["name"] for found in link.rows(_GENERATED, row["oid"])}  # pgoutput leaves them out
    columns = tuple(one for one in catalog.stored(table) or () if one.column.name not in generated)
    for stored in columns:
        require_readable(stored.native, stored.column.name)
    key = tuple(str(one["name"]) for one in link.rows(_KEY, row["oid"], row["identity"] == b"i"))
    return Followed(row["oid"], row["schema"], row["name"], key, columns, row["relkind"] == b"p")


def _require_identity(link: Link, oid: int, where: str) -> None:
    """Refuse a table without a replica identity: once published, the server refuses its updates and deletes."""
    lacking = [str(row["name"]) for row in link.rows(_WITHOUT_IDENTITY, oid)]
    if lacking:
        raise UnsupportedError(
            f"{lacking[0]} has no replica identity: which row was updated or deleted would not be told", where=where,
            hint=f"Give it a primary key, or ALTER TABLE {lacking[0]} REPLICA IDENTITY FULL.",
        )  # fmt: skip
