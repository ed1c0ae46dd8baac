"""Which types of JSON values go with the columns of a target, where those found in a micro-batch do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.sql.widening import widens
from ematix_core.types import BigInt, Boolean, Double, Text, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.model.table import Column
    from ematix_core.sql.dialect import Dialect
    from ematix_core.types import ColumnType

_PLAIN: tuple[type[ColumnType], ...] = (BigInt, Double, Boolean, Text)


def wanted_types(
    found: Sequence[Column], existing: Sequence[Column], dialect: Dialect
) -> Mapping[str, Sequence[type[ColumnType]]]:
    """Return the types that are found in JSON and fit, of each column whose type in the rows does not fit the table.

    A column for which there is none is left out.
    """
    types = {column.name: column.type for column in existing}
    wanted: dict[str, Sequence[type[ColumnType]]] = {}
    for column in found:
        old = types.get(column.name)
        if old is None or _fits(column.name, column.type, old, dialect):
            continue
        nested = (old,) if old.kind in {"array", "struct"} else ()
        if kinds := [kind for kind in (*_PLAIN, *nested) if _fits(column.name, kind, old, dialect)]:
            wanted[column.name] = kinds
    return wanted


def _fits(name: str, kind: type[ColumnType], old: type[ColumnType], dialect: Dialect) -> bool:
    """Say whether drift allows values of the type in the table's column, as they are."""
    if kind is Unknown or widens(kind, old):
        return True
    return dialect.sql_type(old, column=name) in {
        dialect.sql_type(kind, column=name), dialect.key_type(kind, column=name),
    }  # fmt: skip
