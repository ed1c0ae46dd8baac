"""DDL planning: create what is missing, and hold rows against an existing table (drift)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from ematix_core.errors import DriftError, UnsupportedError
from ematix_core.sql import build
from ematix_core.sql.shape import SOURCE
from ematix_core.sql.widening import widens
from ematix_core.types import Text, Unknown

CREATE_TABLE = "create table"
"""Name of the step that makes the target."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.model.table import Column, TableName
    from ematix_core.sql.dialect import Dialect


@dataclass(frozen=True)
class Wanted:
    """A table as the declarations want it.

    `declared`: the columns come from a table declaration, not from what the rows happen to be. `current`: the
    column that marks current rows of an scd2 table, whose key is unique only among those; `dated`: its versions are
    dated by the data, so that loads look at all versions of a key.
    """

    table: TableName
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    merge_key: tuple[str, ...] = ()
    current: str = ""
    dated: bool = False
    declared: bool = True

    def keyed(self, column: str) -> bool:
        """Say whether the column is part of a key, on which there may be an index."""
        return any(column in group for group in (self.primary_key, self.merge_key, *self.unique))


@dataclass
class DdlPlan:
    """Statements with their reasons, the columns to load, and remarks."""

    statements: list[tuple[str, str, str]] = field(default_factory=list)
    """Triples of step name, SQL, reason."""
    later: list[tuple[str, str, str]] = field(default_factory=list)
    """Those for after the load: indexes of a new table, which are made faster once the rows are in."""
    columns: tuple[Column, ...] = ()
    """The columns that the load will write, in the rows' order, with the types that the table will have."""
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def plan_ddl(wanted: Wanted, existing: Sequence[Column] | None, dialect: Dialect, on_drift: str) -> DdlPlan:
    """Plan the DDL that brings the table to what the rows need.

    Raises DriftError for a difference that `on_drift` forbids, UnsupportedError for a type that the system lacks.
    """
    if existing is None:
        wanted = replace(wanted, columns=tuple(_known(column) for column in wanted.columns))
    for column in wanted.columns:
        if column.type is not Unknown:
            dialect.sql_type(column.type, column=column.name)
    if existing is None:
        return _create(wanted, dialect)
    return _Drift(wanted, dialect, on_drift).compare(existing)


def _known(column: Column) -> Column:
    """Return the column with a type that a table can have."""
    return replace(column, type=Text) if column.type is Unknown else column


def _create(wanted: Wanted, dialect: Dialect) -> DdlPlan:
    plan = DdlPlan(columns=wanted.columns)
    if not dialect.ddl:
        plan.notes.append(f"{wanted.table} does not exist yet: it begins with this load")
        return plan
    if wanted.table.schema and dialect.schemas:
        schema = exp.Create(this=exp.Table(this=build.name(wanted.table.schema)), kind="SCHEMA", exists=True)
        plan.statements.append(("create schema", build.text(schema, dialect), "the table's schema may be missing"))
    plan.statements.append((CREATE_TABLE, create_table(wanted, dialect), f"{wanted.table} does not exist"))
    indexes = plan.later if dialect.transactional_ddl else plan.statements
    indexes += _indexes(wanted, dialect)
    if not dialect.declares_keys and (wanted.primary_key or wanted.unique):
        plan.notes.append(f"{dialect.name}: keys are kept unique by the load mode, not by an index that slows loading")
    return plan


def create_staging(wanted: Wanted, dialect: Dialect) -> str:
    """Return CREATE TABLE for a work table: without constraints, temporary where the system's staging is."""
    return create_table(wanted, dialect, strict=False, temporary=dialect.temporary_staging)


def create_table(wanted: Wanted, dialect: Dialect, *, strict: bool = True, temporary: bool = False) -> str:
    """Return CREATE TABLE with the types and, if strict, NOT NULL and, where the dialect declares keys, those."""
    definitions: list[exp.Expr] = [
        _definition(column, dialect, strict=strict, key=wanted.keyed(column.name)) for column in wanted.columns
    ]
    if dialect.declares_keys and not wanted.current and strict:
        if wanted.primary_key:
            definitions.append(exp.PrimaryKey(expressions=[build.name(key) for key in wanted.primary_key]))
        for group in wanted.unique:
            unique = exp.UniqueColumnConstraint(this=exp.Schema(expressions=[build.name(key) for key in group]))
            definitions.append(unique)
    properties = exp.Properties(expressions=[exp.TemporaryProperty()]) if temporary else None
    schema = exp.Schema(this=build.table(wanted.table), expressions=definitions)
    return build.text(exp.Create(this=schema, kind="TABLE", properties=properties), dialect)


def create_as(
    table: TableName,
    rows: str,
    columns: Sequence[Column],
    query: str,
    dialect: Dialect,
    *,
    temporary: bool,
    foreign: Mapping[str, str] | None = None,
) -> str:
    """Return CREATE TABLE AS `query`, in which SOURCE are the rows of the query `rows`.

    They have the types, and text the collation, that columns of staging have; `foreign`: other types by column.
    """
    selected = exp.select(*(_as_staged(column, (foreign or {}).get(column.name, ""), dialect) for column in columns))
    source = (
        f"{build.text(build.name(SOURCE), dialect)} AS (\n{build.text(selected, dialect)}\nFROM (\n{rows}\n) AS q\n)"
    )
    kind = "TEMPORARY TABLE" if temporary else "TABLE"
    return f"CREATE {kind} {build.text(build.table(table), dialect)} AS\nWITH {source}\n{query}"


def _as_staged(column: Column, foreign: str, dialect: Dialect) -> exp.Expr:
    sql_type = foreign or dialect.sql_type(column.type, column=column.name)
    value: exp.Expr = exp.Cast(this=build.col(column.name, "q"), to=exp.Var(this=sql_type))
    item = column.type.parameters["item"] if column.type.kind == "array" else column.type
    if dialect.collation and not foreign and item.kind in {"text", "string"}:
        value = exp.Collate(this=value, expression=build.name(dialect.collation))
    return exp.alias_(value, column.name, quoted=True)


def _definition(column: Column, dialect: Dialect, *, strict: bool, key: bool = False) -> exp.ColumnDef:
    sql_type = dialect.key_type if key else dialect.sql_type
    kind = exp.Var(this=sql_type(column.type, column=column.name))
    constraints = [exp.ColumnConstraint(kind=exp.NotNullColumnConstraint())] if strict and not column.nullable else []
    return exp.ColumnDef(this=build.name(column.name), kind=kind, constraints=constraints)


def _indexes(wanted: Wanted, dialect: Dialect) -> list[tuple[str, str, str]]:
    table, key = wanted.table, wanted.merge_key
    fast = f"{dialect.name} needs it to find keys fast"
    made = []
    if wanted.current and dialect.partial_indexes:
        current = build.create_index(f"{table.name}_current", table, key, unique=True, where=wanted.current)
        made.append((current, "one current row a key, kept by the system"))
    if wanted.current and dialect.indexes_keys and (wanted.dated or not dialect.partial_indexes):
        made.append((build.create_index(f"{table.name}_versions", table, key), fast))
    known = {wanted.primary_key, *wanted.unique} if dialect.declares_keys else set()
    if not wanted.current and dialect.indexes_keys and key and key not in known:
        made.append((build.create_index(f"{table.name}_key", table, key, unique=True), fast))
    return [("create index", build.text(statement, dialect), why) for statement, why in made]


class _Drift:
    """Holds the rows' columns against those of an existing table, one by one."""

    def __init__(self, wanted: Wanted, dialect: Dialect, on_drift: str) -> None:
        self._wanted = wanted
        self._dialect = dialect
        self._on_drift = on_drift
        self._where = f"table {wanted.table}"
        self.plan = DdlPlan()

    def compare(self, existing: Sequence[Column]) -> DdlPlan:
        """Return the plan. Raises DriftError, UnsupportedError."""
        found = {column.name: column for column in existing}
        lost = [name for name in found if name not in {c.name for c in self._wanted.columns}]
        if lost:
            raise DriftError(
                f"the table has columns that the rows lack: {', '.join(lost)}",
                where=self._where,
                hint="Add them to the query and the declaration, or drop them from the table.",
            )
        kept = [
            self._old(column, found[column.name]) if column.name in found else self._new(column)
            for column in self._wanted.columns
        ]
        self.plan.columns = tuple(column for column in kept if column is not None)
        return self.plan

    def _new(self, column: Column) -> Column | None:
        column = _known(column)
        if self._on_drift == "warn":
            self.plan.warnings.append(
                f"{self._wanted.table}: new column {column.name!r} is not loaded (on_drift='warn')"
            )
            return None
        if self._on_drift == "error":
            raise DriftError(
                f"the rows have a column {column.name!r} that the table lacks",
                where=self._where,
                hint="Set on_drift='add' to add it, on_drift='warn' to leave it out, or remove it from the query.",
            )
        if self._dialect.ddl:
            definition = _definition(column, self._dialect, strict=False)
            alter = exp.Alter(this=build.table(self._wanted.table), kind="TABLE", actions=[definition])
            why = f"on_drift={self._on_drift!r}: new column"
            self.plan.statements.append(("add column", build.text(alter, self._dialect), why))
        self.plan.notes.append(f"column {column.name!r} is new; rows loaded before have NULL in it")
        return column

    def _old(self, column: Column, old: Column) -> Column:
        if column.type is not Unknown:
            if self._type(column) == self._type(old):
                return column
            if self._wanted.keyed(column.name) and self._key_type(column) == self._type(old):
                return replace(column, type=old.type)
        change = f"column {column.name!r} is {old.type.label()} in the table and {column.type.label()} in the rows"
        if widens(column.type, old.type) and not self._wanted.declared:
            self.plan.notes.append(f"{change}: every value fits")
            return replace(column, type=old.type)
        if self._is_limit(column, old):
            self.plan.notes.append(f"{change}: a longer text fails the load")
            return replace(column, type=old.type)
        if not widens(old.type, column.type):
            raise DriftError(
                f"{change}, which is narrower or another kind of type",
                where=self._where,
                hint=f"Cast it in the query or declare it as {old.type.label()}; values are never bent to fit.",
            )
        return self._wider(column, old, change)

    def _is_limit(self, column: Column, old: Column) -> bool:
        """Say whether the table only limits the length of texts. Few sources know of any: values are held to it."""
        told = self._wanted.declared or self._on_drift == "evolve"
        return column.type is Text and old.type.kind == "string" and not told

    def _wider(self, column: Column, old: Column, change: str) -> Column:
        if self._on_drift == "warn":
            self.plan.warnings.append(
                f"{self._wanted.table}: {change}; values that do not fit will fail the load (on_drift='warn')"
            )
            return replace(column, type=old.type)
        if self._on_drift != "evolve":
            raise DriftError(
                f"{change}, which is wider",
                where=self._where,
                hint="Set on_drift='evolve' to widen the table's column, or 'warn' to keep it for values that fit.",
            )
        if not self._dialect.ddl:
            return column
        if not self._dialect.alter_type:
            raise UnsupportedError(
                f"{change}, and {self._dialect.name} cannot change a column's type",
                where=self._where,
                hint="Make a new table and copy the rows, or cast the column in the query.",
            )
        kind = exp.DataType.build(self._type(column), dialect=self._dialect.grammar)
        action = exp.AlterColumn(this=build.name(column.name), dtype=kind)
        alter = exp.Alter(this=build.table(self._wanted.table), kind="TABLE", actions=[action])
        why = f"on_drift='evolve': {change}"
        self.plan.statements.append(("widen column", build.text(alter, self._dialect), why))
        return column

    def _type(self, column: Column) -> str:
        return self._dialect.sql_type(column.type, column=column.name)

    def _key_type(self, column: Column) -> str:
        return self._dialect.key_type(column.type, column=column.name)
