"""Leases: who may do something alone, until when, by the clock of the database server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.store import servers
from ematix_core.store.part import StorePart
from ematix_core.store.records import Lease
from ematix_core.store.tables import leases

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_BY_NAME = sa.select(leases).where(leases.c.name == sa.bindparam("name"))
_LOCKED = _BY_NAME.with_for_update()
_INSERT = sa.insert(leases)
_UPDATE = sa.update(leases).where(leases.c.name == sa.bindparam("lease"))
_UPDATE_OWN = _UPDATE.where(leases.c.token == sa.bindparam("own"), leases.c.holder == sa.bindparam("me"))


class Leases(StorePart):
    """The part of the store for leases. Times are the database server's where there is one, so hosts need not agree."""

    def acquire_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        def take(connection: sa.Connection) -> Lease | None:
            found = connection.execute(_LOCKED, {"name": name}).one_or_none()
            now = _clock(connection, self._now)
            until = now + timedelta(seconds=seconds)
            if found is None:  # two may come here; one gets IntegrityError, and looks again
                connection.execute(_INSERT, _columns(Lease(name, holder, 1, until, None), now))
                return Lease(name, holder, 1, until, None)
            if _is_held(found, now):
                return None
            lease = Lease(name, holder, found.token + 1, until, found.renewed_at)
            connection.execute(_UPDATE, _columns(lease, now) | {"lease": name})
            return lease

        return self._write("store.acquire_lease", take, otherwise=take)

    def renew_lease(self, lease: Lease, seconds: float) -> Lease | None:
        def extend(connection: sa.Connection) -> Lease | None:
            now = _clock(connection, self._now)
            until = now + timedelta(seconds=seconds)
            values = {"expires_at": until, "renewed_at": now, **_own(lease)}
            renewed = connection.execute(_UPDATE_OWN, values).rowcount == 1
            return Lease(lease.name, lease.holder, lease.token, until, lease.previous) if renewed else None

        return self._write(None, extend, quick=True)

    def release_lease(self, lease: Lease) -> None:
        def give_back(connection: sa.Connection) -> None:
            now = _clock(connection, self._now)
            connection.execute(_UPDATE_OWN, {"holder": "", "expires_at": now, "renewed_at": now, **_own(lease)})

        self._write("store.release_lease", give_back)

    def lease(self, name: str) -> Lease | None:
        with self._database.errors(), self._database.reader.connect() as connection:
            return living_lease(connection, name, self._now)


def living_lease(connection: sa.Connection, name: str, now: Callable[[], datetime]) -> Lease | None:
    """Return the lease when somebody holds it; `now` is the clock where the database has none."""
    found = connection.execute(_BY_NAME, {"name": name}).one_or_none()
    if found is None or not _is_held(found, _clock(connection, now)):
        return None
    return Lease(found.name, found.holder, found.token, found.expires_at, found.previous)


def _clock(connection: sa.Connection, now: Callable[[], datetime]) -> datetime:
    return servers.clock(connection) or now()


def _is_held(row: sa.Row[Any], now: datetime) -> bool:
    return bool(row.holder) and now < row.expires_at


def _columns(lease: Lease, now: datetime) -> dict[str, Any]:
    return vars(lease) | {"renewed_at": now}


def _own(lease: Lease) -> dict[str, Any]:
    return {"lease": lease.name, "own": lease.token, "me": lease.holder}
