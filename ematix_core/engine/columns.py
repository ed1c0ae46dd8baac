"""What a target's columns will be: from its declaration or from the rows, with keys and history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ematix_core.errors import DeclarationError, DriftError, UnsupportedError, near
from ematix_core.model.changes import ADDED
from ematix_core.model.mode import Append, Merge, Mode, Scd2
from ematix_core.model.table import Column, TableDef
from ematix_core.sql.ddl import Wanted
from ematix_core.types import Boolean, ColumnType, Text, TimestampTZ

if TYPE_CHECKING:
    from ematix_core.model.job import Target
    from ematix_core.model.table import TableName

_DATED = {"timestamp", "timestamp_tz", "date"}


@dataclass(frozen=True)
class Resolved:
    """A target's columns and keys, decided, with the reasons.

    `rows`: the columns that come from the rows, in order, normalizers included. `wanted`: the table. `compare`:
    the columns whose difference counts. `passing`: columns of the rows that the load goes by and the table does not
    have; only rows of changes have them.
    """

    rows: tuple[Column, ...]
    wanted: Wanted
    keys: tuple[str, ...]
    compare: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    passing: tuple[Column, ...] = ()


def resolve(target: Target, given: tuple[Column, ...], table: TableName, watermark: str | None = None) -> Resolved:
    """Decide the columns of one target for rows of the columns `given`.

    Raises DriftError when the rows lack a declared column or have one too many, DeclarationError for keys and other
    columns that the rows do not have.
    """
    notes: list[str] = []
    warnings: list[str] = []
    found = tuple(replace(column, nullable=True) for column in given)
    found, passing = _stored(target, found, watermark)
    rows = _declared(target, target.table, found, warnings) if isinstance(target.table, TableDef) else found
    if not isinstance(target.table, TableDef):
        notes.append("columns are taken from the rows: the target is given by name")
    mode = target.mode
    keys = _keys(target, mode, notes)
    compare = _compare(mode, keys, rows, notes)
    _check_named(target, mode, keys, rows, passing)
    wanted = _wanted(target, keys, rows, passing, table)
    if passing:
        notes.append(f"not stored: {', '.join(column.name for column in passing)} (the load goes by them)")
    return Resolved(rows, wanted, keys, compare, tuple(notes), tuple(warnings), passing)


def _stored(
    target: Target, found: tuple[Column, ...], watermark: str | None
) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """Return the columns that the table may have, and those of rows of changes that the load only goes by."""
    mode = target.mode
    if not isinstance(mode, Merge | Scd2) or not mode.deleted_by:
        return found, ()
    declared = {column.name for column in target.table.columns} if isinstance(target.table, TableDef) else set()
    beside = (ADDED | {mode.deleted_by}) - declared
    needed = {*mode.beside(), watermark}
    passing = tuple(column for column in found if column.name in beside & needed)
    return tuple(column for column in found if column.name not in beside), passing


def _declared(target: Target, table: TableDef, found: tuple[Column, ...], warnings: list[str]) -> tuple[Column, ...]:
    by_name = {column.name: column for column in found}
    history = target.mode.history_columns() if isinstance(target.mode, Scd2) else ()
    declared = [column for column in table.columns if column.name not in history]
    for column in declared:
        if column.name not in by_name and not _derived(column):
            raise DriftError(
                f"the rows have no column {column.name!r}, which {table.name} declares",
                where=f"table {table.name}",
                hint=near(column.name, by_name),
            )
    extra = [column for column in found if column.name not in {c.name for c in table.columns}]
    if extra and target.on_drift == "error":
        raise DriftError(
            f"the rows have columns that the declaration lacks: {', '.join(c.name for c in extra)}",
            where=f"table {table.name}",
            hint="Declare them, leave them out of the query, or set on_drift='add' or 'warn'.",
        )
    if extra and target.on_drift == "warn":
        warnings.append(f"{table.name}: not loaded (on_drift='warn'): {', '.join(c.name for c in extra)}")
        extra = []
    return (*declared, *extra)


def _derived(column: Column) -> bool:
    """Say whether the column is made from others (`derive`) and not read."""
    return bool(column.normalizers) and column.normalizers[0].derived


def _keys(target: Target, mode: Mode, notes: list[str]) -> tuple[str, ...]:
    default, reason = target.table.key() if isinstance(target.table, TableDef) else ((), "")
    if isinstance(mode, Append):
        return default
    if not isinstance(mode, Merge | Scd2):
        return ()
    if mode.keys:
        return mode.keys
    if not default:
        raise DeclarationError(
            f"{mode.name} needs a key for {target.name}: no keys= given, and the target is a mere name",
            hint=f"Pass mode=ematix.{mode.name}(keys=[...]), or declare the table and mark a column with pk().",
        )
    notes.append(f"{mode.name} key: {', '.join(default)} ({reason})")
    return default


def _compare(mode: Mode, keys: tuple[str, ...], rows: tuple[Column, ...], notes: list[str]) -> tuple[str, ...]:
    if not isinstance(mode, Merge | Scd2):
        return ()
    if mode.compare:
        return mode.compare
    left_out = {*keys, mode.event_time if isinstance(mode, Scd2) else None}
    compare = tuple(column.name for column in rows if column.name not in left_out)
    notes.append(f"compared columns: {', '.join(compare) or 'none'} (all that are no key or event time)")
    return compare


def _check_named(
    target: Target, mode: Mode, keys: tuple[str, ...], rows: tuple[Column, ...], passing: tuple[Column, ...]
) -> None:
    if not isinstance(mode, Merge | Scd2):
        return
    stored = {column.name: column for column in rows}
    known = stored | {column.name: column for column in passing}
    named = [("key", k) for k in keys] + [("compare", c) for c in mode.compare]
    named += [("order_by", mode.order_by)] if mode.order_by else []
    named += [("deleted_by", mode.deleted_by)] if mode.deleted_by else []
    event_time = mode.event_time if isinstance(mode, Scd2) else None
    named += [("event_time", event_time)] if event_time else []
    for option, column in named:
        if column not in (stored if option in {"key", "compare"} else known):
            raise DeclarationError(
                f"{mode.name}: {option} {column!r} is no column of the rows", where=f"table {target.name}",
                hint=near(column, known),
            )  # fmt: skip
    if mode.deleted_by and (found := known[mode.deleted_by].type) is not Boolean:
        raise UnsupportedError(
            f"{mode.name}: deleted_by {mode.deleted_by!r} is {found.label()}, and must be Boolean",
            where=f"table {target.name}", hint="Make it one in the query, for example: op = 'D' AS gone.",
        )  # fmt: skip
    if event_time and known[event_time].type.kind not in _DATED:
        raise UnsupportedError(
            f"scd2: event_time {event_time!r} is {known[event_time].type.label()}, and must be a date or timestamp",
            where=f"table {target.name}",
            hint=f"Cast it in the query, for example: to_timestamp({event_time}) AS {event_time}.",
        )


def _wanted(
    target: Target, keys: tuple[str, ...], rows: tuple[Column, ...], passing: tuple[Column, ...], table: TableName
) -> Wanted:
    mode = target.mode
    declared = target.table if isinstance(target.table, TableDef) else None
    primary = declared.primary_key if declared else ()
    unique = tuple(declared.natural_keys.values()) if declared else ()
    merge_key = keys if isinstance(mode, Merge | Scd2) else ()
    if not isinstance(mode, Scd2):
        return Wanted(table, rows, primary, unique, merge_key, declared=declared is not None)
    clash = set(mode.history_columns()) & {column.name for column in rows}
    if clash:
        raise DeclarationError(
            f"scd2 adds the column {min(clash)!r}, which the rows already have", where=f"table {target.name}",
            hint="Rename one of them, for example: ematix.scd2(valid_from='version_from').",
        )  # fmt: skip
    at = next((c.type for c in (*rows, *passing) if c.name == mode.event_time), TimestampTZ)
    history: dict[str, type[ColumnType]] = {
        mode.valid_from: at,
        mode.valid_to: at,
        mode.is_current: Boolean,
        mode.row_hash: Text,
        mode.last_seen: TimestampTZ,
    }
    added = tuple(Column(name, history[name], nullable=name == mode.valid_to) for name in mode.history_columns())
    return Wanted(
        table, (*rows, *added), merge_key=merge_key, current=mode.is_current, dated=mode.event_time is not None,
        declared=declared is not None,
    )  # fmt: skip
