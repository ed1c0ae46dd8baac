"""truncate: replace all rows in one step; readers see the old rows until the new ones are complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.sql import build
from ematix_core.sql.dialect import Replace
from ematix_core.strategies import inside, staging
from ematix_core.strategies.plan import Clear, Count, Fill, Insert, Step

if TYPE_CHECKING:
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change

_WHY = {
    Replace.TRANSACTION: "readers keep the old rows until the transaction commits",
    Replace.OVERWRITE: "the new files become visible in one step",
}


def steps(change: Change, dialect: Dialect) -> list[Step]:
    """Plan the replacement."""
    if change.made:
        return inside.make(change, dialect)
    if change.new:
        clear = Clear(name="start empty", why="the table is new", table=change.target)
    else:
        why = f"{dialect.name}: {_WHY[dialect.replace]}"
        clear = Clear(name="remove the old rows", why=why, table=change.target, counts=Count.DELETED)
    if not change.staged:
        direct = Fill(
            name="load rows", why="nothing has to be compared", table=change.target, columns=change.columns,
            counts=Count.INSERTED,
        )  # fmt: skip
        return [clear, direct]
    query = exp.select(*build.cols(change.names)).from_(build.table(staging.STAGED))
    apply = Insert(
        name="load rows", why="from staging, where they were checked", table=change.target, columns=change.names,
        query=build.text(query, dialect), counts=Count.INSERTED,
    )  # fmt: skip
    return [staging.fill(change), clear, apply, *staging.cleanup(change, staging.STAGED, dialect)]
