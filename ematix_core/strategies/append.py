"""append: add every row; after an earlier incremental load, only rows that are not in the target yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.sql import build
from ematix_core.strategies import inside, staging
from ematix_core.strategies.plan import SINCE, Count, Fill, Insert, Step

if TYPE_CHECKING:
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change


def steps(change: Change, dialect: Dialect) -> list[Step]:
    """Plan the load. Straight into the target unless rows must be looked at first."""
    if change.made:
        return inside.make(change, dialect)
    if not change.staged and not change.since:
        return [
            Fill(
                name="load rows", why="append without staging: nothing has to be compared", table=change.target,
                columns=change.columns, counts=Count.INSERTED,
            )
        ]  # fmt: skip
    query, parameters = _fresh(change, dialect) if change.since else (_all(change), ())
    why = f"rows at the last {change.since!r} may be there already" if change.since else "the staged rows are checked"
    apply = Insert(
        name="append", why=why, table=change.target, columns=change.names, query=build.text(query, dialect),
        parameters=parameters, counts=Count.INSERTED,
    )  # fmt: skip
    return [staging.fill(change), apply, *staging.cleanup(change, staging.STAGED, dialect)]


def _all(change: Change) -> exp.Select:
    return exp.select(*build.cols(change.names)).from_(build.table(staging.STAGED))


def _fresh(change: Change, dialect: Dialect) -> tuple[exp.Query, tuple[str, ...]]:
    """Return the query for staged rows that the target lacks, among its rows at or above the last watermark.

    By key and watermark where the table has a key (a row that changed since is a new one); else by the whole row,
    counting how often each is there, so that equal rows which really came twice stay twice.
    """
    above = exp.GTE(this=build.col(change.since, "t"), expression=build.bound(SINCE))
    if change.keys:
        same_mark = exp.EQ(this=build.col(change.since, "t"), expression=build.col(change.since, "s"))
        there = (
            exp.select(exp.Literal.number(1))
            .from_(build.table(change.target, "t"))
            .where(build.same_keys(change.keys, "t", "s"), same_mark, above)
        )
        fresh = exp.select(*build.cols(change.names, "s")).from_(build.table(staging.STAGED, "s"))
        return fresh.where(build.not_exists(there)), (SINCE,)
    return (_joined(change, above) if dialect.joins_null_safe else _sorted(change, above)), (SINCE,)


def _joined(change: Change, above: exp.Expr) -> exp.Query:
    names = list(change.names)
    tail = (
        exp.select(*build.cols(names, "t"), exp.alias_(exp.Count(this=exp.Star()), "_times", quoted=True))
        .from_(build.table(change.target, "t"))
        .where(above)
        .group_by(*build.cols(names, "t"))
    )
    match = build.same_values(names, "s", "p")
    present = build.derived(tail, "p")
    new = exp.select(*build.cols(names, "s")).from_(build.table(staging.STAGED, "s"))
    new = new.where(build.not_exists(exp.select(exp.Literal.number(1)).from_(present).where(match)))
    number = build.ranked("row_number", build.cols(names, "s"), build.cols(names[:1], "s"))
    numbered = (
        exp.select(*build.cols(names, "s"), exp.alias_(number, "_number", quoted=True), build.col("_times", "p"))
        .from_(build.table(staging.STAGED, "s"))
        .join(present.copy(), on=match.copy())
    )
    again = exp.select(*build.cols(names, "n")).from_(build.derived(numbered, "n"))
    again = again.where(exp.GT(this=build.col("_number", "n"), expression=build.col("_times", "n")))
    return new.union(again, distinct=False)


def _sorted(change: Change, above: exp.Expr) -> exp.Query:
    """Return the same rows by one sort: among equal rows those of the target come first and cancel as many staged ones.

    A staged row that follows `_times` rows of the target is fresh when its number is above twice that.
    """
    names = list(change.names)
    zero, one = exp.Literal.number(0), exp.Literal.number(1)
    there = exp.select(*build.cols(names, "t"), exp.alias_(zero, "_staged", quoted=True))
    there = there.from_(build.table(change.target, "t")).where(above)
    staged = exp.select(*build.cols(names, "s"), exp.alias_(one, "_staged", quoted=True))
    staged = staged.from_(build.table(staging.STAGED, "s"))
    number = build.ranked("row_number", build.cols(names, "b"), [build.col("_staged", "b")])
    absent = exp.Sub(this=one.copy(), expression=build.col("_staged", "b"))
    times = exp.Window(this=exp.Sum(this=absent), partition_by=build.cols(names, "b"))
    numbered = exp.select(
        *build.cols([*names, "_staged"], "b"), exp.alias_(number, "_number", quoted=True),
        exp.alias_(times, "_times", quoted=True),
    ).from_(build.derived(there.union(staged, distinct=False), "b"))  # fmt: skip
    beyond = exp.Mul(this=exp.Literal.number(2), expression=build.col("_times", "n"))
    fresh = exp.select(*build.cols(names, "n")).from_(build.derived(numbered, "n"))
    return fresh.where(
        exp.EQ(this=build.col("_staged", "n"), expression=one.copy()),
        exp.GT(this=build.col("_number", "n"), expression=beyond),
    )
