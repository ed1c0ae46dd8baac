"""A connection in the replication protocol, by libpq: what asyncpg does not speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import pq
from psycopg.conninfo import make_conninfo

from ematix_core.backends.postgres.catalog import quote
from ematix_core.backends.postgres.replication.wire import lsn_text
from ematix_core.errors import AccessError, ConnectError, LockedError, SourceError

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from ematix_core.backends.postgres.address import Address
    from ematix_core.backends.postgres.replication.slot import Slot
    from ematix_core.errors import EmatixError

# The forms that reading relies on: see `opening`.
_OPTIONS = (
    "-c datestyle=ISO,YMD -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=3 -c bytea_output=hex"
    " -c quote_all_identifiers=off -c xmloption=content"
)


def opened_slot(address: Address, slot: Slot, lsn: int) -> PGconn:
    """Return a connection that streams the slot's changes from the commit at `lsn` on.

    Raises LockedError while another reader has the slot, ConnectError, AccessError; SourceError when the slot is lost.
    """
    settings = dict(address.server_settings)
    options = f"{settings.pop('options', '')} {_OPTIONS}".strip()
    info = make_conninfo(
        address.dsn, replication="database", client_encoding="UTF8", connect_timeout=int(address.timeout),
        options=options, **settings,
    )  # fmt: skip
    connection = pq.PGconn.connect(info.encode())
    try:
        _start(connection, slot, lsn)
    except BaseException:
        connection.finish()
        raise
    return connection


def _start(connection: PGconn, slot: Slot, lsn: int) -> None:
    if connection.status != pq.ConnStatus.OK:
        raise _error(None, _said(connection), slot)
    publication = quote(slot.publication).replace("'", "''")
    result = connection.exec_(
        f'START_REPLICATION SLOT "{slot.name}" LOGICAL {lsn_text(lsn)}'
        f" (proto_version '1', publication_names '{publication}')".encode()
    )
    if result.status != pq.ExecStatus.COPY_BOTH:
        raise _error(result.error_field(pq.DiagnosticField.SQLSTATE), _said(connection), slot)


def failure(connection: PGconn, slot: Slot) -> EmatixError:
    """Return why the stream of a connection has ended."""
    result = connection.get_result()
    state = result.error_field(pq.DiagnosticField.SQLSTATE) if result is not None else None
    return _error(state, _said(connection), slot)


def _error(state: bytes | None, said: str, slot: Slot) -> EmatixError:
    """Return our error for a SQLSTATE; without one the connection is the matter."""
    match (state or b"").decode():
        case "55006":
            return LockedError(
                f"another reader has replication slot {slot.name}: {said}", where=slot.where,
                hint="Each target of a stream has one consumer. One that is dead gives the slot up after"
                " wal_sender_timeout at the latest.",
            )  # fmt: skip
        case "42704" if "publication" in said:
            return SourceError(
                said, where=slot.where, hint="It was dropped, or made after changes that are yet to be read. Drop the"
                " stream's slot (flow streams drop), empty the target, and consume with --from earliest.",
            )  # fmt: skip
        case "42704":
            return slot.gone()
        case "55000" | "58P01":
            return slot.lost()
        case "42501":
            return AccessError(
                said, where=slot.where, hint="ALTER ROLE ... REPLICATION; on Amazon RDS, GRANT rds_replication.",
            )  # fmt: skip
    return ConnectError(f"replication broke: {said}", where=slot.where, hint="It goes on when the server is back.")


def _said(connection: PGconn) -> str:
    return connection.get_error_message().strip().removeprefix("ERROR:").strip() or "the connection was closed"
