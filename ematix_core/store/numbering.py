"""How events get their numbers: writers take turns at one row, so numbers grow in the order of the commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from ematix_core.errors import StoreError
from ematix_core.store.tables import events, last_event

if TYPE_CHECKING:
    from ematix_core.store.records import Event

LAST = sa.select(last_event.c.id)
_LOCK = LAST.with_for_update()
_TAKE = sa.update(last_event).values(id=last_event.c.id + sa.bindparam("count"))
_TAKE_AND_TELL = _TAKE.returning(last_event.c.id)
_INSERT = sa.insert(events)


def lock(connection: sa.Connection) -> None:
    """Wait for the turn, without taking a number yet: for those who have to look before they know what to write.

    Every transaction that writes events does this, or `take`, before it locks any other row but the lease's: those who
    lock in one order never wait for each other.
    """
    connection.execute(_LOCK)


def take(connection: sa.Connection, count: int = 1) -> int:
    """Wait for the turn and take numbers; return the first. They have to be used in this transaction."""
    values = {"count": count}
    if connection.dialect.update_returning:
        last = connection.execute(_TAKE_AND_TELL, values).scalar()
    else:
        connection.execute(_TAKE, values)
        last = connection.execute(LAST).scalar()
    if last is None:
        raise StoreError("the store is damaged: the table ematix_last_event is empty")
    return int(last) - count + 1


def write(connection: sa.Connection, *new: Event) -> None:
    """Write events under numbers that were taken."""
    connection.execute(_INSERT, [vars(event) for event in new])
