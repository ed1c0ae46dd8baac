"""Locks of a writing session: one run of a job at a time, and no other writer between UPDATE and INSERT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.postgres.catalog import qualified
from ematix_core.errors import LockedError

if TYPE_CHECKING:
    from ematix_core.backends.postgres.link import Link
    from ematix_core.model.table import TableName

_KEY = "hashtextextended('ematix ' || $1, 0)"
_HOLDERS = """
SELECT string_agg(format('process %s (%s, user %s%s, since %s)', a.pid, nullif(a.application_name, ''), a.usename,
                         coalesce(', from ' || host(a.client_addr), ''), date_trunc('second', a.xact_start)), ', ')
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database
                                                              WHERE datname = current_database())
"""
_BY_KEY = (
    f"{_HOLDERS} AND l.locktype = 'advisory' AND l.objsubid = 1"
    f" AND (l.classid::bigint << 32) | l.objid::bigint = {_KEY}"
)
_BY_TABLE = (
    f"{_HOLDERS} AND l.locktype = 'relation' AND l.relation = to_regclass($1) AND l.mode IN ('RowExclusiveLock',"
    " 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
)


def lock_scope(link: Link, scope: str) -> None:
    """Wait until no other transaction loads this scope; held until the end of ours.

    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS. Raises LockedError.
    """
    if link.rows(f"SELECT pg_try_advisory_xact_lock({_KEY})", scope)[0][0]:
        return
    holders = link.rows(_BY_KEY, scope)[0][0]
    try:
        link.rows(f"SELECT pg_advisory_xact_lock({_KEY})", scope)
    except LockedError as error:
        raise _locked(f"the load {scope!r}", holders, error) from error


def lock_table(link: Link, table: TableName) -> None:
    """Wait until no other transaction writes to the table; readers are not kept out. Raises LockedError.

    https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
    """
    name = qualified(table)
    kind = link.rows("SELECT relkind FROM pg_catalog.pg_class WHERE oid = to_regclass($1)", name)
    if not kind or kind[0][0] not in {b"r", b"p"}:
        return  # PostgreSQL locks tables only
    holders = link.rows(_BY_TABLE, name)[0][0]
    try:
        link.execute(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
    except LockedError as error:
        raise _locked(f"table {table}", holders, error) from error


def _locked(what: str, holders: str | None, error: LockedError) -> LockedError:
    return LockedError(
        f"{what} is locked by {holders or 'another transaction'}", where=error.where,
        hint="Wait until it ends, or raise the connection's option lock_timeout.",
    )  # fmt: skip
