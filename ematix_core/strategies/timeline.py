"""The queries behind scd2 with `event_time`: what is stored, which keys change, their new timelines.

Only stored versions that end at or after the first staged row of their key take part; what lies before stays as it is.
So a load costs what it brings, and not what its keys have seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.model.mode import Scd2
from ematix_core.model.table import TableName
from ematix_core.sql import build
from ematix_core.strategies.plan import STAGING
from ematix_core.strategies.staging import STAGED, gone

if TYPE_CHECKING:
    from ematix_core.strategies.plan import Change

STORED = TableName("", f"{STAGING}_stored")
"""The stored versions that take part, of all keys of the load."""
AFFECTED = TableName("", f"{STAGING}_affected")
"""The keys for which a staged row changes something."""
TIMELINE = TableName("", f"{STAGING}_timeline")
"""The versions of those keys: data, `_at`, `_until`, `_kind`, what is `_there` already, what is to be done (`_write`).

Also the staged rows that are gone, if they end a version or take the place of one.
"""
STAGED_ROW, GONE_ROW, VERSION, END = 0, 1, 2, 3
"""The kinds of events. At one instant the lowest counts."""
NOTHING, NEVER, IN_FORCE = 0, 1, 2
"""What is stored at the instant of an event: no version, one that was never in force, one that was."""
KEEP, OPEN, CLOSE, CORRECT, CLOSE_AND_CORRECT = 0, 1, 2, 3, 4
"""What is written: nothing, a new version, the end of an open one, other values or another end, or both."""


def of_history(change: Change) -> Scd2:
    """Return the mode."""
    assert isinstance(change.mode, Scd2)  # noqa: S101 - the planner picks this module by the mode
    return change.mode


def has(column: str, *values: int, of: str = "") -> exp.Expr:
    """Return the condition that the column has one of the values."""
    numbers: list[exp.Expr] = [exp.Literal.number(value) for value in values]
    return exp.In(this=build.col(column, of), expressions=numbers)


def in_force(mode: Scd2, of: str) -> exp.Expr:
    """Return the condition that the stored version `of` was ever in force."""
    lasted = exp.LT(this=build.col(mode.valid_from, of), expression=build.col(mode.valid_to, of))
    return exp.paren(exp.or_(build.is_null(mode.valid_to, of), lasted))


def same_instant(change: Change, a: str, b: str, time: str) -> exp.Expr:
    """Return the condition that the stored version `a` begins when the row `b` says in its column `time`."""
    begun = exp.EQ(this=build.col(of_history(change).valid_from, a), expression=build.col(time, b))
    return exp.and_(build.same_keys(change.keys, a, b), begun)


def stored(change: Change) -> exp.Select:
    """Return the query for `STORED`."""
    mode, key = of_history(change), build.cols(change.keys)
    since = exp.alias_(exp.Min(this=build.col(str(mode.event_time))), "_since", quoted=True)
    first = exp.select(*key, since).from_(build.table(STAGED)).group_by(*key)
    reached = exp.GTE(this=build.col(mode.valid_to, "t"), expression=build.col("_since", "f"))
    return (
        exp.select(*build.cols([*change.names, mode.valid_from, mode.valid_to], "t"))
        .from_(build.table(change.target, "t"))
        .join(build.derived(first, "f"), on=build.same_keys(change.keys, "t", "f"))
        .where(exp.or_(build.is_null(mode.valid_to, "t"), reached))
    )


def affected(change: Change) -> exp.Select:
    """Return the query for `AFFECTED`: a staged row says something else than the version in force at its instant."""
    mode = of_history(change)
    at, until = build.col(str(mode.event_time), "s"), build.col(mode.valid_to, "o")
    covers = exp.and_(
        build.same_keys(change.keys, "o", "s"),
        exp.LTE(this=build.col(mode.valid_from, "o"), expression=at),
        exp.paren(exp.or_(build.is_null(mode.valid_to, "o"), exp.LT(this=at.copy(), expression=until))),
    )
    uncovered = build.is_null(change.keys[0], "o")
    news: exp.Expr = exp.or_(uncovered, build.differs(change.compare, "o", "s"))
    if mode.deleted_by:
        news = exp.Case().when(gone(mode), exp.Not(this=uncovered.copy())).else_(news)
    keys = exp.select(*build.cols(change.keys, "s")).distinct().from_(build.table(STAGED, "s"))
    return keys.join(build.table(STORED, "o"), on=covers, join_type="left").where(news)


def made(change: Change) -> exp.Select:
    """Return the query for `TIMELINE`."""
    data = [*change.names, "_at", "_kind", "_there", "_end"]
    key = build.cols(change.keys)
    first = build.ranked("row_number", [*key, build.col("_at")], [build.ascending(build.col("_kind"))])
    kept = exp.select(*build.cols(data), exp.alias_(first, "_first", quoted=True))
    kept = kept.from_(build.derived(_events(change), "e"))
    before = [
        exp.alias_(_beside(exp.Lag, column, change), f"_before_{number}", quoted=True)
        for number, column in enumerate([*change.compare, "_kind"])
    ]
    compared = exp.select(*build.cols(data), *before).from_(build.derived(kept, "k")).where(has("_first", 1))
    telling = exp.select(*build.cols(data)).from_(build.derived(compared, "c")).where(_tells(change))
    until = exp.alias_(_beside(exp.Lead, "_at", change), "_until", quoted=True)
    ended = exp.select(*build.cols(data), until).from_(build.derived(telling, "d"))
    write = exp.alias_(_write(change), "_write", quoted=True)
    lines = exp.select(*build.cols([*change.names, "_at", "_until", "_kind", "_there"]), write)
    return lines.from_(build.derived(ended, "v")).where(has("_kind", STAGED_ROW, GONE_ROW, VERSION))


def _beside(function: type[exp.Func], column: str, change: Change) -> exp.Window:
    order = exp.Order(expressions=[build.ascending(build.col("_at"))])
    return exp.Window(this=function(this=build.col(column)), partition_by=build.cols(change.keys), order=order)


def _tells(change: Change) -> exp.Expr:
    """Return the condition that an event is news: no version like the one right before it, no end of nothing."""
    last = f"_before_{len(change.compare)}"
    follows = exp.and_(exp.Not(this=build.is_null(last)), has(last, STAGED_ROW, VERSION))
    same = [
        exp.NullSafeEQ(this=build.col(column), expression=build.col(f"_before_{number}"))
        for number, column in enumerate(change.compare)
    ]
    news = exp.Not(this=exp.paren(exp.and_(has("_kind", STAGED_ROW, VERSION), follows, *same)))
    if not of_history(change).deleted_by:
        return news
    ends = exp.paren(exp.or_(has("_kind", STAGED_ROW, VERSION, END), has("_there", IN_FORCE), follows.copy()))
    return exp.and_(news, ends)


def _write(change: Change) -> exp.Expr:
    """Return what is to be done with an event of the new timelines."""
    made = exp.Case().when(exp.and_(has("_kind", STAGED_ROW), has("_there", NOTHING)), _number(OPEN))
    if change.new:
        return made.else_(_number(KEEP))
    same_end = exp.NullSafeEQ(this=build.col("_end"), expression=build.col("_until"))
    closes = exp.and_(build.is_null("_end"), exp.Not(this=build.is_null("_until")))
    corrected = exp.and_(has("_there", IN_FORCE), closes)
    return (
        made.when(exp.and_(has("_kind", STAGED_ROW), corrected), _number(CLOSE_AND_CORRECT))
        .when(has("_kind", STAGED_ROW), _number(CORRECT))
        .when(exp.or_(has("_kind", GONE_ROW), same_end), _number(KEEP))
        .when(closes.copy(), _number(CLOSE))
        .else_(_number(CORRECT))
    )


def _events(change: Change) -> exp.Query:
    """Return the query for what happens to the affected keys: data, `_at`, `_kind`, `_there`, and the stored `_end`."""
    mode = of_history(change)
    kind: exp.Expr = _number(STAGED_ROW)
    if mode.deleted_by:
        kind = exp.Case().when(gone(mode), _number(GONE_ROW)).else_(kind)
    staged = exp.select(*build.cols(change.names, "s")).from_(build.table(STAGED, "s"))
    at = build.col(str(mode.event_time), "s")
    if change.new:
        return staged.select(*_event(at, kind, _number(NOTHING), exp.null()))
    there = exp.Case().when(exp.Not(this=build.is_null(change.keys[0], "o")), _number(IN_FORCE))
    there = there.when(exp.Not(this=build.is_null(change.keys[0], "n")), _number(NEVER)).else_(_number(NOTHING))
    staged = _beside_stored(_of_affected(staged, change, "s"), change)
    until = build.col(mode.valid_to, "o")
    staged = staged.select(*_event(at, kind, there, until))
    versions = exp.select(*build.cols(change.names, "o")).from_(build.table(STORED, "o")).where(in_force(mode, "o"))
    versions = _of_affected(versions, change, "o")
    ends = versions.select(*_event(until.copy(), _number(END), _number(NOTHING), until.copy()))
    ends = ends.where(exp.Not(this=build.is_null(mode.valid_to, "o")))
    begin = build.col(mode.valid_from, "o")
    versions = versions.select(*_event(begin, _number(VERSION), _number(IN_FORCE), until.copy()))
    return staged.union(versions, distinct=False).union(ends, distinct=False)


def _beside_stored(staged: exp.Select, change: Change) -> exp.Select:
    """Join the staged rows with what is stored at their instant: `o` was in force, `n` never. Drop equal ones."""
    mode = of_history(change)
    time = str(mode.event_time)
    begun = exp.and_(same_instant(change, "o", "s", time), in_force(mode, "o"))
    never = exp.select(*build.cols([*change.keys, mode.valid_from], "o")).distinct().from_(build.table(STORED, "o"))
    never = never.where(exp.Not(this=in_force(mode, "o")))
    staged = staged.join(build.table(STORED, "o"), on=begun, join_type="left")
    staged = staged.join(build.derived(never, "n"), on=same_instant(change, "n", "s", time), join_type="left")
    differs = [build.is_null(change.keys[0], "o"), build.differs(change.compare, "o", "s")]
    return staged.where(build.either([*differs, gone(mode)] if mode.deleted_by else differs))


def _of_affected(query: exp.Select, change: Change, of: str) -> exp.Select:
    return query.join(build.table(AFFECTED, "a"), on=build.same_keys(change.keys, "a", of))


def _event(at: exp.Expr, kind: exp.Expr, there: exp.Expr, end: exp.Expr) -> list[exp.Expr]:
    named = {"_at": at, "_kind": kind, "_there": there, "_end": end}
    return [exp.alias_(value, name, quoted=True) for name, value in named.items()]


def _number(value: int) -> exp.Expr:
    return exp.Literal.number(value)
