"""scd2: one row a version, half-open intervals, one current row a key.

Without `event_time` a version is dated by the load: a staged row that differs from its key's current version closes
it and opens a new one. With `event_time` the data dates the versions; see `history`.

Rows that are gone (`deleted_by`) close their key. Both then close what the load lacks (`deletes="close"`) and what no
load has brought for `ttl`. A key that comes back after such a close opens a new version. Applying the same rows again
changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.errors import UnsupportedError
from ematix_core.model.mode import Scd2
from ematix_core.sql import build
from ematix_core.sql.dialect import Upsert
from ematix_core.strategies import history, inside, staging
from ematix_core.strategies.plan import LOAD_TIME, TTL_LIMIT, Count, Execute, Insert, Step, Tally

if TYPE_CHECKING:
    from ematix_core.model.table import TableName
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change


def steps(change: Change, dialect: Dialect) -> list[Step]:
    """Plan the load. Raises UnsupportedError for systems that cannot update rows."""
    mode = _mode(change)
    if dialect.upsert is Upsert.NONE:
        raise UnsupportedError(f"{dialect.name}: scd2 needs updates, which it does not have")
    if change.made:
        opened = _history(change, mode, build.bound(LOAD_TIME))
        return inside.make_keyed(
            change, dialect, dict(zip(mode.history_columns(), opened, strict=True)), parameters=(LOAD_TIME,)
        )
    compares = inside.compares(change)
    if compares:
        rows, plan = inside.compared(change, dialect, current=mode.is_current)
    elif mode.event_time:
        rows = staging.STAGED
        plan = [*staging.aside(change, dialect), staging.fill(change), *history.checks(change, dialect)]
    else:
        rows, prepared = staging.keyed_rows(change, dialect, mode.order_by)
        plan = [*staging.aside(change, dialect), staging.fill(change), *prepared]
    if mode.deletes == "close":
        plan += staging.refuse_empty(rows, dialect, allow_empty=mode.allow_empty)
    plan += staging.target_unique(change, rows, dialect, current=mode.is_current)
    if mode.event_time:
        plan += history.steps(change, dialect)
    else:
        plan += _by_load_time(change, mode, rows, dialect, compares=compares)
    if not change.new:
        plan += _close_missing(change, mode, rows, dialect)
        plan += _expire(change, mode, rows, dialect)
    if mode.event_time:
        plan += history.cleanup(change, dialect)
    return [*plan, *staging.cleanup(change, rows, dialect)]


def _mode(change: Change) -> Scd2:
    assert isinstance(change.mode, Scd2)  # noqa: S101 - the planner picks this module by the mode
    return change.mode


def _by_load_time(change: Change, mode: Scd2, rows: TableName, dialect: Dialect, *, compares: bool) -> list[Step]:
    current = exp.and_(build.same_keys(change.keys, "t", "s"), build.col(mode.is_current, "t"))
    newer = staging.not_older(change, mode.order_by)
    alive = staging.alive(mode)
    staged = build.table(rows, "s")
    parts, in_part = staging.parted(change, rows, dialect), staging.in_part(change, rows, dialect)
    there = exp.and_(current, *in_part)
    plan: list[Step] = []
    if not change.new and mode.deleted_by:
        ended = exp.and_(there, staging.gone(mode), *newer)
        why = f"keys whose {mode.deleted_by!r} is true"
        plan.append(replace(_close(change, dialect, ended, why, source=staged), applies=True, parts_of=parts))
    if not change.new and change.compare:
        differs = inside.is_changed() if compares else build.differs(change.compare, "t", "s")
        changed = exp.and_(there.copy(), differs, *(each.copy() for each in (*newer, *alive)))
        close = _close(change, dialect, changed, "versions whose compared columns differ", source=staged.copy())
        plan.append(replace(close, parts_of=parts))
    query = exp.select(*_opened(change, mode, build.bound(LOAD_TIME))).from_(build.table(rows, "s"))
    if compares:
        query = query.where(inside.is_either())
    elif not change.new:
        known = exp.select(exp.Literal.number(1)).from_(build.table(change.target, "t")).where(current)
        query = query.where(build.not_exists(known), *in_part)
    query = query.where(*alive)
    opened = _open(change, mode, query, dialect, "keys without a current version: new, changed or back again")
    return [*plan, replace(opened, parts_of=None if compares or change.new else parts)]


def _close_missing(change: Change, mode: Scd2, rows: TableName, dialect: Dialect) -> list[Step]:
    plan: list[Step] = []
    if mode.event_time and (mode.deletes == "close" or mode.ttl):
        plan += _reopen(change, mode, dialect)
    if mode.deletes != "close":
        return plan
    gone = staging.missing(change, rows)
    why = "deletes='close': keys that the load lacks"
    return [*plan, _close(change, dialect, exp.and_(build.col(mode.is_current, "t"), gone), why)]


def _reopen(change: Change, mode: Scd2, dialect: Dialect) -> list[Step]:
    """Open a version now for keys that were closed and are in this load, with the latest staged values."""
    assert mode.event_time  # noqa: S101 - only called with event time
    position = build.ranked("row_number", build.cols(change.keys), [build.descending(build.col(mode.event_time))])
    latest = exp.select(*build.cols(change.names), exp.alias_(position, "_rank", quoted=True))
    latest = latest.from_(build.table(staging.STAGED))
    current = exp.select(exp.Literal.number(1)).from_(build.table(change.target, "t"))
    current = current.where(build.same_keys(change.keys, "t", "s"), build.col(mode.is_current, "t"))
    back = exp.and_(exp.EQ(this=build.col("_rank", "s"), expression=exp.Literal.number(1)), build.not_exists(current))
    rows = build.derived(latest, "s")
    query = exp.select(*_opened(change, mode, _after_all(change, mode))).from_(rows).where(back)
    more = build.count(rows.copy()).where(back.copy(), exp.Not(this=history.begun(change, "s")))
    return [
        Tally(
            name="count", why="staged rows that reopen their key and begin no version otherwise",
            query=build.text(more, dialect), counts=Count.APPLIED,
        ),
        _open(change, mode, query, dialect, "keys that were closed and came back"),
    ]  # fmt: skip


def _after_all(change: Change, mode: Scd2) -> exp.Expr:
    """Return the load's time, or the end of the key's last version if that lies beyond it: dated in the future."""
    last = exp.select(exp.Max(this=build.col(mode.valid_to, "t"))).from_(build.table(change.target, "t"))
    ended = exp.paren(last.where(build.same_keys(change.keys, "t", "s")))
    later = exp.GT(this=ended, expression=build.bound(LOAD_TIME))
    return exp.Case().when(later, ended.copy()).else_(build.bound(LOAD_TIME))


def _expire(change: Change, mode: Scd2, rows: TableName, dialect: Dialect) -> list[Step]:
    if mode.ttl is None:
        return []
    seen = exp.and_(build.same_keys(change.keys, "t", "s"), build.col(mode.is_current, "t"))
    staged = exp.select(exp.Literal.number(1)).from_(build.table(rows, "s")).where(seen)
    mark = build.update_from(
        change.target, {mode.last_seen: build.bound(LOAD_TIME)}, source=None, where=build.exists(staged)
    )
    old = exp.LT(this=build.col(mode.last_seen, "t"), expression=build.bound(TTL_LIMIT))
    expired = exp.and_(build.col(mode.is_current, "t"), old)
    return [
        Execute(
            name="note who was seen", why="ttl counts from the last load that brought the key",
            sql=build.text(mark, dialect), parameters=(LOAD_TIME,),
        ),
        _close(change, dialect, expired, f"ttl: not seen for {mode.ttl}", extra=(TTL_LIMIT,)),
    ]  # fmt: skip


def _opened(change: Change, mode: Scd2, since: exp.Expr) -> list[exp.Expr]:
    """Return the select list of a version that begins at `since` and is current, in the order of `_columns`."""
    return [*build.cols(change.names[:-1], "s"), *_history(change, mode, since)]


def _history(change: Change, mode: Scd2, since: exp.Expr) -> list[exp.Expr]:
    row_hash = build.verbatim(change.hashed) if change.hashed else build.col(change.names[-1], "s")
    return [since, exp.null(), exp.true(), row_hash, *([build.bound(LOAD_TIME)] if mode.ttl else [])]


def _open(change: Change, mode: Scd2, query: exp.Select, dialect: Dialect, why: str) -> Insert:
    return Insert(
        name="open versions", why=why, table=change.target, columns=(*change.names[:-1], *mode.history_columns()),
        query=build.text(query, dialect), parameters=(LOAD_TIME,), counts=Count.INSERTED,
    )  # fmt: skip


def _close(
    change: Change, dialect: Dialect, where: exp.Expr, why: str, *, source: exp.Expr | None = None,
    extra: tuple[str, ...] = (),
) -> Execute:  # fmt: skip
    """Return the step that ends versions now; one dated in the future ends where it begins, as never in force."""
    mode = _mode(change)
    begun = exp.LT(this=build.col(mode.valid_from, "t"), expression=build.bound(LOAD_TIME))
    until = exp.Case().when(begun, build.bound(LOAD_TIME)).else_(build.col(mode.valid_from, "t"))
    values = {mode.valid_to: until, mode.is_current: exp.false()}
    statement = build.update_from(change.target, values, source=source, where=where)
    return Execute(
        name="close versions", why=why, sql=build.text(statement, dialect), parameters=(LOAD_TIME, *extra),
        counts=Count.CLOSED,
    )  # fmt: skip
