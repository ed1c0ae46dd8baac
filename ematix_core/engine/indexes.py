"""A warning for tables that somebody else made, in which the keys of a load cannot be found fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ematix_core.model.mode import Scd2

if TYPE_CHECKING:
    from ematix_core.backends.protocols import IndexedSession, Session
    from ematix_core.model.mode import Mode
    from ematix_core.model.table import TableName
    from ematix_core.sql.dialect import Dialect
    from ematix_core.strategies.plan import Change


def missing_index(session: Session, table: TableName, mode: Mode, change: Change, dialect: Dialect) -> tuple[str, ...]:
    """Return the warning that each load will read the whole table for every row, with the statement that mends it."""
    if change.new or change.unique_keys or mode.name not in dialect.scans_for_keys or not _searches(mode):
        return ()
    where = mode.is_current if isinstance(mode, Scd2) else ""
    statement = cast("IndexedSession", session).missing_index(table, change.keys, where=where)
    if not statement:
        return ()
    keys = ", ".join(change.keys)
    warning = f"{table} has no index that begins with the key ({keys}), so that each row of a load has the whole table"
    return (f"{warning} read, and twice the rows take four times as long. Make one: {statement}",)


def _searches(mode: Mode) -> bool:
    """Say whether the load looks for the rows of single keys; by event time it reads them all once, and sorts."""
    return not isinstance(mode, Scd2) or not mode.event_time or mode.deletes == "close" or mode.ttl is not None
