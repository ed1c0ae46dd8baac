"""truncate: replace all rows in one step; readers see the old rows until the new ones are complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.model.table import TableName
from ematix_core.sql import build
from ematix_core.sql.dialect import Replace
from ematix_core.strategies import staging
from ematix_core.strategies.plan import STAGING, Clear, Count, Execute, Fill, Insert, Step, Tally

if TYPE_CHECKING:
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change

_WHY = {
    Replace.TRANSACTION: "readers keep the old rows until the transaction commits",
    Replace.OVERWRITE: "the new files become visible in one step",
}


def steps(change: Change, dialect: Dialect) -> list[Step]:
    """Plan the replacement."""
    if dialect.replace is Replace.SWAP and not change.new:
        return _swap(change, dialect)
    if change.new:
        clear = Clear(name="start empty", why="the table is new", table=change.target)
    else:
        why = f"{dialect.name}: {_WHY[dialect.replace]}"
        clear = Clear(name="remove the old rows", why=why, table=change.target, counts=Count.DELETED)
    if not change.staged:
        return [clear, _load(change, change.target)]
    apply = _apply(change, change.target, dialect)
    return [staging.fill(change), clear, apply, *staging.cleanup(change, staging.STAGED, dialect)]


def _load(change: Change, table: TableName) -> Fill:
    return Fill(
        name="load rows", why="nothing has to be compared", table=table, columns=change.columns, counts=Count.INSERTED
    )


def _apply(change: Change, table: TableName, dialect: Dialect) -> Insert:
    query = exp.select(*build.cols(change.names)).from_(build.table(staging.STAGED))
    return Insert(
        name="load rows", why="from staging, where they were checked", table=table, columns=change.names,
        query=build.text(query, dialect), counts=Count.INSERTED,
    )  # fmt: skip


def _swap(change: Change, dialect: Dialect) -> list[Step]:
    """Fill a second table beside the target and exchange the names."""
    target = change.target
    following = TableName(target.schema, f"{STAGING}_next")
    former = TableName(target.schema, f"{STAGING}_former")
    make = Execute(
        name="make the next version", why=f"{dialect.name}: readers see the old rows until the names are exchanged",
        sql=build.text(build.create_like(following, target), dialect),
    )  # fmt: skip
    fill = (
        [staging.fill(change), make, _apply(change, following, dialect)]
        if change.staged
        else [make, _load(change, following)]
    )
    return [
        *fill,
        Tally(
            name="count", why="rows that go", counts=Count.DELETED,
            query=build.text(build.count(build.table(target)), dialect),
        ),
        Execute(
            name="exchange", why="one step for every reader",
            sql=build.text(build.exchange(target, following, former), dialect),
        ),
        Execute(name="drop the old version", why="nobody sees it", sql=build.text(build.drop(former), dialect)),
        *(staging.cleanup(change, staging.STAGED, dialect) if change.staged else []),
    ]  # fmt: skip
