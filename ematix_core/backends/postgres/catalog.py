"""What the server's catalogs say about types, tables and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.backends.postgres.native import Native, native
from ematix_core.model.table import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ematix_core.backends.postgres.link import Link
    from ematix_core.model.table import TableName


_TYPES = """
SELECT t.oid, t.typname, t.typtype, t.typbasetype, t.typtypmod,
       CASE WHEN t.typcategory = 'A' AND t.typsubscript = 'array_subscript_handler'::regproc THEN t.typelem ELSE 0 END
           AS item,
       format_type(t.oid, NULL) AS name
FROM pg_catalog.pg_type t WHERE t.oid = ANY($1::oid[])
"""
_TYPES_BEFORE_14 = _TYPES.replace("t.typsubscript = 'array_subscript_handler'::regproc", "t.typlen = -1")

_COLUMNS = """
SELECT a.attname AS name, a.atttypid AS oid, a.atttypmod AS typmod, a.attnotnull AS required, a.attndims AS dimensions,
       a.attgenerated AS generated, a.attidentity AS identity, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

_KEYS = """
SELECT array_agg(a.attname ORDER BY k.place)::text[] AS columns
FROM pg_catalog.pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place), pg_catalog.pg_attribute a
WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indexprs IS NULL
  AND (i.indpred IS NULL OR pg_catalog.pg_get_expr(i.indpred, i.indrelid) = pg_catalog.quote_ident($2))
  AND k.place <= i.indnkeyatts AND a.attrelid = i.indrelid AND a.attnum = k.number
GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC, i.indexrelid
"""

# The first oid that is not the server's own: https://www.postgresql.org/docs/current/system-catalog-initial-data.html
_OWN = 16384
# Row security may look anything up; what is written in C or inside the server reads no table unless it is told which.
_READERS = f"""
SELECT relname AS name FROM pg_catalog.pg_class
WHERE oid >= {_OWN} AND (relkind IN ('v', 'f', 'p') OR relhassubclass OR relrowsecurity)
UNION SELECT p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE p.oid >= {_OWN} AND (p.prokind = 'a' OR l.lanname NOT IN ('internal', 'c'))
"""  # noqa: S608 - a constant
# Parts of a table, triggers (the server's own for foreign keys too) and rules; and functions that no query has to name,
# because an operator, a cast or a domain calls them.
_ENTANGLED = f"""
SELECT c.relkind <> 'r' OR c.relhassubclass OR c.relhasrules
       OR EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype & 8 <> 0)
       OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                  JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
                  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
                  WHERE d.classid IN ('pg_operator'::regclass, 'pg_cast'::regclass, 'pg_constraint'::regclass)
                    AND p.oid >= {_OWN} AND l.lanname NOT IN ('internal', 'c')) AS entangled
FROM pg_catalog.pg_class c WHERE c.oid = to_regclass($1)
"""  # noqa: S608 - a constant
# They are given a query, or the name of a table, as text.
_TOLD = (
    *(f"{what}_to_{form}" for what in ("query", "table", "schema", "database", "cursor")
      for form in ("xml", "xmlschema", "xml_and_xmlschema")),
    "ts_stat", "ts_rewrite",
)  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """A column of a table: what the engine is told, and what only this backend knows."""

    column: Column
    native: Native
    type: str
    """The type as SQL writes it, such as `character varying(20)`."""
    computed: bool = False
    """Whether the server alone gives it its values: GENERATED ALWAYS, from other columns or AS IDENTITY."""


class Catalog:
    """Looks types up once, and tables each time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._types: dict[int, Native] = {}

    def types(self, oids: Iterable[int]) -> Mapping[int, Native]:
        """Return the types with these object ids, with what is under domains and in arrays."""
        missing = {oid for oid in oids if oid and oid not in self._types}
        if missing:
            self._look_up(missing)
        return self._types

    def _look_up(self, oids: set[int]) -> None:
        version = self._link.version
        query = _TYPES if version >= (14,) else _TYPES_BEFORE_14
        rows = self._link.rows(query, sorted(oids))
        self.types({row["typbasetype"] for row in rows} | {row["item"] for row in rows})
        for row in rows:
            base = self._types.get(row["typbasetype"])
            if base is not None:
                base = native(base.oid, row["typtypmod"], self._types)
            kind = row["typtype"].decode()
            self._types[row["oid"]] = Native(
                row["oid"], -1, row["name"], kind, base, self._types.get(row["item"]) if kind == "b" else None
            )

    def stored(self, table: TableName) -> tuple[Stored, ...] | None:
        """Return all columns of a table or view, in order; None when there is none."""
        rows = self._link.rows(_COLUMNS, qualified(table))
        if not rows:
            return None
        types = self.types(row["oid"] for row in rows)
        return tuple(_stored(row, types) for row in rows)

    def keys(self, table: TableName, where: str = "") -> tuple[tuple[str, ...], ...]:
        """Return the primary key and the unique indexes over plain columns, of all rows or of those `where`."""
        rows = self._link.rows(_KEYS, qualified(table), where)
        return tuple(dict.fromkeys(tuple(row["columns"]) for row in rows))

    def readers(self, table: TableName) -> tuple[str, ...] | None:
        """Return the names by which a query may read the table without its own; see `LookingSession`."""
        found = self._link.rows(_ENTANGLED, qualified(table))
        if not found or found[0]["entangled"]:
            return None
        return (*_TOLD, *(row["name"] for row in self._link.rows(_READERS)))

    def tables(self) -> list[str]:
        """Return the names of all tables and views that the user may see, as a query would write them."""
        rows = self._link.rows(
            "SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname"
            " END AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            " AND n.nspname NOT LIKE 'pg\\_t%' AND c.relname NOT LIKE '\\_ematix\\_%' ORDER BY 1 LIMIT 10000"
        )
        return [row["name"] for row in rows]


def _stored(row: Mapping[str, object], types: Mapping[int, Native]) -> Stored:
    found = native(int(str(row["oid"])), int(str(row["typmod"])), types)
    return Stored(
        column=Column(str(row["name"]), found.column_type, nullable=not row["required"]), native=found,
        type=str(row["type"]), computed=row["generated"] in {b"s", b"v"} or row["identity"] == b"a",
    )  # fmt: skip


def quote(name: str) -> str:
    """Return a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def qualified(table: TableName) -> str:
    """Return the table's name, quoted, with its schema if it has one."""
    return f"{quote(table.schema)}.{quote(table.name)}" if table.schema else quote(table.name)
