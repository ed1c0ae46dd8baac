"""Where the columns of a query come from, as far as its text tells: nothing is asked of the system that runs it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect, NormalizationStrategy
from sqlglot.lineage import lineage
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.qualify_tables import qualify_tables
from sqlglot.optimizer.scope import Scope, build_scope, traverse_scope
from sqlglot.schema import MappingSchema

from ematix_core.sql.parameters import names, rewritten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlglot.lineage import Node

    from ematix_core.sql.parameters import Style

Sources = tuple[tuple[str, str], ...]
"""Columns of tables, as (table, column), sorted."""

_STYLES: Mapping[str, Style] = {"sqlite": "qmark", "mysql": "literal"}
_NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})
_NAME = "ematix.name"  # where a table of a parsed query keeps its name
_NO_VALUES = ("where", "group", "having", "qualify", "order", "limit", "offset")
"""The clauses of which no value of an output column is made. Names in them may be those of output columns too."""


def column_lineage(sql: str, dialect: str, known: Mapping[str, Sequence[str]] = _NOTHING) -> dict[str, Sources]:
    """Return for each output column of a query the columns of tables that its values are made of.

    `dialect`: sqlglot's name of the grammar, empty for standard SQL. `known`: the columns of tables by the tables'
    names; they tell what `SELECT *` is, and whose a column without a table is in a join. In a query of one table such
    a column is that table's. Conditions (WHERE, ON, GROUP BY) make no values. A column that is made of no other, such
    as `count(*)`, has no sources. Left out is what the text does not tell, and what has no name. `*` stands for the
    columns of tables that are not known: its sources are `(table, "*")`. Never raises: text that cannot be understood
    has no columns.
    """
    query = _parsed(sql, dialect)
    if not isinstance(query, exp.Query):
        return {}
    try:
        return _Query(query, dialect, known).columns()
    except Exception:  # noqa: BLE001 - an optimizer may stumble over any text in any way; then the lineage is unknown
        return {}


def tables_of(sql: str, dialect: str) -> tuple[str, ...]:
    """Return the tables and files that a statement reads, each once, sorted.

    The names of common table expressions and functions are none. Never raises: text that cannot be understood has no
    tables.
    """
    query = _parsed(sql, dialect)
    if query is None:
        return ()
    try:
        _name_tables(query, dialect)
        scopes = traverse_scope(query)
    except Exception:  # noqa: BLE001 - see column_lineage
        return ()
    read = {id(source) for scope in scopes for source in scope.sources.values() if isinstance(source, exp.Table)}
    return tuple(sorted({table.meta[_NAME] for table in query.find_all(exp.Table) if id(table) in read} - {""}))


def columns_of(expression: str, dialect: str) -> tuple[str, ...]:
    """Return the columns that an expression such as `upper(first || last)` names, each once. Never raises."""
    parsed = _parsed(expression, dialect)
    return () if parsed is None else tuple(dict.fromkeys(one.name for one in parsed.find_all(exp.Column, bfs=False)))


def _parsed(sql: str, dialect: str) -> exp.Expr | None:
    """Return the statement with NULL for each `:parameter`; None for what is no statement."""
    try:
        parameters = dict.fromkeys(names(sql, _STYLES.get(dialect, "named_dollar")))
        text, _ = rewritten(sql, parameters, dialect, lambda _: "NULL")
        return sqlglot.parse_one(text, read=dialect)
    except Exception:  # noqa: BLE001 - see column_lineage
        return None


def _folds(dialect: str) -> bool:
    """Say whether case does not count in names but is kept: then a name is best told as it is written."""
    return Dialect.get_or_raise(dialect).normalization_strategy is NormalizationStrategy.CASE_INSENSITIVE


def _name_tables(query: exp.Expr, dialect: str) -> None:
    """Keep each table's name with it, and make names equal whose case does not count."""
    if not _folds(dialect):
        normalize_identifiers(query, dialect=dialect)
    for table in query.find_all(exp.Table):
        table.meta[_NAME] = ".".join(part.name for part in table.parts if isinstance(part, exp.Identifier))
    normalize_identifiers(query, dialect=dialect)


class _Query:
    """A query made ready to be followed: its tables have aliases, and its columns a table where that is sure."""

    def __init__(self, query: exp.Query, dialect: str, known: Mapping[str, Sequence[str]]) -> None:
        self._dialect = dialect
        self._unnamed = {f"_col_{number}" for number, one in enumerate(query.selects) if not _has_name(one)}
        self._written: dict[str, str] = {}
        if _folds(dialect):
            written = [identifier.name for identifier in query.find_all(exp.Identifier, bfs=False)]
            written += [column for columns in known.values() for column in columns]
            self._written = {name.lower(): name for name in reversed(written)}
        for part in query.find_all(exp.Query):
            for clause in _NO_VALUES:
                part.set(clause, None)
        _name_tables(query, dialect)
        self._schema = _schema(query, dialect, known)
        self._query = qualify_tables(query, dialect=dialect)
        _give_columns_their_table(self._query)

    def columns(self) -> dict[str, Sources]:
        """Return the sources of each output column."""
        found = {
            self._as_written(column): self._sources(node)
            for column, node in lineage(
                None, self._query, self._schema, dialect=self._dialect, trim_selects=False
            ).items()
            if column not in self._unnamed and column != "*"
        }
        told = {column: sources for column, sources in found.items() if sources is not None}
        stars = self._named((table, "*") for table in self._starred())
        return told | ({"*": stars} if stars else {})

    def _sources(self, node: Node) -> Sources | None:
        """Return the sources of a column; None when one of them cannot be told."""
        found = list(_leaves(node))
        return None if None in found else self._named(one for one in found if one is not None)

    def _named(self, sources: Iterable[tuple[exp.Table, str]]) -> Sources:
        named = {(str(table.meta[_NAME]), self._as_written(column)) for table, column in sources}
        return tuple(sorted(pair for pair in named if pair[0]))

    def _as_written(self, column: str) -> str:
        return self._written.get(column, column)

    def _starred(self) -> Iterator[exp.Table]:
        """Yield the tables whose columns, all of them, are output columns."""
        if self._query.find(exp.Star) is None:
            return
        expanded = qualify(
            self._query.copy(), dialect=self._dialect, schema=self._schema, validate_qualify_columns=False,
            quote_identifiers=False,
        )  # fmt: skip
        scope = build_scope(expanded)
        if scope is not None:
            yield from _starred(scope)


def _has_name(output: exp.Expr) -> bool:
    """Say whether the output column has the same name in every system."""
    return bool(output.alias) or isinstance(output, exp.Column | exp.Dot | exp.Star)


def _schema(query: exp.Query, dialect: str, known: Mapping[str, Sequence[str]]) -> MappingSchema:
    """Return what is known of the query's tables; sqlglot wants all of their names to have the same number of parts."""
    columns = {name.lower() if _folds(dialect) else name: columns for name, columns in known.items()}
    schema = MappingSchema(dialect=dialect, normalize=False)
    tables = list(query.find_all(exp.Table))
    depth = max((len(table.parts) for table in tables), default=0)
    for table in tables:
        name = ".".join(part.name for part in table.parts)
        if len(table.parts) == depth and name in columns:
            folded = [column.lower() if _folds(dialect) else column for column in columns[name]]
            schema.add_table(table, dict.fromkeys(folded, "TEXT"))
    return schema


def _give_columns_their_table(query: exp.Query) -> None:
    """Say in each SELECT from one table that columns without a table are of that one, as names are looked up in SQL.

    Not where the name may be that of another output column: `SELECT a + 1 AS b, b * 2 AS c`.
    """
    for scope in traverse_scope(query):
        select = scope.expression
        if not isinstance(select, exp.Select) or len(scope.selected_sources) != 1:
            continue
        (table,) = scope.selected_sources
        aliases = {one.alias for one in select.selects if isinstance(one, exp.Alias)}
        for column in scope.unqualified_columns:
            own = column.find_ancestor(exp.Alias, exp.Select)
            of_others = column.name in aliases and not (isinstance(own, exp.Alias) and own.alias == column.name)
            if column.find_ancestor(exp.Select) is select and not of_others:
                column.set("table", exp.to_identifier(table, quoted=True))


def _leaves(node: Node) -> Iterator[tuple[exp.Table, str] | None]:
    """Yield the tables' columns that a node of sqlglot's lineage is made of; None for one that is not known."""
    if isinstance(node.expression, exp.Star):  # the column is one of a query whose columns are not known
        tables = [table for child in node.downstream for table in child.source.find_all(exp.Table)]
        name = node.name.rpartition(".")[2]
        yield (tables[0], name) if len(tables) == 1 and not name.isdigit() else None
        return
    for child in node.downstream:
        if child.downstream or not isinstance(child.expression, exp.Table | exp.Placeholder):
            yield from _leaves(child)
        elif isinstance(child.expression, exp.Table):
            yield child.expression, sqlglot.parse_one(child.name).name
        else:
            yield None


def _starred(scope: Scope) -> Iterator[exp.Table]:
    if isinstance(scope.expression, exp.SetOperation):
        for side in scope.set_operation_scopes:
            yield from _starred(side)
        return
    outputs = scope.expression.selects if isinstance(scope.expression, exp.Query) else []
    for select in outputs:
        if select.is_star:
            wanted = [select.table] if isinstance(select, exp.Column) else list(scope.selected_sources)
            for source in (scope.sources.get(name) for name in wanted):
                yield from [source] if isinstance(source, exp.Table) else _starred(source) if source else []
