"""Which types the targets of a job have for its columns: what a source goes by that guesses types from text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.protocols import WantedType
from ematix_core.model.table import TableDef
from ematix_core.sql import build
from ematix_core.types import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.backends.protocols import Session
    from ematix_core.model.job import Target
    from ematix_core.model.table import Column
    from ematix_core.sql.dialect import Dialect
    from ematix_core.types import ColumnType


def target_types(targets: Sequence[tuple[Target, Session, Dialect]]) -> dict[str, WantedType]:
    """Return the types by column: those declared, else those of the table that is there.

    Where targets differ about a column it has none: it is read as what it looks like, and each target converts it.
    """
    found: dict[str, set[WantedType]] = {}
    for target, session, dialect in targets:
        for name, wanted in _of_target(target, session, dialect).items():
            found.setdefault(name, set()).add(wanted)
    return {name: next(iter(types)) for name, types in found.items() if len(types) == 1}


def _of_target(target: Target, session: Session, dialect: Dialect) -> dict[str, WantedType]:
    if isinstance(target.table, TableDef):
        return _declared(target.table)
    columns = session.columns(build.placed(target.name, dialect)) or ()
    return {column.name: WantedType(column.type, evolves=target.on_drift == "evolve") for column in columns}


def _declared(table: TableDef) -> dict[str, WantedType]:
    derived = [part for column in table.columns if column.derived for part in column.normalizers[0].parts]
    return {
        column.name: WantedType(kind, declared=True)
        for column in table.columns
        if (kind := _read(column)) is not None and not any(column.name in part for part in derived)
    }


def _read(column: Column) -> type[ColumnType] | None:
    """Return the type that the column's first normalizer takes; None for one that takes what the source gives."""
    if not column.normalizers:
        return column.type
    return Text if column.normalizers[0].reads_text else None
