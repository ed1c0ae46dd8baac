"""scd2 with `event_time`: versions dated by the data, however late and in whatever order they come.

For every key with a staged row that changes something, its timeline is made anew:

1. Events are the key's stored versions (at `valid_from`), the ends of stored versions that no version follows at once
   (a close), and the staged rows (at `event_time`).
2. At one instant a staged row that differs from the stored version replaces it (a correction); a version beats a close.
3. A version whose compared columns equal those of the version right before it says nothing new and is dropped.
4. Each version lasts until the next event. A late row so splits the interval that it falls in.

The timeline is then compared with the table, and only rows that differ are written. A stored version with an empty
interval was never in force (see `scd2`) and is left alone, unless a new version begins at that instant: it takes its
place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.model.mode import Scd2
from ematix_core.model.table import TableName
from ematix_core.sql import build
from ematix_core.strategies.plan import LOAD_TIME, STAGING, Count, Execute, Insert, Require, Step, Tally
from ematix_core.strategies.staging import STAGED, indexed, unique

if TYPE_CHECKING:
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change

ROWS = TableName("", f"{STAGING}_rows")
AFFECTED = TableName("", f"{STAGING}_affected")
TIMELINE = TableName("", f"{STAGING}_timeline")
_SAMPLES = 5
_STAGED_KIND, _STORED_KIND, _CLOSE_KIND = 0, 1, 2


def checks(change: Change, dialect: Dialect) -> list[Step]:
    """Plan the checks of the staged rows: keys and event times are present, and one event has one set of values."""
    mode = _mode(change)
    time = str(mode.event_time)
    absent = exp.select(*build.cols([*change.keys, time])).from_(build.table(STAGED))
    plan: list[Step] = []
    for problem, columns in (("null_key", change.keys), ("null_event_time", (time,))):
        query = absent.where(build.either([build.is_null(c) for c in columns])).limit(_SAMPLES)
        plan.append(
            Require(
                name="check keys are present" if problem == "null_key" else "check event times are present",
                why="without it a row has no place in history", query=build.text(query, dialect),
                problem="null_key" if problem == "null_key" else "null_event_time", columns=columns,
            )
        )  # fmt: skip
    distinct = exp.select(*build.cols(change.names)).distinct().from_(build.table(STAGED))
    once = Execute(
        name="drop repeated rows", why="the same event twice is one event",
        sql=build.text(build.create_as(ROWS, distinct, dialect), dialect),
    )  # fmt: skip
    return [
        *plan,
        once,
        unique([*change.keys, time], ROWS, dialect, "a key cannot have two versions at one instant"),
    ]


def steps(change: Change, dialect: Dialect) -> list[Step]:
    """Plan the new timelines and the writes that bring the table to them."""
    plan: list[Step] = [
        Execute(
            name="find affected keys", why="keys for which a staged row changes something",
            sql=build.text(build.create_as(AFFECTED, _affected(change), dialect), dialect),
        ),
        *indexed(AFFECTED, change.keys, dialect),
        Execute(
            name="make timelines", why="stored versions, closes and staged rows in the order of their event time",
            sql=build.text(build.create_as(TIMELINE, _timeline(change), dialect), dialect),
        ),
        *indexed(TIMELINE, change.keys, dialect),
        Tally(
            name="count", why="staged rows that begin a version", counts=Count.APPLIED,
            query=build.text(_begun(), dialect),
        ),
    ]  # fmt: skip
    if not change.new:
        plan += _rewrite(change, dialect)
    plan.append(_insert(change, dialect))
    return plan


def cleanup(dialect: Dialect) -> list[Step]:
    """Return the steps that drop the work tables."""
    return [
        Execute(name="drop work table", why="done", sql=build.text(build.drop(made), dialect))
        for made in (ROWS, AFFECTED, TIMELINE)
    ]


def begun(change: Change, staged: str) -> exp.Expr:
    """Return the condition that the staged row (by its alias) begins a version of the new timelines."""
    same_time = exp.EQ(this=build.col("_at", "l"), expression=build.col(str(_mode(change).event_time), staged))
    of_row = exp.EQ(this=build.col("_kind", "l"), expression=exp.Literal.number(_STAGED_KIND))
    line = exp.select(exp.Literal.number(1)).from_(build.table(TIMELINE, "l"))
    return build.exists(line.where(build.same_keys(change.keys, "l", staged), same_time, of_row))


def _begun() -> exp.Select:
    staged = exp.EQ(this=build.col("_kind"), expression=exp.Literal.number(_STAGED_KIND))
    return build.count(build.table(TIMELINE)).where(staged)


def _mode(change: Change) -> Scd2:
    assert isinstance(change.mode, Scd2)  # noqa: S101 - the planner picks this module by the mode
    return change.mode


def _affected(change: Change) -> exp.Select:
    mode = _mode(change)
    time = str(mode.event_time)
    keys = exp.select(*build.cols(change.keys, "s")).distinct().from_(build.table(ROWS, "s"))
    if change.new:
        return keys
    at, since, until = build.col(time, "s"), build.col(mode.valid_from, "t"), build.col(mode.valid_to, "t")
    covering = exp.select(exp.Literal.number(1)).from_(build.table(change.target, "t"))
    covering = covering.where(
        build.same_keys(change.keys, "t", "s"),
        exp.LTE(this=since, expression=at),
        exp.paren(exp.or_(build.is_null(mode.valid_to, "t"), exp.LT(this=at.copy(), expression=until))),
        exp.Not(this=build.differs(change.compare, "t", "s")),
    )
    return keys.where(build.not_exists(covering))


def _timeline(change: Change) -> exp.Select:
    """Return the query for the affected keys' versions: data columns, `_at`, `_until`, `_kind`."""
    data = list(change.names)
    key = build.cols(change.keys)
    events = _events(change)
    first = build.ranked("row_number", [*key, build.col("_at")], [build.ascending(build.col("_kind"))])
    kept = exp.select(*build.cols([*data, "_at", "_kind"]), exp.alias_(first, "_first", quoted=True))
    kept = kept.from_(build.derived(events, "e"))
    repeated: list[exp.Expr] = []
    named: list[exp.Expr] = [*build.cols([*data, "_at", "_kind"])]
    for number, column in enumerate([*change.compare, "_kind"]):
        named.append(exp.alias_(_beside(exp.Lag, column, change), f"_before_{number}", quoted=True))
    for number, column in enumerate(change.compare):
        before = build.col(f"_before_{number}")
        repeated.append(exp.NullSafeEQ(this=build.col(column), expression=before))
    close = exp.Literal.number(_CLOSE_KIND)
    previous = build.col(f"_before_{len(change.compare)}")
    compared = exp.select(*named).from_(build.derived(kept, "k"))
    compared = compared.where(exp.EQ(this=build.col("_first"), expression=exp.Literal.number(1)))
    is_version = exp.NEQ(this=build.col("_kind"), expression=close)
    follows_version = exp.and_(
        exp.Not(this=exp.Is(this=previous, expression=exp.null())),
        exp.NEQ(this=previous.copy(), expression=close.copy()),
    )
    says_nothing = exp.paren(exp.and_(is_version, follows_version, *repeated))
    telling = exp.select(*build.cols([*data, "_at", "_kind"])).from_(build.derived(compared, "c"))
    telling = telling.where(exp.Not(this=says_nothing))
    ended = exp.select(*build.cols([*data, "_at", "_kind"]))
    ended = ended.select(exp.alias_(_beside(exp.Lead, "_at", change), "_until", quoted=True)).from_(
        build.derived(telling, "d")
    )
    versions = exp.select(*build.cols([*data, "_at", "_until", "_kind"])).from_(build.derived(ended, "v"))
    return versions.where(is_version.copy())


def _beside(function: type[exp.Func], column: str, change: Change) -> exp.Window:
    order = exp.Order(expressions=[build.ascending(build.col("_at"))])
    return exp.Window(this=function(this=build.col(column)), partition_by=build.cols(change.keys), order=order)


def _events(change: Change) -> exp.Query:
    mode = _mode(change)
    time = str(mode.event_time)
    data = list(change.names)
    affected = exp.select(exp.Literal.number(1)).from_(build.table(AFFECTED, "a"))
    staged = exp.select(*build.cols(data, "s"), *_at(build.col(time, "s"), _STAGED_KIND)).from_(build.table(ROWS, "s"))
    staged = staged.where(build.exists(affected.where(build.same_keys(change.keys, "a", "s"))))
    if change.new:
        return staged
    in_force = exp.paren(
        exp.or_(
            build.is_null(mode.valid_to, "t"),
            exp.LT(this=build.col(mode.valid_from, "t"), expression=build.col(mode.valid_to, "t")),
        )
    )
    of_key = build.exists(affected.where(build.same_keys(change.keys, "a", "t")))
    stored_data = [*build.cols(data[:-1], "t"), build.col(mode.row_hash, "t")]
    stored = exp.select(*stored_data, *_at(build.col(mode.valid_from, "t"), _STORED_KIND))
    stored = stored.from_(build.table(change.target, "t")).where(of_key, in_force)
    same = exp.select(exp.Literal.number(1)).from_(build.table(change.target, "t"))
    same = same.where(
        build.same_keys(change.keys, "t", "s"),
        exp.EQ(this=build.col(mode.valid_from, "t"), expression=build.col(time, "s")),
        in_force.copy(),
        exp.Not(this=build.differs(change.compare, "t", "s")),
    )
    staged = staged.where(build.not_exists(same))
    closes = exp.select(*stored_data, *_at(build.col(mode.valid_to, "t"), _CLOSE_KIND))
    closes = closes.from_(build.table(change.target, "t")).where(
        of_key.copy(), in_force.copy(), exp.Not(this=build.is_null(mode.valid_to, "t"))
    )
    return staged.union(stored, distinct=False).union(closes, distinct=False)


def _at(time: exp.Expr, kind: int) -> list[exp.Expr]:
    return [exp.alias_(time, "_at", quoted=True), exp.alias_(exp.Literal.number(kind), "_kind", quoted=True)]


def _match(change: Change, a: str, timeline: str) -> exp.Expr:
    mode = _mode(change)
    same_start = exp.EQ(this=build.col(mode.valid_from, a), expression=build.col("_at", timeline))
    return exp.and_(build.same_keys(change.keys, a, timeline), same_start)


def _rewrite(change: Change, dialect: Dialect) -> list[Step]:
    mode = _mode(change)
    timeline = build.table(TIMELINE, "s")
    there = exp.select(exp.Literal.number(1)).from_(timeline).where(_match(change, "t", "s"))
    of_key = exp.select(exp.Literal.number(1)).from_(build.table(AFFECTED, "a"))
    lasted = exp.paren(
        exp.or_(
            build.is_null(mode.valid_to, "t"),
            exp.LT(this=build.col(mode.valid_from, "t"), expression=build.col(mode.valid_to, "t")),
        )
    )
    gone = exp.and_(build.exists(of_key.where(build.same_keys(change.keys, "a", "t"))), lasted, build.not_exists(there))
    ends = exp.and_(
        _match(change, "t", "s"), build.is_null(mode.valid_to, "t"), exp.Not(this=build.is_null("_until", "s"))
    )
    close = build.update_from(
        change.target, {mode.valid_to: build.col("_until", "s"), mode.is_current: exp.false()},
        source=timeline.copy(), where=ends,
    )  # fmt: skip
    other_end = exp.NullSafeNEQ(this=build.col(mode.valid_to, "t"), expression=build.col("_until", "s"))
    differs = exp.paren(exp.or_(build.differs(change.compare, "t", "s"), other_end))
    values: dict[str, exp.Expr] = {c: build.col(c, "s") for c in change.names[:-1] if c not in change.keys}
    values |= {
        mode.valid_to: build.col("_until", "s"), mode.is_current: build.is_null("_until", "s"),
        mode.row_hash: build.col(change.names[-1], "s"),
    }  # fmt: skip
    correct = build.update_from(
        change.target, values, source=timeline.copy(), where=exp.and_(_match(change, "t", "s"), differs)
    )
    return [
        Execute(
            name="remove absorbed versions", why="an earlier version now says the same",
            sql=build.text(build.delete(change.target, gone), dialect), counts=Count.DELETED,
        ),
        Execute(
            name="close versions", why="a later version follows", sql=build.text(close, dialect), counts=Count.CLOSED
        ),
        Execute(
            name="correct versions", why="other values for the same instant, or an interval that was split",
            sql=build.text(correct, dialect), counts=Count.UPDATED,
        ),
    ]  # fmt: skip


def _insert(change: Change, dialect: Dialect) -> Insert:
    mode = _mode(change)
    current = exp.Case().when(build.is_null("_until", "s"), exp.true()).else_(exp.false())
    tail: list[exp.Expr] = [
        build.col("_at", "s"), build.col("_until", "s"), current, build.col(change.names[-1], "s"),
    ]  # fmt: skip
    tail += [build.bound(LOAD_TIME)] if mode.ttl else []
    query = exp.select(*build.cols(change.names[:-1], "s"), *tail).from_(build.table(TIMELINE, "s"))
    if not change.new:
        there = exp.select(exp.Literal.number(1)).from_(build.table(change.target, "t"))
        query = query.where(build.not_exists(there.where(_match(change, "t", "s"))))
    return Insert(
        name="open versions", why="versions that the table lacks", table=change.target,
        columns=(*change.names[:-1], *mode.history_columns()), query=build.text(query, dialect),
        parameters=(LOAD_TIME,) if mode.ttl else (), counts=Count.INSERTED,
    )  # fmt: skip
