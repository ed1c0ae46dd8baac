"""Statements on a table of dead letters: those of one stream, by state and id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.sql import build

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ematix_core.model.table import TableName
    from ematix_core.sql.dialect import Dialect


def bound_as(prefix: str, values: Iterable[str]) -> dict[str, str]:
    """Return parameters for values: `state_0`, `state_1` and so on."""
    return {f"{prefix}_{number}": value for number, value in enumerate(values)}


def newest(
    table: TableName,
    columns: Sequence[str],
    dialect: Dialect,
    *,
    states: int,
    ids: int = 0,
    limit: int | None = None,
    of_target: bool = False,
) -> str:
    """Return the query for the letters of `:stream` in `:state_N`, with the ids `:id_N` if any; newest first.

    `of_target`: only those that are to be loaded into `:target`.
    """
    query = exp.select(*build.cols(columns, "t")).from_(build.table(build.placed(table, dialect), "t"))
    query = query.where(*_which(states, ids, of_target=of_target)).order_by(
        *[build.descending(build.col(name, "t")) for name in ("failed_at", "partition_name", "record_offset")]
    )
    return build.text(query if limit is None else query.limit(limit), dialect)


def counts(table: TableName, dialect: Dialect) -> str:
    """Return the query for each state of the letters of `:stream`, and how many are in it."""
    query = exp.select(build.col("state", "t"), exp.Count(this=exp.Star()))
    query = query.from_(build.table(build.placed(table, dialect), "t")).where(*_which(0, 0))
    return build.text(query.group_by(build.col("state", "t")), dialect)


def change_state(
    table: TableName, dialect: Dialect, *, states: int, ids: int, loads: int = 0, of_target: bool = False
) -> str:
    """Return the statement that gives the letters the state `:to`.

    `loads`: only those of the loads `:load_N`; `of_target`: only those of `:target`.
    """
    change = build.update_from(
        build.placed(table, dialect), {"state": build.bound("to")}, source=None,
        where=build.both(_which(states, ids, loads, of_target=of_target)),
    )  # fmt: skip
    return build.text(change, dialect)


def failed_again(table: TableName, dialect: Dialect) -> str:
    """Return the statement that gives the letter `:id_0` of `:target` one more attempt and the error `:error`."""
    attempts = exp.Add(this=build.col("attempt"), expression=exp.Literal.number(1))
    change = build.update_from(
        build.placed(table, dialect), {"error": build.bound("error"), "attempt": attempts}, source=None,
        where=build.both(_which(0, 1, of_target=True)),
    )  # fmt: skip
    return build.text(change, dialect)


def purge(table: TableName, dialect: Dialect, *, states: int, aged: bool) -> str:
    """Return the statement that deletes letters of `:stream`; `aged`: only those that failed before `:before`."""
    which = _which(states, 0)
    if aged:
        which.append(exp.LT(this=build.col("failed_at", "t"), expression=build.bound("before")))
    return build.text(build.delete(build.placed(table, dialect), build.both(which)), dialect)


def _which(states: int, ids: int, loads: int = 0, *, of_target: bool = False) -> list[exp.Expr]:
    found: list[exp.Expr] = [exp.EQ(this=build.col("stream", "t"), expression=build.bound("stream"))]
    if of_target:
        found.append(exp.EQ(this=build.col("target_table", "t"), expression=build.bound("target")))
    for column, prefix, count in (("state", "state", states), ("letter_id", "id", ids), ("load_id", "load", loads)):
        if count:
            wanted = [build.bound(f"{prefix}_{number}") for number in range(count)]
            found.append(exp.In(this=build.col(column, "t"), expressions=wanted))
    return found
