"""Leases: who may do something alone, until when, by the clock of the database server."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.store import servers
from ematix_core.store.part import StorePart, utc_now
from ematix_core.store.records import ABSENCE, Lease, downtime
from ematix_core.store.tables import leases

if TYPE_CHECKING:
    from datetime import datetime

_BY_NAME = sa.select(leases).where(leases.c.name == sa.bindparam("name"))
_LOCKED = _BY_NAME.with_for_update()
_INSERT = sa.insert(leases)
_UPDATE = sa.update(leases).where(leases.c.name == sa.bindparam("lease"))
_UPDATE_OWN = _UPDATE.where(leases.c.token == sa.bindparam("own"), leases.c.holder == sa.bindparam("me"))


class Leases(StorePart):
    """The part of the store for leases. Times are the database server's where there is one, so hosts need not agree.

    Where there is none, leases end by this machine's clock, whatever the store was told to take for the time of day.
    """

    def acquire_lease(self, name: str, holder: str, seconds: float, absence: float = ABSENCE) -> Lease | None:
        def take(connection: sa.Connection) -> Lease | None:
            found = connection.execute(_LOCKED, {"name": name}).one_or_none()
            now = _clock(connection)
            until = now + timedelta(seconds=seconds)
            if found is None:  # two may come here; one gets IntegrityError, and looks again
                lease = Lease(name, holder, 1, until, None, absence, None)
                connection.execute(_INSERT, vars(lease) | self._alive(connection))
            elif _is_held(found, now):
                return None
            else:
                lease = Lease(name, holder, found.token + 1, until, found.renewed_at, absence, found.absence)
                connection.execute(_UPDATE, vars(lease) | self._alive(connection) | {"lease": name})
            return lease

        return self._write("store.acquire_lease", take, otherwise=take)

    def renew_lease(self, lease: Lease, seconds: float) -> Lease | None:
        def extend(connection: sa.Connection) -> Lease | None:
            until = _clock(connection) + timedelta(seconds=seconds)
            values = _own(lease) | self._alive(connection) | {"expires_at": until}
            renewed = connection.execute(_UPDATE_OWN, values).rowcount == 1
            return replace(lease, expires_at=until) if renewed else None

        return self._write(None, extend, quick=True)

    def release_lease(self, lease: Lease) -> None:
        def give_back(connection: sa.Connection) -> None:
            values = _own(lease) | self._alive(connection)
            connection.execute(_UPDATE_OWN, values | {"holder": "", "expires_at": _clock(connection)})

        self._write("store.release_lease", give_back)

    def lease(self, name: str) -> Lease | None:
        return self._look(lambda connection: living_lease(connection, name))

    def downtime(self, name: str, now: datetime) -> datetime | None:
        def look(connection: sa.Connection) -> datetime | None:
            found = connection.execute(_BY_NAME, {"name": name}).one_or_none()
            if found is None or _is_held(found, _clock(connection)):
                return None
            return downtime(found.renewed_at, found.absence, now)

        return self._look(look)

    def _alive(self, connection: sa.Connection) -> dict[str, Any]:
        return {"renewed_at": servers.clock(connection) or self._now()}


def living_lease(connection: sa.Connection, name: str) -> Lease | None:
    """Return the lease when somebody holds it."""
    found = connection.execute(_BY_NAME, {"name": name}).one_or_none()
    if found is None or not _is_held(found, _clock(connection)):
        return None
    return Lease(**{field.name: getattr(found, field.name) for field in fields(Lease)})


def _clock(connection: sa.Connection) -> datetime:
    return servers.clock(connection) or utc_now()


def _is_held(row: sa.Row[Any], now: datetime) -> bool:
    return bool(row.holder) and now < row.expires_at


def _own(lease: Lease) -> dict[str, Any]:
    return {"lease": lease.name, "own": lease.token, "me": lease.holder}
