"""Loads of rows that the target's session reads by itself, in a system that makes tables of queries.

A new table is made of the rows at once. Into a table that is there, merge and scd2 hold the rows while they are read:
staging has the key of every row, but values only of those that differ, and says of each what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.sql import build
from ematix_core.sql.shape import SOURCE
from ematix_core.strategies import staging
from ematix_core.strategies.plan import Count, Execute, Make, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.model.table import Column, TableName
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change, Unique

NEW = "_ematix_new"
"""Column of such staging: TRUE for a key that the target lacks, FALSE for a row that differs, NULL for an equal one."""


def make(change: Change, dialect: Dialect) -> list[Step]:
    """Return the steps that make the target of the rows."""
    return [_make(change, dialect, {}, ()), *_required(change, dialect)]


def make_keyed(
    change: Change, dialect: Dialect, values: Mapping[str, exp.Expr], parameters: Sequence[str] = ()
) -> list[Step]:
    """Return the steps that make the target of the rows `s`, all of which have their keys.

    `values` are those of columns that do not arrive. What keeps the keys unique comes last: see `keys_by_index`.
    """
    mode = change.mode
    plan: list[Step] = [_make(change, dialect, values, parameters)]
    plan.append(staging.no_null_keys(change.keys, change.target, dialect))
    if staging.deletes(change):
        plan += staging.refuse_empty(change.target, dialect, allow_empty=getattr(mode, "allow_empty", False))
    return [*plan, *_required(change, dialect)]


def _make(change: Change, dialect: Dialect, values: Mapping[str, exp.Expr], parameters: Sequence[str]) -> Make:
    selected = [
        exp.alias_(exp.Cast(this=values[c.name], to=_type(dialect, c)), c.name, quoted=True)
        if c.name in values
        else build.col(c.name, "s")
        for c in change.made
    ]
    query = exp.select(*selected).from_(_source())
    return Make(
        name="create table", why=f"{change.target} does not exist; the rows go straight into it",
        table=change.target, columns=change.arriving, query=build.text(query, dialect),
        parameters=tuple(parameters), counts=Count.INSERTED,
    )  # fmt: skip


def _required(change: Change, dialect: Dialect) -> list[Step]:
    required = [column.name for column in change.made if not column.nullable]
    if not required:
        return []
    actions = [exp.AlterColumn(this=build.name(column), allow_null=False) for column in required]
    alter = build.text(exp.Alter(this=build.table(change.target), kind="TABLE", actions=actions), dialect)
    return [Execute(name="require values", why=f"{', '.join(required)}: NOT NULL", sql=alter)]


def keys_by_index(change: Change, dialect: Dialect, sql: str) -> Unique:
    """Return the step that makes the unique index of a table just made, and so finds keys that came twice."""
    return staging.unique_by(sql, change.keys, change.target, dialect, "its index, which later loads need, says so")


def compares(change: Change) -> bool:
    """Say whether rows are held against the target while they are read. Its keys are unique, so no row comes twice."""
    several = any(getattr(change.mode, option, None) for option in ("order_by", "event_time", "deleted_by"))
    return change.inside and not (change.new or change.staged or several) and change.unique_keys


def compared(change: Change, dialect: Dialect, *, current: str = "") -> tuple[TableName, list[Step]]:
    """Return staging and the steps that fill and check it. `current`: only rows of the target where that is true."""
    match = build.same_keys(change.keys, "t", "s")
    match = exp.and_(match, build.col(current, "t")) if current else match
    new = exp.Case().when(build.is_null(change.keys[0], "t"), exp.true())
    new = new.when(build.differs(change.compare, "t", "s"), exp.false())
    names = [column.name for column in change.arriving]
    rows = exp.select(*build.cols(names, "s"), exp.alias_(new, NEW, quoted=True)).from_(_source())
    rows = rows.join(build.table(change.target, "t"), on=match, join_type="left")
    # OFFSET 0 keeps the planner from comparing anew for each column that is taken or not.
    differing = build.derived(rows.offset(0), "s")
    kept = [build.col(n, "s") if n in change.keys else _if_differs(n) for n in names]
    query = exp.select(*kept, build.col(NEW, "s")).from_(differing)
    fill = Make(
        name="stage rows", why="all keys, and the values of rows that differ from the target's or are new",
        table=staging.STAGED, columns=change.arriving, query=build.text(query, dialect), temporary=True,
        counts=Count.STAGED,
    )  # fmt: skip
    return staging.STAGED, [fill, *staging.checked(change.keys, staging.STAGED, dialect)]


def is_new() -> exp.Expr:
    """Return the condition that the target lacks the key of the staged row `s`."""
    return build.col(NEW, "s")


def is_changed() -> exp.Expr:
    """Return the condition that the staged row `s` differs from the target's."""
    return exp.Not(this=build.col(NEW, "s"))


def is_either() -> exp.Expr:
    """Return the condition that the staged row `s` is new or differs."""
    return exp.Not(this=build.is_null(NEW, "s"))


def _if_differs(column: str) -> exp.Expr:
    return exp.alias_(exp.Case().when(is_either(), build.col(column, "s")), column, quoted=True)


def _source() -> exp.Expr:
    return exp.alias_(exp.Table(this=build.name(SOURCE)), "s", table=True, quoted=True)


def _type(dialect: Dialect, column: Column) -> exp.Var:
    return exp.Var(this=dialect.sql_type(column.type, column=column.name))
