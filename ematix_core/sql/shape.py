"""The DuckDB query that shapes rows before a load: normalizers, row transforms, types, row hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.model.normalize import chain
from ematix_core.model.transform import DeduplicateBy, FilterWhere, Limit, Sample, Transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.model.table import Column
    from ematix_core.sql.dialect import Dialect

SOURCE = "_ematix_source"
"""The name of the relation that holds the rows as read."""


@dataclass(frozen=True)
class Shape:
    """What happens to the rows between source and target.

    `columns`: what comes out, in order, with the types wanted. `casts`: those of them whose type differs from what
    is read; `exact`: every value that is read fits the type wanted, so that DuckDB may cast (it would round or cut
    others, where Arrow's casts on a stream refuse them). `hash_of` and `hash_name`: the columns that the row hash
    covers, and its name; empty for none.
    """

    columns: tuple[Column, ...]
    casts: frozenset[str] = frozenset()
    exact: bool = True
    transforms: tuple[Transform, ...] = ()
    hash_of: tuple[str, ...] = ()
    hash_name: str = ""

    @property
    def needs_sql(self) -> bool:
        """Say whether more has to be done than picking and casting columns."""
        return bool(self.transforms or self.hash_name or any(column.normalizers for column in self.columns))

    @property
    def only_hashed(self) -> bool:
        """Say whether the row hash is all that has to be made."""
        return bool(self.hash_name) and not self.transforms and not any(c.normalizers for c in self.columns)


def shape_sql(shape: Shape, dialect: Dialect, rows: str = f'"{SOURCE}"', *, cast: bool = False) -> str:
    """Return the query over `rows` (a relation's name, or a query in parentheses) in DuckDB SQL.

    Normalizers come first, then the transforms in their order, then the hash of the values as they will be stored,
    and, with `cast`, the types wanted.
    """
    query = f"SELECT {', '.join(_normalized(column) for column in shape.columns)}\nFROM {rows} AS s"
    for transform in shape.transforms:
        query = _transformed(query, transform)
    if not shape.hash_name and not (cast and shape.casts):
        return query
    stored = {column.name: _cast(column, shape, dialect) for column in shape.columns}
    names = [f"{stored[c.name]} AS {_quote(c.name)}" if cast else _quote(c.name) for c in shape.columns]
    if shape.hash_name:
        names.append(f"{hash_sql([stored[name] for name in shape.hash_of])} AS {_quote(shape.hash_name)}")
    return f"SELECT {', '.join(names)}\nFROM (\n{query}\n) AS shaped"


def staged_hash(shape: Shape) -> str:
    """Return the row hash as SQL over a staged row `s`."""
    return hash_sql([f'"s".{_quote(name)}' for name in shape.hash_of])


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _normalized(column: Column) -> str:
    name = _quote(column.name)
    return f"{chain(column.normalizers, name)} AS {name}" if column.normalizers else name


def _cast(column: Column, shape: Shape, dialect: Dialect) -> str:
    name = _quote(column.name)
    if column.name not in shape.casts:
        return name
    return f"CAST({name} AS {dialect.sql_type(column.type, column=column.name)})"


def hash_sql(values: Sequence[str]) -> str:
    """Return the MD5 of the values as text, NULL told apart from every text by a control character."""
    parts = [f"coalesce(CAST({value} AS VARCHAR), chr(30))" for value in values]
    return f"md5({' || chr(31) || '.join(parts) or repr('')})"


def _transformed(query: str, transform: Transform) -> str:
    inner = f"FROM (\n{query}\n) AS t"
    match transform:
        case FilterWhere(condition):
            return f"SELECT * {inner}\nWHERE ({condition})"
        case DeduplicateBy(keys, order_by):
            order = f" ORDER BY {_quote(order_by)} DESC NULLS LAST" if order_by else ""
            by = ", ".join(map(_quote, keys))
            return f"SELECT * {inner}\nQUALIFY row_number() OVER (PARTITION BY {by}{order}) = 1"
        case Limit(rows):
            return f"SELECT * {inner}\nLIMIT {rows}"
        case Sample(percent):
            return f"SELECT * {inner}\nUSING SAMPLE {percent} PERCENT (bernoulli)"
