"""PostgreSQL's errors in our words, by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any

from ematix_core.errors import (
    AccessError,
    CancelledError,
    ConfigError,
    ConflictError,
    ConnectError,
    ConversionError,
    DiskFullError,
    EmatixError,
    KeyViolationError,
    LockedError,
    RunError,
    SqlError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.backends.postgres.address import Address


_RETRY = "Run the job again; with retries= it does so by itself."
_BY_STATE: dict[str, tuple[type[EmatixError], str]] = {
    "40001": (ConflictError, _RETRY),
    "40P01": (ConflictError, _RETRY),
    "42P07": (ConflictError, _RETRY),  # two runs made the same table at once: the plan found none
    "42P06": (ConflictError, _RETRY),
    "42710": (ConflictError, _RETRY),
    "55P03": (LockedError, "Wait until the other transaction ends, or raise the connection's option lock_timeout."),
    "53100": (DiskFullError, "Free space on the server. Nothing was committed."),
    "53200": (RunError, "The server is out of memory: lower work_mem in the connection's options."),
    "53300": (ConnectError, "The server has no connection left: close others, or raise max_connections."),
    "28P01": (AccessError, "Check user and password in the connection's URL."),
    "28000": (AccessError, "Check the user, and the server's pg_hba.conf."),
    "3D000": (AccessError, "Check the database's name in the connection's URL."),
    "25006": (AccessError, "This server is a read-only replica, or the database is read-only: connect to the primary."),
    "23502": (ConversionError, "Filter or default the NULLs in the query."),
    "23505": (KeyViolationError, "Load with mode='merge', or make the query give one row a key."),
    "23503": (KeyViolationError, "Load the table that it refers to first."),
    "23514": (ConversionError, "The table's CHECK refuses the row: clean it in the query."),
    "23P01": (KeyViolationError, "The table's exclusion constraint refuses the row."),
    "22021": (ConversionError, "PostgreSQL text cannot hold the character NUL: take it out in the query."),
    "42704": (SqlError, ""),
    "57014": (CancelledError, "statement_timeout, or somebody cancelled the statement."),
    "428C9": (SqlError, "The column is GENERATED ALWAYS: leave it out of the query."),
}
_BY_CLASS: dict[str, tuple[type[EmatixError], str]] = {
    "08": (ConnectError, _RETRY),
    "57": (ConnectError, _RETRY),
    "22": (ConversionError, ""),
    "23": (ConversionError, ""),
}
_AT_ROW = re.compile(r"COPY .+?, line (\d+)")
_CONSTRAINT_RACE = re.compile(r"pg_(?:type|class|namespace)_\w+_index")


def translate(
    error: BaseException, address: Address, statement: str = "", at: Callable[[int], int | None] | None = None
) -> EmatixError:
    """Return the error of our tree that says what the driver's error means.

    `at` turns a 0-based position in the text that was sent into one in `statement`.
    """
    if isinstance(error, EmatixError):
        return error
    state = getattr(error, "sqlstate", None)
    if state is None:
        return _from_the_wire(error, address)
    kind, hint = _BY_STATE.get(state) or _BY_CLASS.get(state[:2]) or (RunError, "")
    found: Any = error
    what = _text(found)
    if state == "23505" and _CONSTRAINT_RACE.search(str(found.constraint_name)):
        kind, hint = ConflictError, _RETRY
    if state == "42501":
        return AccessError(what, where=str(address), hint=_grant(what, address))
    if kind is SqlError or (kind is RunError and state[:2] in {"42", "0A", "2B", "22"}):
        position = _position(found, at)
        return SqlError(what, statement=statement, position=position, where=str(address), hint=found.hint or hint)
    ours = kind(what, where=_place(found, address), hint=hint or found.hint or "")
    if isinstance(ours, ConversionError) and (at_row := _AT_ROW.match(str(getattr(found, "context", "") or ""))):
        ours.row = int(at_row[1]) - 1
    return ours


def _text(error: Any) -> str:  # noqa: ANN401 - asyncpg's errors carry the fields of the server's message
    detail = f": {error.detail}" if getattr(error, "detail", None) else ""
    return f"{error.message or error}{detail}".rstrip(".")


def _place(error: Any, address: Address) -> str:  # noqa: ANN401 - see _text
    column = re.match(r"COPY (\S+), line \d+, column (.*?)(?:: |$)", str(getattr(error, "context", "") or ""))
    table = ".".join(part for part in (error.schema_name, error.table_name) if part)
    name = error.column_name or (column[2] if column else "")
    return ", ".join(
        part
        for part in (
            f"table {table}" if table else "",
            f"column {name}" if name else "",
            f"constraint {error.constraint_name}" if error.constraint_name else "",
            str(address),
        )
        if part
    )


def _position(error: Any, at: Callable[[int], int | None] | None) -> int | None:  # noqa: ANN401 - see _text
    if not getattr(error, "position", None):
        return None
    position = int(error.position) - 1
    return at(position) if at else position


def _grant(what: str, address: Address) -> str:
    """Return the GRANT that helps, as far as the message tells."""
    table = re.search(r"for (table|view|relation|materialized view|foreign table|sequence) (\S+)", what)
    schema = re.search(r"for (schema|database) (\S+)", what)
    owner = re.search(r"must be owner of (?:table|relation|view) (\S+)", what)
    if table:
        return f'GRANT SELECT, INSERT, UPDATE, DELETE ON {table[2]} TO "{address.user}" would allow it.'
    if schema:
        return f'GRANT USAGE, CREATE ON {schema[1].upper()} {schema[2]} TO "{address.user}" would allow it.'
    if owner:
        return f'ALTER TABLE {owner[1]} OWNER TO "{address.user}" would allow it.'
    return f'Ask the owner to grant it to "{address.user}".'


def _from_the_wire(error: BaseException, address: Address) -> EmatixError:  # noqa: PLR0911 - one return a kind of failure reads best
    """Return what went wrong below SQL: names, sockets, TLS, the driver itself."""
    import asyncio
    import socket

    text = str(error) or type(error).__name__
    place = address.place
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigError(
            f"the certificate of {place} is not accepted: {error.verify_message}", where=str(address),
            hint="Give the authority's file as sslrootcert=, and the name in the certificate as the host.",
        )  # fmt: skip
    if isinstance(error, ssl.SSLError):
        return ConnectError(f"TLS with {place} failed: {text}", where=str(address))
    if isinstance(error, socket.gaierror):
        return ConnectError(f"there is no host {address.host}: {error.strerror}", where=str(address),
                            hint="Check the host in the connection's URL.")  # fmt: skip
    if isinstance(error, TimeoutError):
        return ConnectError(f"{place} does not answer", where=str(address),
                            hint="Check host and port, or raise connect_timeout in the URL.")  # fmt: skip
    if isinstance(error, ConnectionRefusedError):
        return ConnectError(f"nothing listens at {place}", where=str(address), hint="Is the server running?")
    if "rejected SSL upgrade" in text:
        return ConfigError(f"{place} has no TLS, and sslmode asks for it", where=str(address),
                           hint="Turn ssl on in the server, or set sslmode=prefer.")  # fmt: skip
    if type(error).__name__ == "ClientConfigurationError":
        return ConfigError(text, where=str(address))
    if isinstance(error, OSError | asyncio.IncompleteReadError) or _is_lost(error):
        return ConnectError(f"the connection to {place} broke: {text}", where=str(address), hint=_RETRY)
    if type(error).__name__ == "TargetServerAttributeNotMatched":
        return ConnectError(text, where=str(address), hint="See target_session_attrs in the connection's URL.")
    if type(error).__name__ == "DataError":
        return ConversionError(text, where=str(address))
    return RunError(f"{type(error).__name__}: {text}", where=str(address))


def _is_lost(error: BaseException) -> bool:
    """Say whether asyncpg means that the connection is gone."""
    import asyncpg

    if isinstance(error, asyncpg.InternalClientError):
        return True  # the server's farewell came between two statements, and asyncpg took it for an answer
    closed = isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)
    return closed or isinstance(error, asyncpg.ConnectionDoesNotExistError)
