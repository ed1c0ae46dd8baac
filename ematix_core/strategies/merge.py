"""merge: insert or update by key; only rows that really differ are written, and every count is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.errors import UnsupportedError
from ematix_core.model.mode import Merge
from ematix_core.sql import build
from ematix_core.sql.dialect import Upsert
from ematix_core.strategies import inside, staging
from ematix_core.strategies.plan import Count, Execute, Insert, Step

if TYPE_CHECKING:
    from ematix_core.model.table import TableName
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change


def steps(change: Change, dialect: Dialect) -> list[Step]:
    """Plan the merge. Raises UnsupportedError when the system has no recipe that we know for it."""
    mode = _mode(change)
    if dialect.upsert is not Upsert.UPDATE_INSERT:
        raise UnsupportedError(f"{dialect.name}: merge by {dialect.upsert.value} is not built yet")
    if change.made:
        return inside.make_keyed(change, dialect, {})
    if compares := inside.compares(change):
        rows, plan = inside.compared(change, dialect)
    else:
        rows, prepared = staging.keyed_rows(change, dialect, mode.order_by)
        plan = [*staging.aside(change, dialect), staging.fill(change), *prepared]
    if mode.deletes == "delete":
        plan += staging.refuse_empty(rows, dialect, allow_empty=mode.allow_empty)
    plan += staging.target_unique(change, rows, dialect)
    if not change.new:
        plan += _delete_gone(change, mode, rows, dialect)
        plan += _update(change, rows, dialect, compares=compares)
    plan.append(_insert(change, rows, dialect, compares=compares))
    if mode.deletes == "delete" and not change.new:
        plan.append(_delete(change, rows, dialect))
    return [*plan, *staging.cleanup(change, rows, dialect)]


def _mode(change: Change) -> Merge:
    assert isinstance(change.mode, Merge)  # noqa: S101 - the planner picks this module by the mode
    return change.mode


def _delete_gone(change: Change, mode: Merge, rows: TableName, dialect: Dialect) -> list[Step]:
    """Delete the keys that staged rows say are gone."""
    if not mode.deleted_by:
        return []
    keys = exp.select(*build.cols(change.keys, "s")).from_(build.table(rows, "s"))
    keys = keys.where(staging.gone(mode), *staging.in_part(change, rows, dialect))
    why = f"keys whose {mode.deleted_by!r} is true"
    if newer := staging.not_older(change, mode.order_by, "o"):
        why += f" and that are not newer by {mode.order_by!r}"
        old = build.table(change.target, "o")
        keys = keys.join(old, on=build.same_keys(change.keys, "s", "o")).where(*newer).distinct()
        # MySQL deletes by a query of the same table only if that is a derived table which it has to build first.
        keys = exp.select(*build.cols(change.keys, "d")).from_(build.derived(keys, "d"))
    statement = build.delete(change.target, build.among(change.keys, "t", keys))
    return [
        Execute(
            name="delete", why=why, sql=build.text(statement, dialect), counts=Count.DELETED, applies=True,
            parts_of=staging.parted(change, rows, dialect),
        )
    ]  # fmt: skip


def _update(change: Change, rows: TableName, dialect: Dialect, *, compares: bool) -> list[Step]:
    mode = _mode(change)
    changing = [column for column in change.names if column not in change.keys]
    if not change.compare:
        return []
    differs = inside.is_changed() if compares else build.differs(change.compare, "t", "s")
    newer = staging.not_older(change, mode.order_by)
    part = staging.in_part(change, rows, dialect)
    where = exp.and_(build.same_keys(change.keys, "t", "s"), differs, *newer, *staging.alive(mode), *part)
    values = {column: build.col(column, "s") for column in changing}
    statement = build.update_from(change.target, values, source=build.table(rows, "s"), where=where)
    why = f"only rows whose {', '.join(change.compare)} differ; NULL equals NULL"
    why += f"; none that is older by {mode.order_by!r}" if newer else ""
    return [
        Execute(
            name="update", why=why, sql=build.text(statement, dialect), counts=Count.UPDATED,
            parts_of=staging.parted(change, rows, dialect),
        )
    ]  # fmt: skip


def _insert(change: Change, rows: TableName, dialect: Dialect, *, compares: bool) -> Insert:
    query = exp.select(*build.cols(change.names, "s")).from_(build.table(rows, "s"))
    if compares:
        query = query.where(inside.is_new())
    elif not change.new:
        # A join, not NOT EXISTS: for a join SQLite makes the index that a table of someone else's may lack. Without,
        # 40,000 rows into as many take 15 s, four times as long as 20,000: https://www.sqlite.org/optoverview.html#autoindex
        matching = build.same_keys(change.keys, "t", "s")
        query = query.join(build.table(change.target, "t"), on=matching, join_type="left")
        query = query.where(build.col(change.keys[0], "t").is_(exp.null()), *staging.in_part(change, rows, dialect))
    query = query.where(*staging.alive(_mode(change)))
    why = "the table is new" if change.new else "keys that the target does not have"
    return Insert(
        name="insert", why=why, table=change.target, columns=change.names, query=build.text(query, dialect),
        counts=Count.INSERTED, parts_of=None if compares or change.new else staging.parted(change, rows, dialect),
    )  # fmt: skip


def _delete(change: Change, rows: TableName, dialect: Dialect) -> Execute:
    gone = staging.missing(change, rows)
    return Execute(
        name="delete", why="deletes='delete': keys that the load lacks",
        sql=build.text(build.delete(change.target, gone), dialect), counts=Count.DELETED,
    )  # fmt: skip
