"""Queries that show one table row by row, so that any part of the table gives its part of the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Functions are left out, but for these: which ones aggregate differs from system to system, and users add their own.
_ROWWISE = (
    exp.Alias, exp.Between, exp.Binary, exp.Boolean, exp.Case, exp.Cast, exp.Coalesce, exp.Column, exp.DataType,
    exp.DataTypeParam, exp.Identifier, exp.If, exp.In, exp.Literal, exp.Null, exp.Placeholder, exp.Star, exp.Unary,
)  # fmt: skip
_CLAUSES = frozenset({"expressions", "from_", "where"})


def only_table(sql: str, grammar: str, *, without: Sequence[str] = ()) -> str | None:
    """Return the unqualified name of the one table of `SELECT columns FROM table [WHERE condition]`, else None.

    None also for what such a query may not have in it: subqueries, aggregates, most functions, DISTINCT, ORDER BY,
    LIMIT, a column whose name is one of `without` (lower case), and text that cannot be parsed.
    """
    try:
        query = sqlglot.parse_one(sql, read=grammar)
    except SqlglotError:
        return None
    return shows_rows_of(query, without=without) if isinstance(query, exp.Select) else None


def shows_rows_of(query: exp.Select, *, without: Sequence[str] = ()) -> str | None:
    """Return for a query that is parsed what `only_table` does."""
    if not _set(query) <= _CLAUSES or not query.args.get("from_"):
        return None
    where = query.args.get("where")
    for part in [*query.expressions, *([where.this] if where else [])]:
        for node in part.walk():
            if not isinstance(node, _ROWWISE) or (isinstance(node, exp.Column) and node.name.lower() in without):
                return None
    return _plain_name(query.args["from_"].this)


def _plain_name(table: exp.Expr) -> str | None:
    plain = isinstance(table, exp.Table) and _set(table) <= {"this", "alias"}
    return table.name if plain and isinstance(table.this, exp.Identifier) else None  # else a table-valued function


def _set(node: exp.Expr) -> set[str]:
    return {name for name, value in node.args.items() if value}
