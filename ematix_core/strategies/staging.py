"""What merge and scd2 share: staged rows with keys that are present and unique."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.model.table import TableName
from ematix_core.sql import build
from ematix_core.sql.ddl import Wanted, create_staging
from ematix_core.strategies.plan import (
    PART_BEGIN,
    PART_END,
    STAGING,
    Count,
    Execute,
    Fill,
    Require,
    Step,
    Tally,
    Unique,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.model.mode import Merge, Scd2
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change

STAGED = TableName("", STAGING)
LATEST = TableName("", f"{STAGING}_latest")
ASIDE = TableName("", f"{STAGING}_aside")
"""Keys of rows that checks took out of staging: they are in the load, so deletes leave their keys alone."""
_SAMPLES = 5


def fill(change: Change) -> Fill:
    """Return the step that brings the rows into staging."""
    return Fill(
        name="stage rows", why="applied to the target as one change", table=STAGED, columns=change.arriving,
        create=True, keys=change.keys, counts=Count.STAGED,
    )  # fmt: skip


def indexed(rows: TableName, keys: Sequence[str], dialect: Dialect) -> list[Step]:
    """Return the step that indexes a work table, where the system would else scan it for every row."""
    if not dialect.joins_by_index:
        return []
    sql = build.text(build.create_index(f"{rows.name}_keys", rows, keys), dialect)
    return [Execute(name="index", why=f"{dialect.name} needs it to find keys fast", sql=sql)]


def deletes(change: Change) -> bool:
    """Say whether keys that the load lacks are deleted or closed."""
    return getattr(change.mode, "deletes", "ignore") != "ignore"


def aside(change: Change, dialect: Dialect) -> list[Step]:
    """Return the step that makes room for the keys of rows set aside, where deletes must know them."""
    if not (change.sets_aside and deletes(change)):
        return []
    keys = tuple(column for column in change.columns if column.name in change.keys)
    sql = create_staging(Wanted(ASIDE, keys, merge_key=change.keys), dialect)
    return [Execute(name="prepare quarantine", why="keys of rows set aside are not deleted", sql=sql)]


def missing(change: Change, rows: TableName) -> exp.Expr:
    """Return the condition that the load lacks the key of the target's row `t`."""
    staged = exp.select(exp.Literal.number(1)).from_(build.table(rows, "s"))
    gone = build.not_exists(staged.where(build.same_keys(change.keys, "s", "t")))
    if not change.sets_aside:
        return gone
    kept = exp.select(exp.Literal.number(1)).from_(build.table(ASIDE, "q"))
    return exp.and_(gone, build.not_exists(kept.where(build.same_keys(change.keys, "q", "t"))))


def parted(change: Change, rows: TableName, dialect: Dialect) -> TableName | None:
    """Return `rows` where the system takes them part by part; a column of theirs may hide what numbers them."""
    hidden = dialect.row_number in {column.name.lower() for column in change.columns}
    return rows if dialect.row_number and not hidden else None


def in_part(change: Change, rows: TableName, dialect: Dialect) -> list[exp.Expr]:
    """Return the condition that the staged row `s` belongs to the part at hand, if there are parts."""
    if not parted(change, rows, dialect):
        return []
    number = build.col(dialect.row_number, "s")
    begun = exp.GTE(this=number, expression=build.bound(PART_BEGIN))
    return [begun, exp.LT(this=number.copy(), expression=build.bound(PART_END))]


def gone(mode: Merge | Scd2) -> exp.Expr:
    """Return the condition that the staged row `s` says that its key is gone."""
    return build.is_true(mode.deleted_by, "s") if mode.deleted_by else exp.false()


def alive(mode: Merge | Scd2) -> list[exp.Expr]:
    """Return the condition that the staged row `s` is one to store, if there are others."""
    return [exp.Not(this=gone(mode))] if mode.deleted_by else []


def not_older(change: Change, order_by: str | None, of: str = "t") -> list[exp.Expr]:
    """Return the condition that the staged row `s` is not older than the target's, if that can be told."""
    if not order_by or order_by not in change.names:
        return []
    reached = exp.GTE(this=build.col(order_by, "s"), expression=build.col(order_by, of))
    return [exp.paren(exp.or_(build.is_null(order_by, of), reached))]


def keyed_rows(change: Change, dialect: Dialect, order_by: str | None) -> tuple[TableName, list[Step]]:
    """Return the table with at most one row a key, and the steps that make or check it."""
    keys = list(change.keys)
    if order_by is None:
        return STAGED, checked(keys, STAGED, dialect)
    steps: list[Step] = [no_null_keys(keys, STAGED, dialect)]
    position = build.ranked("rank", build.cols(keys), [build.descending(build.col(order_by))])
    names = [column.name for column in change.arriving]
    inner = exp.select(*build.cols(names), exp.alias_(position, "_rank", quoted=True)).from_(build.table(STAGED))
    latest = (
        exp.select(*build.cols(names, "s"))
        .distinct()
        .from_(build.derived(inner, "s"))
        .where(exp.EQ(this=build.col("_rank", "s"), expression=exp.Literal.number(1)))
    )
    steps += [
        Execute(
            name="keep the latest", why=f"of several rows with one key the highest {order_by!r} wins",
            sql=build.text(build.create_as(LATEST, latest, dialect), dialect),
        ),
        unique(keys, LATEST, dialect, f"their {order_by!r} is equal, so none of them is the latest"),
        Tally(
            name="count", why="rows that take part", counts=Count.STAGED,
            query=build.text(build.count(build.table(LATEST)), dialect),
        ),
    ]  # fmt: skip
    return LATEST, steps


def checked(keys: Sequence[str], rows: TableName, dialect: Dialect) -> list[Step]:
    """Return the checks that every row has a key and no other row's."""
    once = unique(keys, rows, dialect, "no order_by= says which of them wins")
    return [no_null_keys(keys, rows, dialect), once]


def cleanup(change: Change, rows: TableName, dialect: Dialect) -> list[Step]:
    """Return the steps that drop what staging made."""
    made = [rows, STAGED] if rows != STAGED else [STAGED]
    made += [ASIDE] if change.sets_aside and deletes(change) else []
    return [
        Execute(name="drop staging", why="the rows are in the target", sql=build.text(build.drop(t), dialect))
        for t in made
    ]


def refuse_empty(rows: TableName, dialect: Dialect, *, allow_empty: bool) -> list[Step]:
    """Return the guard of `deletes`: an empty load would delete everything."""
    if allow_empty:
        return []
    one = exp.select(exp.alias_(exp.Literal.number(1), "empty")).where(
        build.not_exists(exp.select(exp.Literal.number(1)).from_(build.table(rows)))
    )
    return [
        Require(
            name="refuse an empty source", why="with deletes it would remove every key; allow_empty=True permits it",
            query=build.text(one, dialect), problem="empty_source",
        )
    ]  # fmt: skip


def target_unique(change: Change, rows: TableName, dialect: Dialect, *, current: str = "") -> list[Step]:
    """Return the check that the target has one (current) row a key, where the system does not see to it itself."""
    if change.new or change.unique_keys:
        return []
    staged = exp.select(exp.Literal.number(1)).from_(build.table(rows, "s"))
    staged = staged.where(build.same_keys(change.keys, "s", "t"), *in_part(change, rows, dialect))
    match = build.exists(staged)
    if current:
        match = exp.and_(build.col(current, "t"), match)
    doubled = (
        exp.select(*build.cols(change.keys, "t"))
        .from_(build.table(change.target, "t"))
        .where(match)
        .group_by(*build.cols(change.keys, "t"))
        .having(exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1)))
        .limit(_SAMPLES)
    )
    return [
        Require(
            name="check the target's keys", why="nothing in the table itself keeps them unique",
            query=build.text(doubled, dialect), problem="target_duplicate_key", columns=change.keys,
            parts_of=parted(change, rows, dialect),
        )
    ]  # fmt: skip


def unique(keys: Sequence[str], rows: TableName, dialect: Dialect, why: str) -> Require:
    """Return the check that no key is in `rows` twice: by a unique index where one is of use anyway."""
    if dialect.indexes_staging:
        index = build.text(build.create_index(f"{rows.name}_unique", rows, keys, unique=True), dialect)
        return unique_by(index, keys, rows, dialect, why)
    return Require(
        name="check keys are unique", why=why, query=_doubled(keys, build.table(rows), dialect),
        problem="duplicate_key", columns=tuple(keys),
    )  # fmt: skip


def unique_by(index: str, keys: Sequence[str], rows: TableName, dialect: Dialect, why: str) -> Unique:
    """Return the check that no key is in `rows` twice, by the statement that makes a unique index."""
    return Unique(
        name="check keys are unique", why=why, sql=index, query=_doubled(keys, build.table(rows), dialect),
        problem="duplicate_key", columns=tuple(keys),
    )  # fmt: skip


def unique_events(keys: Sequence[str], known: Sequence[str], dialect: Dialect) -> Require:
    """Return the check that staged rows with one key are equal in all that is `known` of them."""
    why = "a key cannot have two versions at one instant"
    different = exp.select(*build.cols(known)).distinct().from_(build.table(STAGED))
    query = _doubled(keys, build.derived(different, "d"), dialect)
    check = Require(name="check events are unique", why=why, query=query, problem="duplicate_key", columns=tuple(keys))
    if not dialect.indexes_staging:
        return check
    index = build.create_index(f"{STAGED.name}_unique", STAGED, keys, unique=True)
    repeats = build.create_index(f"{STAGED.name}_events", STAGED, keys)
    return Unique(**vars(check), sql=build.text(index, dialect), repeats=build.text(repeats, dialect))


def _doubled(keys: Sequence[str], rows: exp.Expr, dialect: Dialect) -> str:
    doubled = (
        exp.select(*build.cols(keys), exp.alias_(exp.Count(this=exp.Star()), "rows", quoted=True))
        .from_(rows)
        .group_by(*build.cols(keys))
        .having(exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1)))
        .limit(_SAMPLES)
    )
    return build.text(doubled, dialect)


def no_null_keys(keys: Sequence[str], rows: TableName, dialect: Dialect) -> Require:
    """Return the check that every row has its key."""
    empty = exp.select(*build.cols(keys)).from_(build.table(rows))
    empty = empty.where(build.either([build.is_null(key) for key in keys])).limit(_SAMPLES)
    return Require(
        name="check keys are present", why="a row without its key cannot be found again",
        query=build.text(empty, dialect), problem="null_key", columns=tuple(keys),
    )  # fmt: skip
