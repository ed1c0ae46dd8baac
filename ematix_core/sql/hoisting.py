"""Calls of the user's functions taken out of a query, so that each can be made once for all of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ematix_core.sql.rowwise import shows_rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a function takes: the type in SQL, and in the rows, where it is only compared."""

    sql: str
    kind: object


@dataclass(frozen=True, slots=True)
class HoistedCall:
    """One call. `position`: of its column in the query's result, from the end where negative.

    `arguments`: for each the column of the table that it is, or "" for one that the query makes.
    """

    function: str
    position: int
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hoisted:
    """`sql` selects what the query does, without the calls, and then the arguments that are no columns of the table.

    It is empty when that is nothing.
    """

    sql: str
    calls: tuple[HoistedCall, ...]


def hoisted(
    sql: str, table: str, columns: Mapping[str, object], functions: Mapping[str, Sequence[Parameter]]
) -> Hoisted | None:
    """Return the query without the calls of `functions` that are whole columns of it; None where there is none.

    `columns`: the table's, with their types, `functions`: their parameters; names in lower case. None also for a query
    that is not `SELECT columns FROM table [WHERE condition]` (see `only_table`), and where a function is called within
    another expression: then DuckDB knows best for which rows. The SQL is DuckDB's.
    """
    try:
        query = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return None
    if not isinstance(query, exp.Select):
        return None
    items: list[exp.Expr] = query.expressions
    calls = {i: call for i, item in enumerate(items) if (call := _call(item, functions)) is not None}
    stars = [i for i, item in enumerate(items) if item.is_star]
    kept = [item for i, item in enumerate(items) if i not in calls]
    given = [argument for call in calls.values() for argument in call.expressions]
    if not calls or len(stars) > 1 or shows_rows_of(query.select(*kept, *given, append=False)) != table:
        return None
    # Without a condition, the rows of the result are those of the table, in their order.
    known = {} if query.args.get("where") else columns
    tables = {"", query.args["from_"].alias_or_name}
    taken: list[HoistedCall] = []
    made: list[exp.Expr] = []
    for i, call in calls.items():
        pairs = list(zip(call.expressions, functions[call.name.lower()], strict=True))
        names = tuple(_column(argument, wanted, known, tables) for argument, wanted in pairs)
        taken.append(HoistedCall(call.name.lower(), i - len(items) if stars and stars[0] < i else i, names))
        made += [_cast(argument, wanted) for (argument, wanted), name in zip(pairs, names, strict=True) if not name]
    rest = [*kept, *(exp.alias_(one, f"_ematix_{i}") for i, one in enumerate(made))]
    return Hoisted(query.select(*rest, append=False).sql(dialect="duckdb") if rest else "", tuple(taken))


def _call(item: exp.Expr, functions: Mapping[str, Sequence[Parameter]]) -> exp.Anonymous | None:
    call = item.unalias()
    if isinstance(call, exp.Anonymous) and len(functions.get(call.name.lower(), ())) == len(call.expressions):
        return call
    return None


def _cast(argument: exp.Expr, wanted: Parameter) -> exp.Expr:
    kind = exp.DataType.build(wanted.sql, dialect="duckdb")
    return exp.cast(argument.copy(), kind, dialect="duckdb")


def _column(argument: exp.Expr, wanted: Parameter, columns: Mapping[str, object], tables: set[str]) -> str:
    """Return the table's column that the argument is, when it has the type that is wanted, else an empty string."""
    name = argument.name.lower()
    plain = isinstance(argument, exp.Column) and argument.table in tables
    return name if plain and columns.get(name) == wanted.kind else ""
