"""What a system can do: one frozen record a backend, readable without its driver."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from ematix_core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.types import ColumnType


class Upsert(StrEnum):
    """The recipe by which rows are inserted or updated by key."""

    NONE = "none"
    UPDATE_INSERT = "update_insert"  # UPDATE .. FROM, then INSERT .. WHERE NOT EXISTS: exact counts from row counts
    MERGE = "merge"
    ON_CONFLICT = "on_conflict"
    ON_DUPLICATE_KEY = "on_duplicate_key"
    NATIVE = "native"


class Replace(StrEnum):
    """How a whole table is replaced without a reader seeing anything in between."""

    TRANSACTION = "transaction"  # DELETE and INSERT in one transaction, readers keep their snapshot
    OVERWRITE = "overwrite"  # a new version of the whole, made visible in one step


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """Capabilities of one system. Each flag has the vendor's page beside it where it is set."""

    name: str
    """The connection kind, such as `duckdb`."""
    grammar: str
    """The sqlglot dialect that statements are rendered in."""
    types: Mapping[str, str]
    """SQL type by column kind (`big_int`) or kind and unit (`timestamp[ns]`); `{precision}` and the like are filled
    in. A kind that is missing cannot be stored: planning raises UnsupportedError."""
    modes: frozenset[str] = frozenset({"append", "truncate", "merge", "scd2"})
    """The load modes a target of this kind can be written with."""
    upsert: Upsert = Upsert.NONE
    replace: Replace = Replace.TRANSACTION
    transactional_ddl: bool = True
    commits_each_table: bool = False
    """True: a session commits each table by itself, so that rows and what is said of them in another table are not one
    transaction: in lakes."""
    folds_names: bool = True
    """True: names of columns that differ in case only are one name."""
    schemas: bool = True
    """False: `analytics.orders` is kept as `analytics_orders`."""
    temporary_staging: bool = True
    """True: staging is a TEMPORARY table of the session; False: an ordinary table that is dropped at the end."""
    declares_keys: bool = True
    """True: PRIMARY KEY and UNIQUE are put into CREATE TABLE; False: merge alone keeps keys unique."""
    partial_indexes: bool = False
    """True: scd2 tables get a unique index on the key of current rows."""
    alter_type: bool = False
    """True: ALTER COLUMN .. TYPE exists, so a wider type can be evolved."""
    indexes_keys: bool = False
    """True: a merge needs an index on its keys to be fast, so that tables without declared keys get one."""
    scans_for_keys: frozenset[str] = frozenset()
    """Modes that read all of a table for each row that they bring, where it has no index on the keys."""
    indexes_staging: bool = False
    """True: a unique index is what finds out fastest that no key is staged twice."""
    joins_null_safe: bool = True
    """False: a join on NULL-safe equality compares each row with each, so that equal rows are found by sorting."""
    joins_by_index: bool = False
    """True: work tables get an index on what they are joined by, as the system has hardly a join without one."""
    row_number: str = ""
    """What numbers the rows of a work table, where comparing them part by part takes less memory. The sessions have
    `parts` then."""
    key_types: Mapping[str, str] = field(default_factory=dict)
    """SQL type by column kind for columns of a key, where an index cannot be on the ordinary type."""
    same_text: frozenset[str] = frozenset()
    """Kinds whose cast to VARCHAR gives the text that DuckDB gives: a row hash over such columns may be made inside
    the system, so that the rows of an scd2 load need not leave it."""
    creates_filled: bool = False
    """True: CREATE TABLE AS loads rows of the same system faster than INSERT does, so that new tables are made by it,
    and staging that keeps only what differs."""
    collation: str = ""
    """The collation of columns that name none, where a table made by CREATE TABLE AS would have the query's."""
    ddl: bool = True
    """False: there are no tables to create or alter (files): drift means a new file schema."""
    one_writer: bool = False
    """True: a single writing process is admitted; jobs on it queue."""
    keeps_loads: bool = True
    """False: the target keeps no record of the jobs that wrote it, so that a job into it cannot be incremental."""
    maintenance: frozenset[str] = frozenset()
    """The steps of maintenance that tables of this kind can be given, by name: see `model.maintenance`."""
    bulk: str = ""
    """One line for the support table: how rows are loaded fast."""
    limits: Mapping[str, int] = field(default_factory=dict)

    def _hint(self, kind: type[ColumnType], column: str) -> str:
        if kind.kind in {"array", "map", "struct"} and "json" in self.types:
            return f"Make it JSON in the query, with to_json({column}), or declare the column as JSON."
        return "Cast it in the job's query, or declare another type for the column."

    def key_type(self, kind: type[ColumnType], *, column: str) -> str:
        """Return the SQL type for a column of a key. Raises UnsupportedError naming the column when there is none."""
        return self.key_types.get(kind.kind) or self.sql_type(kind, column=column)

    def sql_type(self, kind: type[ColumnType], *, column: str) -> str:
        """Return the SQL type for a column type. Raises UnsupportedError naming the column when there is none."""
        parameters = dict(kind.parameters)
        template = self.types.get(f"{kind.kind}[{parameters.get('unit')}]") or self.types.get(kind.kind)
        if template is None or not self._fits(kind):
            raise UnsupportedError(
                f"{self.name} cannot hold column {column!r} of type {kind.label()}",
                hint=self._hint(kind, column),
            )
        for name in ("item", "key", "value"):
            if name in parameters:
                parameters[name] = self.sql_type(parameters[name], column=column)
        if "fields" in parameters:
            parameters["fields"] = ", ".join(
                f'"{name}" {self.sql_type(inner, column=column)}' for name, inner in parameters["fields"]
            )
        return template.format(**parameters)

    def _fits(self, kind: type[ColumnType]) -> bool:
        unit = kind.parameters.get("unit")
        if unit == "ns" and f"{kind.kind}[ns]" not in self.types:
            return self.types.get(f"{kind.kind}[ns]", "") != "" or "{unit}" in self.types[kind.kind]
        most = self.limits.get("numeric_precision")
        return kind.kind != "numeric" or most is None or kind.parameters["precision"] <= most
