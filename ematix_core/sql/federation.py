"""A query over tables of several systems: which tables it names, and what of each it needs.

The text stays as it was written, but for the names of its tables. That the columns of a table are enough, and which
conditions may be put to its system too, is told by sqlglot; where it cannot tell, all columns and rows are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope

from ematix_core.errors import SqlError, near
from ematix_core.model.table import TableName
from ematix_core.sql import build
from ematix_core.sql.conditions import Condition, conditions_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ematix_core.model.table import Column
    from ematix_core.sql.dialect import Dialect

NAME = "_ematix_{}"
"""What the tables are called when the query runs, by their number."""


_KNOWN = (
    exp.Alias, exp.Array, exp.Between, exp.Binary, exp.Boolean, exp.CTE, exp.Case, exp.Cast, exp.DataType,
    exp.DataTypeParam, exp.Distinct, exp.Exists, exp.Filter, exp.From, exp.Func, exp.Group, exp.Having, exp.Identifier,
    exp.In, exp.Interval, exp.Limit, exp.Literal, exp.Null, exp.Offset, exp.Order, exp.Ordered, exp.Paren,
    exp.Placeholder, exp.Qualify, exp.Select, exp.SetOperation, exp.Subquery, exp.Table, exp.TableAlias, exp.Tuple,
    exp.Unary, exp.Var, exp.Where, exp.Window, exp.WindowSpec, exp.With,
)  # fmt: skip
_OTHERS = (exp.Columns, exp.Lateral, exp.Pivot, exp.TableFromRows, exp.UDTF)


@dataclass(frozen=True)
class Part:
    """A table that a query names. `source`: the connection; `table`: its name there."""

    source: str
    table: TableName


@dataclass(frozen=True)
class Need:
    """What a query needs of a table: these columns, None for all, and only rows for which all conditions hold."""

    columns: tuple[str, ...] | None = None
    where: tuple[Condition, ...] = ()


def parts_of(sql: str, sources: Sequence[str]) -> tuple[str, tuple[Part, ...]]:
    """Return the query over tables named after NAME, and which they are, in order of appearance.

    The SQL is DuckDB's. Raises SqlError for text that cannot be parsed, and for a table that is of none of the sources.
    """
    tree = _parsed(sql)
    known = {name.lower(): name for name in sources}
    found: list[tuple[exp.Table, Part]] = []
    for table in _tables(tree):
        source = known.get(table.parts[0].name.lower())
        if source is None or len(table.parts) == 1:
            raise SqlError(
                f"{table.sql(dialect='duckdb')} is a table of no source", statement=sql, position=_start(table),
                hint=f"Write the name of a connection before it: {', '.join(sources)}. "
                + (near(table.parts[0].name, sources) if len(table.parts) > 1 else ""),
            )  # fmt: skip
        schema = ".".join(part.name for part in table.parts[1:-1])
        found.append((table, Part(source, TableName(schema, table.name))))
    text = sql
    for number, (table, _) in reversed(list(enumerate(found))):
        name = build.name(NAME.format(number)).sql(dialect="duckdb")
        alias = "" if table.alias else f" AS {build.name(table.name).sql(dialect='duckdb')}"
        text = text[: _start(table)] + name + alias + text[table.parts[-1].meta["end"] + 1 :]
    return text, tuple(part for _, part in found)


def looks_once(sql: str) -> bool:
    """Say whether the query reads each table that it names just once: it is one SELECT, and nothing that repeats."""
    tree = _parsed(sql)
    return isinstance(tree, exp.Select) and len(list(tree.find_all(exp.Query))) == 1 and not tree.find(exp.Pivot)


def needs_of(sql: str, columns: Sequence[Sequence[Column]], parameters: Mapping[str, object]) -> tuple[Need, ...]:
    """Return what a query over tables named after NAME needs of each; `columns` are theirs.

    `parameters` are the values of the query's `:name`, which conditions may have. A condition holds for every row that
    the query could use, so that leaving the others out changes nothing.
    """
    names = [NAME.format(number) for number in range(len(columns))]
    schema: dict[str, object] = {
        name: {c.name.lower(): "UNKNOWN" for c in mine} for name, mine in zip(names, columns, strict=True)
    }
    try:
        tree = qualify(_parsed(sql), dialect="duckdb", schema=schema, validate_qualify_columns=False)
        scopes = traverse_scope(tree)
    except (SqlglotError, SqlError):
        return tuple(Need() for _ in names)
    if not all(map(_is_known, tree.walk())):
        return tuple(Need() for _ in names)
    used: dict[str, set[str]] = {name: set() for name in names}
    where: dict[str, list[exp.Expr]] = {name: [] for name in names}
    for scope in scopes:
        for alias, table in scope.sources.items():
            if isinstance(table, exp.Table) and table.name in used:
                used[table.name] |= {column.name.lower() for column in scope.source_columns(alias)}
        for condition in _conjuncts(scope.expression):
            _push(condition, scope, where)
    return tuple(
        Need(
            tuple(column.name for column in mine if column.name.lower() in used[name]) or (mine[0].name,),
            conditions_of(where[name], mine, parameters),
        )
        for name, mine in zip(names, columns, strict=True)
    )


def query_of(part: Part, need: Need, dialect: Dialect) -> str:
    """Return the query to the table's system: it gives all that is needed, in the dialect's words."""
    columns = [exp.Star()] if need.columns is None else build.cols(need.columns)
    query = exp.select(*columns).from_(build.table(part.table))
    where = [condition.expression for condition in need.where if condition.holds_in(dialect)]
    return build.text(query.where(*where) if where else query, dialect)


def _parsed(sql: str) -> exp.Expr:
    try:
        return sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError as error:
        raise SqlError(
            f"the query cannot be parsed: {str(error).splitlines()[0]}", statement=sql,
            hint="A query over several connections is DuckDB's SQL, as far as sqlglot knows it.",
        ) from error  # fmt: skip


def _tables(tree: exp.Expr) -> list[exp.Table]:
    """Return the tables in order of appearance, without those that a WITH defines and functions."""
    defined = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    found = [
        table for table in tree.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier) and not (len(table.parts) == 1 and table.name.lower() in defined)
    ]  # fmt: skip
    return sorted(found, key=_start)


def _start(table: exp.Table) -> int:
    return int(table.parts[0].meta["start"])


def _conjuncts(query: exp.Expr) -> Iterator[exp.Expr]:
    where = query.args.get("where")
    if isinstance(query, exp.Select) and where is not None:
        whole = where.this.unnest()
        yield from whole.flatten() if isinstance(whole, exp.And) else [whole]


def _is_known(node: exp.Expr) -> bool:
    """Say whether the node of a qualified query needs no column but those that are named, of the tables beside them."""
    if isinstance(node, exp.Column):
        return bool(node.table) and not isinstance(node.this, exp.Star)
    if isinstance(node, exp.Star):
        return isinstance(node.parent, exp.Count)
    if isinstance(node, exp.Join):
        return not node.args.get("method")  # NATURAL, ASOF, POSITIONAL
    return isinstance(node, _KNOWN) and not isinstance(node, _OTHERS)


def _push(condition: exp.Expr, scope: Scope, found: dict[str, list[exp.Expr]]) -> None:
    """Note the condition of a scope with the table that it is about, through subqueries that only choose columns."""
    aliases = {column.table for column in condition.find_all(exp.Column)}
    source = scope.sources.get(aliases.pop()) if len(aliases) == 1 else None
    if condition.find(exp.Query):
        return
    if isinstance(source, exp.Table):
        if source.name in found:
            found[source.name].append(condition)
    elif isinstance(source, Scope) and source.is_derived_table and _chooses(source.expression):
        columns = {item.alias_or_name: item.unalias() for item in source.expression.expressions}
        inner = condition.copy()
        for column in list(inner.find_all(exp.Column)):
            replacement = columns.get(column.name)
            if not isinstance(replacement, exp.Column):
                return
            column.replace(replacement.copy())
        _push(inner, source, found)


def _chooses(query: exp.Expr) -> bool:
    """Say whether the query gives a row for each of its rows, whatever the others are."""
    clauses = {name for name, value in query.args.items() if value}
    plain = isinstance(query, exp.Select) and clauses <= {"expressions", "from_", "joins", "where", "with_"}
    return plain and not any(item.find(exp.AggFunc, exp.Window) for item in query.expressions)
