"""The SQL of data checks: which staged rows break a check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp, parse_one
from sqlglot.errors import ParseError

from ematix_core.errors import DeclarationError
from ematix_core.sql import build

if TYPE_CHECKING:
    from ematix_core.model.check import Check
    from ematix_core.model.table import TableName
    from ematix_core.sql.dialect import Dialect

LOAD_ID, LOAD_TIME = "load_id", "load_time"
"""Parameters that the engine binds."""


def broken(check: Check, rows: TableName, dialect: Dialect) -> exp.Expr | None:
    """Return the condition that holds for rows (alias `t`) that break the check; None for checks of the whole load."""
    match check.kind:
        case "not_null":
            return build.either([build.is_null(column, "t") for column in check.columns])
        case "in_set":
            allowed = [build.literal(value) for value in check.values]
            return exp.Not(this=exp.In(this=build.col(check.columns[0], "t"), expressions=allowed))
        case "between":
            return _outside(check)
        case "sql":
            return exp.Not(this=exp.paren(_condition(check, dialect)))
        case "unique":
            return _repeated(check, rows)
    return None


def _outside(check: Check) -> exp.Expr:
    column = build.col(check.columns[0], "t")
    sides: list[exp.Expr] = []
    if check.low is not None:
        sides.append(exp.LT(this=column, expression=build.literal(check.low)))
    if check.high is not None:
        sides.append(exp.GT(this=column.copy(), expression=build.literal(check.high)))
    return build.either(sides)


def _condition(check: Check, dialect: Dialect) -> exp.Expr:
    try:
        return parse_one(check.condition, read=dialect.grammar)
    except ParseError as error:
        raise DeclarationError(
            f"check {check.name} is no condition in the SQL of {dialect.name}: {check.condition}",
            hint=str(error).splitlines()[0],
        ) from None


def _repeated(check: Check, rows: TableName) -> exp.Expr:
    doubled = exp.select(*build.cols(check.columns)).from_(build.table(rows))
    doubled = doubled.group_by(*build.cols(check.columns))
    doubled = doubled.having(exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1)))
    same = (
        exp.select(exp.Literal.number(1))
        .from_(build.derived(doubled, "d"))
        .where(build.same_keys(check.columns, "d", "t"))
    )
    return build.exists(same)


def _broken_rows(check: Check, rows: TableName, dialect: Dialect, gone: str) -> exp.Expr:
    """Return the condition of `broken` for rows that are not gone by the column of that name."""
    condition = broken(check, rows, dialect)
    assert condition is not None  # noqa: S101 - checks of the whole load are answered by `whole`
    return exp.and_(condition, exp.Not(this=build.is_true(gone, "t"))) if gone else condition


def count_broken(check: Check, rows: TableName, dialect: Dialect, *, gone: str = "") -> str:
    """Return the query for the number of rows that break the check."""
    condition = _broken_rows(check, rows, dialect, gone)
    return build.text(build.count(build.table(rows, "t")).where(condition), dialect)


def samples(
    check: Check, rows: TableName, dialect: Dialect, columns: tuple[str, ...], limit: int, *, gone: str = ""
) -> str:
    """Return the query for a few of the rows that break the check."""
    condition = _broken_rows(check, rows, dialect, gone)
    return build.text(
        exp.select(*build.cols(columns, "t")).from_(build.table(rows, "t")).where(condition).limit(limit), dialect
    )


def broken_keys(check: Check, rows: TableName, dialect: Dialect, keys: tuple[str, ...], *, gone: str = "") -> str:
    """Return the query for the keys of the rows that break the check, without NULLs."""
    condition = _broken_rows(check, rows, dialect, gone)
    found = exp.select(*build.cols(keys, "t")).from_(build.table(rows, "t")).where(condition)
    return build.text(found.where(*[exp.Not(this=build.is_null(key, "t")) for key in keys]), dialect)


def whole(check: Check, rows: TableName, dialect: Dialect) -> str:
    """Return the query for what a check of the whole load looks at: the number of rows, or the highest value."""
    if check.kind == "row_count":
        return build.text(build.count(build.table(rows)), dialect)
    highest = exp.Max(this=build.col(check.columns[0]))
    return build.text(exp.select(highest).from_(build.table(rows)), dialect)


def set_aside(
    check: Check, rows: TableName, dialect: Dialect, columns: tuple[str, ...], *, gone: str = ""
) -> tuple[str, str]:
    """Return the query for rows to quarantine and the statement that removes them from staging.

    The query gives the columns, then the check's name, `:load_id` and `:load_time`.
    """
    condition = _broken_rows(check, rows, dialect, gone)
    why = [exp.Literal.string(check.name), build.bound(LOAD_ID), build.bound(LOAD_TIME)]
    bad = exp.select(*build.cols(columns, "t"), *why).from_(build.table(rows, "t")).where(condition)
    return build.text(bad, dialect), build.text(build.delete(rows, condition.copy()), dialect)
