"""A column of the rows that is carried through the user's query, although the query does not ask for it."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


def carrying(sql: str, table: str, column: str) -> str | None:
    """Return the query with `column` of `table` among what it selects; None for one that gives no row of it a row.

    That is one with groups, DISTINCT, LIMIT, or several SELECTs, one that is not FROM the table itself, one that
    selects the column already, and text that cannot be parsed. Aggregates without a GROUP BY are not all known here:
    then the database refuses what is returned. The SQL is DuckDB's.
    """
    try:
        query = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return None
    if not isinstance(query, exp.Select) or any(query.args.get(name) for name in ("group", "distinct", "limit")):
        return None
    names = [one.alias_or_name.lower() for one in query.expressions]
    if column.lower() in names or query.is_star or any(part.find(exp.AggFunc) for part in query.expressions):
        return None
    joined = [query.args.get("from_"), *(query.args.get("joins") or [])]
    known = [one.this for one in joined if one is not None and isinstance(one.this, exp.Table)]
    found = [one for one in known if one.name.lower() == table.lower()]
    if len(found) != 1:
        return None
    return query.select(exp.column(column, table=found[0].alias_or_name)).sql(dialect="duckdb")
