"""Of which row of a table each row of a query's result is, and for which rows the query fails; in DuckDB's SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CLAUSES = frozenset({"expressions", "from_", "joins", "where"})
_OF_SEVERAL_ROWS = (exp.AggFunc, exp.Query, exp.TableSample, exp.Unnest, exp.Window)


def tracing(sql: str, table: str, number: str) -> str | None:
    """Return the query with `number`, a column of `table`, among what it selects.

    None for a query that does not treat each row of the table by itself: one with groups, DISTINCT, ORDER BY, LIMIT,
    windows or subqueries, one that is not FROM the table, and text that cannot be parsed. Aggregates of the user's are
    not known here: then the database refuses what is returned.
    """
    query, name = _row_by_row(sql, table)
    if query is None:
        return None
    return sql if query.is_star else query.select(exp.column(number, table=name)).sql(dialect="duckdb")


def failing(sql: str, table: str, number: str) -> str | None:
    """Return a query for `number`, a column of `table`, in those rows for which the query seems to fail.

    A row is told when something that is computed of it fails, or gives NULL though none of its columns is NULL:
    `TRY` says so, https://duckdb.org/docs/current/sql/expressions/try. So it may tell good rows, too, and not all that
    are bad. None where `tracing` gives none, and for a query that computes nothing.
    """
    query, name = _row_by_row(sql, table)
    if query is None:
        return None
    wanted = [_fails(value) for value in _computed(query.expressions)]
    if (where := query.args.get("where")) is not None:
        reached = _try(where.this)  # what a row is left out by is computed first
        wanted = [*map(_fails, _computed([where.this])), *(exp.and_(reached.copy(), each) for each in wanted)]
    if not wanted:
        return None
    told = exp.select(exp.column(number, table=name)).distinct().where(exp.or_(*wanted))
    for clause in ("from_", "joins"):
        told.set(clause, query.args.get(clause))
    return told.sql(dialect="duckdb")


def _row_by_row(sql: str, table: str) -> tuple[exp.Select | None, str]:
    """Return the query, and what it calls the table; None and "" where its rows do not stand each by itself."""
    try:
        query = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return None, ""
    if not isinstance(query, exp.Select) or not {name for name, value in query.args.items() if value} <= _CLAUSES:
        return None, ""
    if any(node is not query for node in query.find_all(*_OF_SEVERAL_ROWS)):
        return None, ""
    joined = [query.args.get("from_"), *(query.args.get("joins") or [])]
    tables = [one.this for one in joined if one is not None and isinstance(one.this, exp.Table)]
    found = [one.alias_or_name for one in tables if one.name.lower() == table.lower()]
    return (query, found[0]) if len(found) == 1 else (None, "")


def _computed(parts: Sequence[exp.Expr]) -> Iterator[exp.Expr]:
    """Yield what is computed of a row, also in place of a column of `*`."""
    for part in parts:
        star = part.this if isinstance(part, exp.Column) else part
        if isinstance(star, exp.Star):
            yield from (one.unalias() for one in star.args.get("replace") or [])
        elif not isinstance(part.unalias(), exp.Column | exp.Literal):
            yield part.unalias()


def _fails(value: exp.Expr) -> exp.Expr:
    columns = {column.sql(dialect="duckdb"): column for column in value.find_all(exp.Column)}
    given = [exp.not_(exp.Is(this=column.copy(), expression=exp.null())) for column in columns.values()]
    return exp.and_(exp.Is(this=_try(value), expression=exp.null()), *given)


def _try(value: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="TRY", expressions=[value.copy()])
