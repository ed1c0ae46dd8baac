"""Statements on a table that is used as a queue: its columns, its ids in order, the payloads of some, one row's end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.sql import build

if TYPE_CHECKING:
    from ematix_core.model.table import TableName
    from ematix_core.sql.dialect import Dialect

AFTER, POSITION = "after", "position"


def shape(table: TableName, id_column: str, payload_column: str, dialect: Dialect) -> str:
    """Return the query for id and payload of no row: for their types, and to see whether they are there."""
    # Qualified: SQLite takes a quoted name that is no column for a text.
    columns = build.cols([id_column, payload_column], "t")
    query = exp.select(*columns).from_(build.table(build.placed(table, dialect), "t"))
    return build.text(query.where(exp.false()), dialect)


def ids(table: TableName, id_column: str, dialect: Dialect, *, first: bool, limit: int) -> str:
    """Return the query for ids in ascending order: the first ones, or those beyond `:after`."""
    column = build.col(id_column)
    there = exp.Not(this=build.is_null(id_column))
    beyond = [] if first else [exp.GT(this=column, expression=build.bound(AFTER))]
    query = exp.select(column).from_(build.table(build.placed(table, dialect))).where(there, *beyond).limit(limit)
    # A bare column: with NULLS FIRST or LAST, MySQL sorts by an expression, for which it has no index.
    query.set("order", exp.Order(expressions=[column]))
    return build.text(query, dialect)


def payloads(table: TableName, id_column: str, payload_column: str, dialect: Dialect, *, count: int) -> str:
    """Return the query for id and payload of the rows with the ids `:id_0`, `:id_1` and so on."""
    wanted = exp.In(this=build.col(id_column), expressions=[build.bound(parameter) for parameter in parameters(count)])
    query = exp.select(*build.cols([id_column, payload_column])).from_(build.table(build.placed(table, dialect)))
    return build.text(query.where(wanted), dialect)


def parameters(count: int) -> list[str]:
    """Return the names of the parameters of `payloads`."""
    return [f"id_{number}" for number in range(count)]


def delete(table: TableName, id_column: str, dialect: Dialect) -> str:
    """Return the statement that removes the row with the id `:position`."""
    this_one = exp.EQ(this=build.col(id_column, "t"), expression=build.bound(POSITION))
    return build.text(build.delete(build.placed(table, dialect), this_one), dialect)
