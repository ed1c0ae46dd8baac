"""Tables: columns with their types, keys and normalizers, declared as a class."""

from __future__ import annotations

import re
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints, overload

from ematix_core.errors import DeclarationError, UnsupportedError
from ematix_core.model.normalize import Normalizer, chain
from ematix_core.model.options import explained
from ematix_core.types import ColumnType, from_field

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

_CAMEL_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class PrimaryKey:
    """Marker: the column belongs to the primary key."""


@dataclass(frozen=True)
class NaturalKey:
    """Marker: the column belongs to the natural key (a UNIQUE group) named `group`."""

    group: str = ""


def pk() -> PrimaryKey:
    """Mark a column as part of the primary key; several marked columns make a composite key in declaration order."""
    return PrimaryKey()


def natural_key(group: str = "") -> NaturalKey:
    """Mark a column as part of a natural key: the merge key of choice when a table declares one.

    Columns with the same `group` form one UNIQUE constraint.
    """
    return NaturalKey(group)


@dataclass(frozen=True, order=True)
class TableName:
    """A table's schema (may be empty) and name."""

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Split `schema.name` or `name` at the last dot. A file pattern or path (with `/`, `*`) is kept whole."""
        if "/" in text or "*" in text:
            return cls("", text)
        schema, _, name = text.rpartition(".")
        return cls(schema, name)

    def __str__(self) -> str:
        """Return `schema.name`, or the name alone."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True)
class Column:
    """One column: declared by a user, inferred from Arrow, or found in a target."""

    name: str
    type: type[ColumnType]
    nullable: bool = True
    primary_key: bool = False
    natural_key: str | None = None
    normalizers: tuple[Normalizer, ...] = ()

    @property
    def derived(self) -> bool:
        """Whether the column is made from others, so that the source need not have it."""
        return bool(self.normalizers) and self.normalizers[0].derived

    def normalized(self, column_sql: str) -> str:
        """Return the DuckDB SQL of the column after its normalizers, given the SQL of what the source brings."""
        return chain(self.normalizers, column_sql)


def columns_from(schema: pa.Schema) -> tuple[Column, ...]:
    """Return the columns of an Arrow schema. Raises UnsupportedError naming a column that no column type fits."""
    columns = []
    for found in schema:
        try:
            columns.append(Column(found.name, from_field(found), found.nullable))
        except TypeError as error:
            raise UnsupportedError(
                f"column {found.name!r} has the type {found.type}, which ematix cannot carry",
                hint="Cast it in the query, to text for example.",
            ) from error
    return tuple(columns)


@dataclass(frozen=True)
class TableDef:
    """A declared table: name, columns, keys."""

    table: TableName
    columns: tuple[Column, ...]
    merge_keys: tuple[str, ...] = ()
    doc: str = field(default="", compare=False)
    module: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The qualified name, such as `analytics.customers`."""
        return str(self.table)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns marked pk(), in declaration order."""
        return tuple(c.name for c in self.columns if c.primary_key)

    @property
    def natural_keys(self) -> dict[str, tuple[str, ...]]:
        """The columns marked natural_key(), by group, in declaration order."""
        groups: dict[str, tuple[str, ...]] = {}
        for column in self.columns:
            if column.natural_key is not None:
                groups[column.natural_key] = (*groups.get(column.natural_key, ()), column.name)
        return groups

    def key(self) -> tuple[tuple[str, ...], str]:
        """Return the default merge key and the reason for it; an empty key when the table declares none."""
        if self.merge_keys:
            return self.merge_keys, "the table's __merge_keys__"
        for group, columns in self.natural_keys.items():
            return columns, f"the table's natural key{f' {group!r}' if group else ''}"
        return (self.primary_key, "the table's primary key") if self.primary_key else ((), "")

    def __repr__(self) -> str:
        """Show the name and the columns on one line."""
        inner = ", ".join(f"{c.name}: {c.type.label()}{' | None' if c.nullable else ''}" for c in self.columns)
        return f"<table {self.name} ({inner})>"


TableLike = TableDef | str | type[Any]
"""A table declaration or a name. The class is there for type checkers only, as in `ConnectionLike`."""


@overload
def table(cls: type, /) -> TableDef: ...
@overload
def table(*, schema: str = "", name: str = "") -> Callable[[type], TableDef]: ...
@explained("@ematix.table", hint="Write @ematix.table(schema='...', name='...') over the class; both may be left out.")
def table(cls: type | None = None, /, *, schema: str = "", name: str = "") -> TableDef | Callable[[type], TableDef]:
    """Make a TableDef of the decorated class: its annotations become the columns.

    Stands over the class with or without parentheses.
    `schema` may be empty; `name` defaults to the class name in snake case (`DailyRevenue` -> `daily_revenue`).
    Raises DeclarationError for annotations that are no column type, and for keys that are no columns.
    """

    def declare(cls: type) -> TableDef:
        if not isinstance(cls, type):
            raise DeclarationError(
                f"@ematix.table is given {cls!r}, which is no class",
                hint="Write @ematix.table(schema='...', name='...') over a class.",
            )
        return _declare(cls, schema=schema, name=name or snake_case(cls.__name__))

    return declare if cls is None else declare(cls)


class _ManagedTableMeta(type):
    """Turns each subclass of ManagedTable into a TableDef."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:  # noqa: ANN401 - a class or, for subclasses, a TableDef
        cls = super().__new__(mcls, name, bases, namespace)
        if not bases:
            return cls
        table_name = getattr(cls, "__tablename__", snake_case(name))
        return _declare(cls, schema=getattr(cls, "__schema__", ""), name=table_name)


class ManagedTable(metaclass=_ManagedTableMeta):
    """Base class form of `@table`: `__schema__` and `__tablename__` name it, annotations are its columns."""


def _declare(cls: type, *, schema: str, name: str) -> TableDef:
    where = f"table {cls.__name__}"
    try:
        hints = get_type_hints(cls, include_extras=True, globalns=vars(sys.modules[cls.__module__]))
    except NameError as error:
        raise DeclarationError(f"unknown type in an annotation: {error}", where=where) from error
    columns = tuple(_column(key, hint, where) for key, hint in hints.items() if not key.startswith("__"))
    if not columns:
        raise DeclarationError("a table needs at least one column", where=where, hint="Annotate it: id: BigInt")
    merge_keys = _strings(getattr(cls, "__merge_keys__", ()))
    for key in merge_keys:
        if key not in {c.name for c in columns}:
            raise DeclarationError(f"__merge_keys__ names {key!r}, which is no column", where=where)
    return TableDef(TableName(schema, name), columns, merge_keys, (cls.__doc__ or "").strip(), cls.__module__)


def _column(name: str, hint: Any, where: str) -> Column:  # noqa: ANN401 - whatever the user annotated
    markers: list[Any] = []
    nullable = False
    while True:
        if get_origin(hint) is Annotated:
            hint, *extra = get_args(hint)
            markers = [*extra, *markers]
        elif get_origin(hint) in {Union, types.UnionType} and type(None) in get_args(hint):
            nullable = True
            rest = [a for a in get_args(hint) if a is not type(None)]
            hint = rest[0] if len(rest) == 1 else hint
            if len(rest) != 1:
                break
        else:
            break
    if not (isinstance(hint, type) and issubclass(hint, ColumnType) and hint.kind):
        raise DeclarationError(
            f"column {name!r} has the annotation {hint!r}, which is no column type",
            where=where,
            hint="Use a type of ematix_core.types, such as BigInt, Text or Numeric[12, 2].",
        )
    primary = any(isinstance(m, PrimaryKey) for m in markers)
    if primary and nullable:
        raise DeclarationError(f"primary key column {name!r} cannot be nullable", where=where, hint="Remove `| None`.")
    group = next((m.group for m in markers if isinstance(m, NaturalKey)), None)
    return Column(name, hint, nullable, primary, group, _normalizers(name, markers, where))


def _normalizers(name: str, markers: list[Any], where: str) -> tuple[Normalizer, ...]:
    steps = tuple(m for m in markers if not isinstance(m, PrimaryKey | NaturalKey))
    for step in steps:
        if not isinstance(step, Normalizer):
            raise DeclarationError(
                f"column {name!r} is annotated with {step!r}, which is neither a key marker nor a normalizer",
                where=where,
                hint="Call it: pk(), natural_key(), normalize.trim(), ...",
            )
        if step.derived and step is not steps[0]:
            raise DeclarationError(
                f"column {name!r}: {step!r} makes the column, so it must be the first normalizer", where=where
            )
    return steps


def _strings(value: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def snake_case(name: str) -> str:
    """Return the name of a class as tables and functions have it: `DailyRevenue` -> `daily_revenue`."""
    return _CAMEL_BOUNDARY.sub("_", name).lower()
