"""Small builders over sqlglot: every statement of the strategies is made of these, and every identifier is quoted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from ematix_core.model.table import TableName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ematix_core.sql.dialect import Dialect


def placed(table: TableName, dialect: Dialect) -> TableName:
    """Return the name under which `table` is kept: without schemas, `a.b` becomes `a_b`."""
    if dialect.schemas or not table.schema or table.schema == "main":
        return table
    return TableName("", f"{table.schema}_{table.name}")


def name(text: str) -> exp.Identifier:
    """Return a quoted identifier."""
    return exp.to_identifier(text, quoted=True)


def table(target: TableName, alias: str = "") -> exp.Expr:
    """Return a table reference with an optional alias."""
    schema = name(target.schema) if target.schema else None
    reference = exp.Table(this=name(target.name), db=schema)
    return exp.alias_(reference, alias, table=True, quoted=True) if alias else reference


def derived(query: exp.Query, alias: str) -> exp.Subquery:
    """Return `(query) AS alias`, to select from."""
    return query.subquery(name(alias))


def col(column: str, of: str = "") -> exp.Column:
    """Return a quoted column, qualified by the alias `of` when given."""
    return exp.Column(this=name(column), table=name(of) if of else None)


def cols(columns: Iterable[str], of: str = "") -> list[exp.Expr]:
    """Return several columns."""
    return [col(column, of) for column in columns]


def bound(parameter: str) -> exp.Expr:
    """Return the placeholder `:parameter`, which the session binds."""
    return verbatim(f":{parameter}")


def verbatim(sql: str) -> exp.Expr:
    """Return SQL text as an expression that is rendered as it is."""
    return exp.Var(this=sql)


def both(conditions: Sequence[exp.Expr]) -> exp.Expr:
    """Return the conjunction; TRUE for none."""
    return exp.and_(*conditions) if conditions else exp.true()


def either(conditions: Sequence[exp.Expr]) -> exp.Expr:
    """Return the disjunction in parentheses; FALSE for none."""
    return exp.paren(exp.or_(*conditions)) if conditions else exp.false()


def same_keys(keys: Iterable[str], a: str, b: str) -> exp.Expr:
    """Return `a.k = b.k AND ...`: keys are never NULL."""
    return both([exp.EQ(this=col(key, a), expression=col(key, b)) for key in keys])


def same_values(columns: Iterable[str], a: str, b: str) -> exp.Expr:
    """Return the NULL-safe equality of all columns."""
    return both([exp.NullSafeEQ(this=col(c, a), expression=col(c, b)) for c in columns])


def differs(columns: Iterable[str], a: str, b: str) -> exp.Expr:
    """Return the NULL-safe difference of any column; FALSE when there is none to compare."""
    return either([exp.NullSafeNEQ(this=col(c, a), expression=col(c, b)) for c in columns])


def is_null(column: str, of: str = "") -> exp.Expr:
    """Return `column IS NULL`."""
    return exp.Is(this=col(column, of), expression=exp.null())


def is_true(column: str, of: str) -> exp.Expr:
    """Return the condition that a Boolean column is true; FALSE where it is NULL."""
    return exp.Coalesce(this=col(column, of), expressions=[exp.false()])


def among(columns: Sequence[str], of: str, query: exp.Query) -> exp.Expr:
    """Return `(columns) IN (query)`."""
    found = cols(columns, of)
    return exp.In(this=found[0] if len(found) == 1 else exp.Tuple(expressions=found), query=query.subquery())


def exists(query: exp.Select) -> exp.Expr:
    """Return `EXISTS (query)`."""
    return exp.Exists(this=query)


def not_exists(query: exp.Select) -> exp.Expr:
    """Return `NOT EXISTS (query)`."""
    return exp.Not(this=exists(query))


def ranked(function: str, partition: Sequence[exp.Expr], order: Sequence[exp.Expr]) -> exp.Window:
    """Return `ROW_NUMBER() OVER (PARTITION BY ... ORDER BY ...)` or the like."""
    this = {"row_number": exp.RowNumber, "rank": exp.Rank}[function]()
    return exp.Window(this=this, partition_by=list(partition), order=exp.Order(expressions=list(order)))


def descending(column: exp.Expr) -> exp.Ordered:
    """Return `column DESC NULLS LAST`: a NULL never wins."""
    return exp.Ordered(this=column, desc=True, nulls_first=False)


def ascending(column: exp.Expr) -> exp.Ordered:
    """Return `column ASC`."""
    return exp.Ordered(this=column, desc=False, nulls_first=False)


def update_from(
    target: TableName,
    values: Mapping[str, exp.Expr],
    *,
    source: exp.Expr | None,
    where: exp.Expr,
) -> exp.Update:
    """Return `UPDATE target AS t SET ... FROM source WHERE ...`; the target's alias is `t`."""
    return exp.Update(
        this=table(target, "t"),
        expressions=[exp.EQ(this=col(column), expression=value) for column, value in values.items()],
        from_=exp.From(this=source) if source is not None else None,
        where=exp.Where(this=where),
    )


def delete(target: TableName, where: exp.Expr) -> exp.Delete:
    """Return `DELETE FROM target AS t WHERE ...`."""
    return exp.Delete(this=table(target, "t"), where=exp.Where(this=where))


def create_as(target: TableName, query: exp.Query, dialect: Dialect) -> exp.Create:
    """Return `CREATE TABLE target AS query` for a work table, temporary where the system's staging is."""
    temporary = exp.Properties(expressions=[exp.TemporaryProperty()]) if dialect.temporary_staging else None
    return exp.Create(this=table(target), kind="TABLE", expression=query, properties=temporary)


def create_index(
    index: str, target: TableName, keys: Iterable[str], *, unique: bool = False, where: str = ""
) -> exp.Create:
    """Return `CREATE [UNIQUE] INDEX index ON target (keys) [WHERE column]`."""
    condition = exp.Where(this=col(where)) if where else None
    parameters = exp.IndexParameters(columns=cols(keys), where=condition)
    made = exp.Index(this=name(index), table=table(target), params=parameters)
    return exp.Create(this=made, kind="INDEX", unique=unique)


def drop(target: TableName) -> exp.Drop:
    """Return `DROP TABLE target`."""
    return exp.Drop(tables=[table(target)], kind="TABLE")


def count(query_from: exp.Expr) -> exp.Select:
    """Return the query for the number of rows of something."""
    return exp.select(exp.Count(this=exp.Star())).from_(query_from)


def everything(of: TableName) -> exp.Select:
    """Return `SELECT * FROM of`."""
    return exp.select("*").from_(table(of))


def highest(column: str, of: TableName, dialect: Dialect) -> str:
    """Return the text of `SELECT max(column) FROM of`."""
    return text(exp.select(exp.Max(this=col(column))).from_(table(of)), dialect)


def text(statement: exp.Expr, dialect: Dialect) -> str:
    """Render a statement in the dialect's grammar, formatted for people."""
    if dialect.grammar == "mysql":
        statement = _several_tables(statement)
    return statement.sql(dialect=dialect.grammar, pretty=True, identify=True)


def _several_tables(statement: exp.Expr) -> exp.Expr:
    """Return UPDATE .. FROM and DELETE .. AS in MySQL's own form, which names all tables before SET, or before FROM.

    https://dev.mysql.com/doc/refman/8.0/en/update.html, https://dev.mysql.com/doc/refman/8.0/en/delete.html
    """
    if isinstance(statement, exp.Update):
        statement = statement.copy()
        if (source := statement.args.pop("from_", None)) is not None:
            statement.this.set("joins", [exp.Join(this=source.this)])
        for assignment in statement.expressions:
            assignment.this.set("table", name(statement.this.alias))
    elif isinstance(statement, exp.Delete) and statement.this.alias:
        statement = statement.copy()
        statement.set("tables", [exp.Table(this=name(statement.this.alias))])
    return statement


def literal(value: Any) -> exp.Expr:  # noqa: ANN401 - any Python value that a check compares with
    """Return a literal; dates, times and decimals are cast from text."""
    return exp.convert(value)
