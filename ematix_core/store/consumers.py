"""Consumers of streams: who they are, how they fare, and their statistics of the last minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from ematix_core.store.part import StorePart
from ematix_core.store.process import ProcessIdentity, is_alive
from ematix_core.store.records import ConsumerState
from ematix_core.store.tables import consumers

_KEPT = timedelta(days=7)
_OWN = consumers.c.consumer_id == sa.bindparam("own")
_UPDATE = sa.update(consumers).where(_OWN)
_INSERT = sa.insert(consumers)
_OLD = sa.delete(consumers).where(consumers.c.heartbeat_at < sa.bindparam("before"))


class Consumers(StorePart):
    """The part of the store for streams."""

    def note_consumer(self, state: ConsumerState) -> None:
        now = self._now()
        values: dict[str, Any] = vars(state) | vars(ProcessIdentity.current())
        values |= {"heartbeat_at": now, "error": self._mask(state.error), "stats": dict(state.stats)}

        def change(connection: sa.Connection) -> None:
            if not connection.execute(_UPDATE, values | {"own": state.consumer_id}).rowcount:
                connection.execute(_INSERT, values)
                connection.execute(_OLD, {"before": now - _KEPT})

        self._write(None, change, otherwise=change, quick=True)

    def consumers(self, stream: str | None = None) -> list[ConsumerState]:
        statement = sa.select(consumers).order_by(consumers.c.stream, consumers.c.target, consumers.c.started_at)
        if stream is not None:
            statement = statement.where(consumers.c.stream == stream)
        now = self._now()
        return [_living(ConsumerState(**row._mapping), now) for row in self._read(statement)]  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


def _living(state: ConsumerState, now: Any) -> ConsumerState:  # noqa: ANN401 - a datetime
    """Return the state as it is now: a process that is dead had no time to say so."""
    if state.ended or is_alive(state, state.heartbeat_at, now):
        return state
    return replace(state, status="lost", error="its process ended without a word")
