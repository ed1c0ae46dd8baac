"""scd2 with `event_time`: versions dated by the data, however late and in whatever order they come.

For every key with a staged row that changes something, its timeline is made anew from its first staged row on:

1. Events are the key's stored versions (at `valid_from`), the ends of stored versions that no version follows at once
   (a close), and the staged rows (at `event_time`), of which those that are gone (`deleted_by`) are closes.
2. At one instant a staged row that differs from the stored version replaces it (a correction), as does one that is
   gone; a version beats a stored close.
3. A version whose compared columns equal those of the version right before it says nothing new and is dropped.
4. Each version lasts until the next event. A late row so splits the interval that it falls in.

The timeline is held against what is stored, and only rows that differ are written. A stored version with an empty
interval was never in force (see `scd2`) and is left alone, unless a new version begins at that instant: it takes its
place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.sql import build
from ematix_core.strategies import staging, timeline
from ematix_core.strategies.plan import LOAD_TIME, Count, Execute, Insert, Require, Step, Tally
from ematix_core.strategies.staging import STAGED
from ematix_core.strategies.timeline import AFFECTED, STORED, TIMELINE

if TYPE_CHECKING:
    from ematix_core.model.table import TableName
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change

_SAMPLES = 5


def checks(change: Change, dialect: Dialect) -> list[Step]:
    """Plan the checks of the staged rows: keys and event times are present, and one event has one set of values."""
    mode = timeline.of_history(change)
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
    known = dict.fromkeys([*change.names, time, *([mode.deleted_by] if mode.deleted_by else [])])
    return [*plan, staging.unique_events([*change.keys, time], list(known), dialect)]


def steps(change: Change, dialect: Dialect) -> list[Step]:
    """Plan the new timelines and the writes that bring the table to them."""
    mode = timeline.of_history(change)
    plan: list[Step] = []
    if not change.new:
        why = "versions that end at or after the first staged row of their key"
        plan += _made("find stored versions", why, STORED, timeline.stored(change), dialect)
        plan += staging.indexed(STORED, [*change.keys, mode.valid_from], dialect)
        why = "keys for which a staged row changes something"
        plan += _made("find affected keys", why, AFFECTED, timeline.affected(change), dialect)
        plan += staging.indexed(AFFECTED, change.keys, dialect)
    why = "stored versions, closes and staged rows in the order of their event time"
    plan += _made("make timelines", why, TIMELINE, timeline.made(change), dialect)
    if not change.new:
        plan += staging.indexed(TIMELINE, [*change.keys, "_at"], dialect)
    plan += _count_applied(change, dialect)
    if not change.new:
        plan += _rewrite(change, dialect)
    plan.append(_insert(change, dialect))
    return plan


def cleanup(change: Change, dialect: Dialect) -> list[Step]:
    """Return the steps that drop the work tables."""
    return [
        Execute(name="drop work table", why="done", sql=build.text(build.drop(made), dialect))
        for made in ((TIMELINE,) if change.new else (STORED, AFFECTED, TIMELINE))
    ]


def begun(change: Change, staged: str) -> exp.Expr:
    """Return the condition that the staged row (by its alias) begins a version of the new timelines."""
    time = str(timeline.of_history(change).event_time)
    same_time = exp.EQ(this=build.col("_at", "l"), expression=build.col(time, staged))
    line = exp.select(exp.Literal.number(1)).from_(build.table(TIMELINE, "l"))
    line = line.where(build.same_keys(change.keys, "l", staged), same_time)
    return build.exists(line.where(timeline.has("_kind", timeline.STAGED_ROW, of="l")))


def _made(name: str, why: str, table: TableName, query: exp.Select, dialect: Dialect) -> list[Step]:
    return [Execute(name=name, why=why, sql=build.text(build.create_as(table, query, dialect), dialect))]


def _count_applied(change: Change, dialect: Dialect) -> list[Step]:
    """Count the staged rows that begin a version, end one, or take the place of one.

    Those do not count that end what had ended at that instant before.
    """
    mode = timeline.of_history(change)
    lines = build.count(build.table(TIMELINE, "l"))
    gone = timeline.has("_kind", timeline.GONE_ROW, of="l")
    counts = {"begin a version": lines.where(timeline.has("_kind", timeline.STAGED_ROW, of="l"))}
    if mode.deleted_by and change.new:
        counts["end a version"] = lines.where(gone)
    elif mode.deleted_by:
        takes = timeline.has("_there", timeline.IN_FORCE, of="l")
        same_time = exp.EQ(this=build.col(mode.valid_to, "o"), expression=build.col("_at", "l"))
        before = exp.select(exp.Literal.number(1)).from_(build.table(STORED, "o"))
        before = before.where(build.same_keys(change.keys, "o", "l"), same_time, timeline.in_force(mode, "o"))
        counts["take the place of a version"] = lines.where(gone, takes)
        counts["end a version"] = lines.where(gone, exp.Not(this=takes), build.not_exists(before))
    return [
        Tally(name="count", why=f"staged rows that {what}", counts=Count.APPLIED, query=build.text(query, dialect))
        for what, query in counts.items()
    ]


def _rewrite(change: Change, dialect: Dialect) -> list[Step]:
    mode = timeline.of_history(change)
    line, until = build.table(TIMELINE, "s"), build.col("_until", "s")
    match = timeline.same_instant(change, "t", "s", "_at")
    closes = timeline.has("_write", timeline.CLOSE, timeline.CLOSE_AND_CORRECT, of="s")
    close = build.update_from(
        change.target, {mode.valid_to: until, mode.is_current: exp.false()}, source=line,
        where=exp.and_(match, closes, build.is_null(mode.valid_to, "t")),
    )  # fmt: skip
    values: dict[str, exp.Expr] = {c: build.col(c, "s") for c in change.names[:-1] if c not in change.keys}
    values |= {
        mode.valid_to: until.copy(), mode.is_current: build.is_null("_until", "s"),
        mode.row_hash: build.col(change.names[-1], "s"),
    }  # fmt: skip
    corrects = timeline.has("_write", timeline.CORRECT, timeline.CLOSE_AND_CORRECT, of="s")
    in_place = build.either([timeline.in_force(mode, "t"), timeline.has("_there", timeline.NEVER, of="s")])
    correct = build.update_from(
        change.target, values, source=line.copy(), where=exp.and_(match.copy(), corrects, in_place)
    )
    return [
        Execute(
            name="remove absorbed versions", why="an earlier version now says the same, or the key was gone at once",
            sql=build.text(build.delete(change.target, _absorbed(change)), dialect), counts=Count.DELETED,
        ),
        Execute(
            name="close versions", why="a later version follows", sql=build.text(close, dialect), counts=Count.CLOSED
        ),
        Execute(
            name="correct versions", why="other values for the same instant, or an interval that was split",
            sql=build.text(correct, dialect), counts=Count.UPDATED,
        ),
    ]  # fmt: skip


def _absorbed(change: Change) -> exp.Expr:
    """Return the condition that the new timelines lack the target's version `t`, which took part in them."""
    mode = timeline.of_history(change)
    kept = exp.select(exp.Literal.number(1)).from_(build.table(TIMELINE, "s"))
    kept = kept.where(
        timeline.same_instant(change, "o", "s", "_at"),
        timeline.has("_kind", timeline.STAGED_ROW, timeline.VERSION, of="s"),
    )
    begins = [*change.keys, mode.valid_from]
    lost = exp.select(*build.cols(begins, "o")).from_(build.table(STORED, "o"))
    lost = lost.join(build.table(AFFECTED, "a"), on=build.same_keys(change.keys, "a", "o"))
    lost = lost.where(timeline.in_force(mode, "o"), build.not_exists(kept))
    return exp.and_(build.among(begins, "t", lost), timeline.in_force(mode, "t"))


def _insert(change: Change, dialect: Dialect) -> Insert:
    mode = timeline.of_history(change)
    current = exp.Case().when(build.is_null("_until", "s"), exp.true()).else_(exp.false())
    tail: list[exp.Expr] = [
        build.col("_at", "s"), build.col("_until", "s"), current, build.col(change.names[-1], "s"),
    ]  # fmt: skip
    tail += [build.bound(LOAD_TIME)] if mode.ttl else []
    query = exp.select(*build.cols(change.names[:-1], "s"), *tail).from_(build.table(TIMELINE, "s"))
    query = query.where(timeline.has("_write", timeline.OPEN, of="s"))
    return Insert(
        name="open versions", why="versions that the table lacks", table=change.target,
        columns=(*change.names[:-1], *mode.history_columns()), query=build.text(query, dialect),
        parameters=(LOAD_TIME,) if mode.ttl else (), counts=Count.INSERTED,
    )  # fmt: skip
