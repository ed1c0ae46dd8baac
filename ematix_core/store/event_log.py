"""Events that people and schedulers write, and how all of them are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.store import fencing, numbering, rows
from ematix_core.store.part import StorePart
from ematix_core.store.records import Event, EventKind
from ematix_core.store.tables import events, messages
from ematix_core.store.workflow_records import digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_PAUSES = (EventKind.PAUSED, EventKind.RESUMED)
_AFTER = sa.select(events).where(events.c.id > sa.bindparam("after")).order_by(events.c.id)
_SEEN = sa.select(events.c.name).where(events.c.kind == EventKind.SEEN)
_LAST_PAUSE = (
    sa.select(events.c.kind)
    .where(events.c.kind.in_(_PAUSES), events.c.name == sa.bindparam("unit"))
    .order_by(events.c.id.desc())
    .limit(1)
)
_ID_LETTERS = 40
_ANNOUNCED = sa.select(events.c.id).where(
    events.c.kind == EventKind.SUCCEEDED, events.c.name == sa.bindparam("of"), events.c.run_id == sa.bindparam("told")
)
_MESSAGE = sa.select(messages.c.event).where(
    messages.c.unit == sa.bindparam("unit"), messages.c.position_digest == sa.bindparam("position_digest")
)


class EventLog(StorePart):
    """The part of the store for events."""

    def events(self, *, after: int = 0, limit: int | None = None, names: Iterable[str] | None = None) -> list[Event]:
        statement = _AFTER if limit is None else _AFTER.limit(limit)
        if names is not None:
            statement = statement.where(events.c.name.in_(list(names)))
        return [rows.event_record(row) for row in self._read(statement, {"after": after})]

    def last_event(self) -> int:
        return int(self._read(numbering.LAST)[0].id)

    def pause(self, unit: str) -> bool:
        return self._write("store.pause", lambda connection: self._turn(connection, unit, EventKind.PAUSED))

    def resume(self, unit: str) -> bool:
        return self._write("store.resume", lambda connection: self._turn(connection, unit, EventKind.RESUMED))

    def see(self, units: Iterable[str], *, token: int | None = None, at: datetime | None = None) -> list[str]:
        names = list(dict.fromkeys(units))

        def record(connection: sa.Connection) -> list[str]:
            fencing.check(connection, token)
            numbering.lock(connection)
            known = set(connection.execute(_SEEN).scalars())
            new = [name for name in names if name not in known]
            if new:
                first, now = numbering.take(connection, len(new)), at or self._now()
                numbering.write(
                    connection, *(Event(first + i, EventKind.SEEN, name, now) for i, name in enumerate(new))
                )
            return new

        return self._write("store.see", record)

    def gap(self, since: datetime, *, token: int) -> None:
        def record(connection: sa.Connection) -> None:
            fencing.check(connection, token)
            event = Event(numbering.take(connection), EventKind.GAP, "", self._now(), started_at=since)
            numbering.write(connection, event)

        self._write("store.gap", record)

    def announce(self, name: str, key: str) -> bool:
        told = digest(key)[:_ID_LETTERS]

        def record(connection: sa.Connection) -> bool:
            numbering.lock(connection)
            if connection.execute(_ANNOUNCED, {"of": name, "told": told}).first() is not None:
                return False
            event = Event(numbering.take(connection), EventKind.SUCCEEDED, name, self._now(), told)
            numbering.write(connection, event)
            return True

        return self._write("store.announce", record)

    def add_message(self, unit: str, position: str, payload: Any, *, token: int | None = None) -> bool:  # noqa: ANN401 - plain data
        key = {"unit": unit, "position_digest": digest(position)}

        def record(connection: sa.Connection) -> bool:
            fencing.check(connection, token)
            numbering.lock(connection)
            if connection.execute(_MESSAGE, key).one_or_none() is not None:
                return False
            number = numbering.take(connection)
            connection.execute(sa.insert(messages), key | {"event": number})
            data = {"position": position, "payload": payload}
            numbering.write(connection, Event(number, EventKind.MESSAGE, unit, self._now(), data=data))
            return True

        return self._write("store.add_message", record, quick=True)

    def _turn(self, connection: sa.Connection, unit: str, kind: EventKind) -> bool:
        """Pause or resume the unit unless it is so already; return whether it was not."""
        numbering.lock(connection)
        last = connection.execute(_LAST_PAUSE, {"unit": unit}).scalar() or EventKind.RESUMED
        if last is kind:
            return False
        numbering.write(connection, Event(numbering.take(connection), kind, unit, self._now()))
        return True
