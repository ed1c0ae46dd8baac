"""Statements that change a table, as queries for the rows that they change: for tables that consist of files.

Such a table is shown to DuckDB as a view over its files. Its rows also have two columns that say where each is, so that
a row can be left out and another be put in its place: see `ematix_core.backends.delta`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ematix_core.errors import UnsupportedError
from ematix_core.model.table import TableName
from ematix_core.sql import build

if TYPE_CHECKING:
    from collections.abc import Sequence

_GRAMMAR = "duckdb"
_PLAIN: dict[type[exp.Expr], frozenset[str]] = {
    exp.Update: frozenset({"this", "expressions", "from_", "where"}),
    exp.Delete: frozenset({"this", "where"}),
    exp.Insert: frozenset({"this", "expression"}),
    exp.Create: frozenset({"this", "kind", "exists"}),
    exp.Alter: frozenset({"this", "kind", "actions"}),
}


class Kind(StrEnum):
    """What a statement does."""

    UPDATE = "update"
    DELETE = "delete"
    INSERT = "insert"
    CREATE_TABLE = "create table"
    CREATE_SCHEMA = "create schema"
    ALTER = "alter table"
    OTHER = "other"


@dataclass(frozen=True)
class Change:
    """One statement: what it does, to which table, and which tables it names in all."""

    kind: Kind
    table: TableName
    names: tuple[TableName, ...]
    tree: exp.Expr | None = None

    def updated(self, rows: TableName, position: Sequence[str], columns: Sequence[str]) -> str:
        """Return the query for the rows that an UPDATE gives: `position` of the old row, then all `columns` as new.

        `rows` are the table's rows with their positions.
        """
        alias = self._alias()
        values = {assigned.this.name: assigned.expression for assigned in self._tree().expressions}
        unknown = [name for name in values if name not in columns]
        if unknown:
            raise UnsupportedError(f"{self.table} has no column {unknown[0]!r}", where=f"statement {self.text()!r}")
        selected = [exp.alias_(values.get(c, build.col(c, alias)), c, quoted=True) for c in columns]
        return self._selected([*build.cols(position, alias), *selected], rows, alias)

    def deleted(self, rows: TableName, position: Sequence[str]) -> str:
        """Return the query for the `position` of the rows that a DELETE removes."""
        alias = self._alias()
        return self._selected(build.cols(position, alias), rows, alias)

    def inserted(self, columns: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """Return the columns and the query of an INSERT, for a table with these columns."""
        tree = self._tree()
        named = tuple(column.name for column in tree.this.expressions) if isinstance(tree.this, exp.Schema) else ()
        query = tree.expression
        if isinstance(query, exp.Values):
            query = exp.select("*").from_(query)
        return named or tuple(columns), query.sql(dialect=_GRAMMAR)

    def redirected(self, to: TableName) -> str:
        """Return the statement for another, temporary table: a CREATE TABLE, ALTER TABLE, UPDATE or DELETE.

        Raises UnsupportedError for a change of a table other than a new column or another type.
        """
        tree = self._tree().copy()
        if self.kind in {Kind.UPDATE, Kind.DELETE}:
            tree.set("this", build.table(to, self._alias()))  # the alias is what columns are named by
            return tree.sql(dialect=_GRAMMAR)
        if self.kind is Kind.ALTER:
            if not all(isinstance(each, exp.ColumnDef) or _changes_type(each) for each in tree.args["actions"]):
                raise UnsupportedError(
                    "a table of files can be given new columns and wider types, no other changes",
                    where=f"statement {self.text()!r}",
                )
            tree.set("this", build.table(to))
            return tree.sql(dialect=_GRAMMAR)
        tree.this.set("this", build.table(to))
        tree.set("properties", exp.Properties(expressions=[exp.TemporaryProperty()]))
        return tree.sql(dialect=_GRAMMAR)

    def text(self) -> str:
        """Return the beginning of the statement, for messages."""
        return self._tree().sql(dialect=_GRAMMAR)[:80]

    def _selected(self, columns: Sequence[exp.Expr], rows: TableName, alias: str) -> str:
        tree = self._tree()
        query = exp.select(*columns).from_(build.table(rows, alias))
        if (source := tree.args.get("from_")) is not None:
            query = query.join(source.this.copy(), join_type="cross")
        if (where := tree.args.get("where")) is not None:
            query = query.where(where.this.copy())
        return query.sql(dialect=_GRAMMAR)

    def _alias(self) -> str:
        return str(self._tree().this.alias_or_name)

    def _tree(self) -> exp.Expr:
        assert self.tree is not None  # noqa: S101 - only statements of a known kind are asked
        return self.tree


def parsed(statement: str) -> Change:
    """Return what a DuckDB statement does; OTHER with the tables that it names for anything but plain changes."""
    try:
        tree = sqlglot.parse_one(statement, read=_GRAMMAR)
    except SqlglotError:
        return Change(Kind.OTHER, TableName("", ""), ())
    names = tuple(dict.fromkeys(TableName(found.db, found.name) for found in tree.find_all(exp.Table)))
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    set_ = {name for name, value in tree.args.items() if value}
    if not isinstance(target, exp.Table) or not set_ <= _PLAIN.get(type(tree), frozenset()):
        return Change(Kind.OTHER, TableName("", ""), names)
    if isinstance(tree, exp.Create) and tree.kind == "SCHEMA":
        return Change(Kind.CREATE_SCHEMA, TableName("", target.db or target.name), (), tree)
    return Change(_kind(tree), TableName(target.db, target.name), names, tree)


def _kind(tree: exp.Expr) -> Kind:
    match tree:
        case exp.Update():
            return Kind.UPDATE
        case exp.Delete():
            return Kind.DELETE
        case exp.Insert():
            return Kind.INSERT
        case exp.Create() if tree.kind == "TABLE" and isinstance(tree.this, exp.Schema):
            return Kind.CREATE_TABLE
        case exp.Alter() if tree.args.get("kind") == "TABLE":
            return Kind.ALTER
    return Kind.OTHER


def _changes_type(action: exp.Expr) -> bool:
    return isinstance(action, exp.AlterColumn) and action.args.get("dtype") is not None
