"""What a store on PostgreSQL, MySQL or MariaDB needs beyond portable SQL: drivers, sessions, a lock, hints."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy.exc import DBAPIError

CONNECT_SECONDS = 10
MIGRATION_SECONDS = 60
"""How long a process waits for another one that brings the tables up to date."""

IDLE_SECONDS = {"postgresql": 5, "mariadb": 5, "mysql": 30}
"""How long a session may do nothing within a transaction before the server ends it.

A host that freezes or loses its network in the middle of one would keep its locks, and all others from working, until
somebody notices. MySQL knows no such limit but that of an idle connection, so that one is more generous: the heartbeats
of a run keep its connection alive.
"""

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
EXTRAS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}
"""The extra of ematix that brings the driver, by SQLAlchemy's name of the database."""

# The strictness of the session, not of the server, decides whether a value that does not fit is refused or cut off:
# https://dev.mysql.com/doc/refman/8.0/en/sql-mode.html#sql-mode-strict
_MYSQL_MODE = "TRADITIONAL"

_LOST = "The database went away. What was being recorded may be missing; the next start continues an open run."
_ACCOUNT = "Check user and password in EMATIX_STORE, and that the server lets this user in from here."
_PRIVILEGES = "The store's user has to read, write, and create tables in its database: grant it that."
_READ_ONLY = "This server is a replica, or set to read only: name the one that takes writes in EMATIX_STORE."
_BUSY = "The server has no connection left: raise its limit, or start fewer processes."
_FULL = "Free some space on the database server."
_MISSING = "Create the database, or name another one in EMATIX_STORE; the tables are made in it by themselves."
_REACH = "Check that the server runs, and host and port in EMATIX_STORE."
_LOCKED = "Another process kept a lock for too long. Try again, or end that process."

# https://www.postgresql.org/docs/15/errcodes-appendix.html, by beginning of the code
_POSTGRES = {
    "28": _ACCOUNT, "3D000": _MISSING, "42501": _PRIVILEGES, "25006": _READ_ONLY, "53300": _BUSY, "53100": _FULL,
    "55P03": _LOCKED, "57P": _LOST, "08": _REACH,
}  # fmt: skip
# A refused connection has no code: its text is libpq's. https://www.postgresql.org/docs/15/libpq-connect.html
_LIBPQ = {
    "password": _ACCOUNT, "pg_hba.conf": _ACCOUNT, "no encryption": _ACCOUNT, "does not exist": _MISSING,
    "too many": _BUSY, "closed": _LOST, "lost": _LOST, "connection": _REACH,
    "resolve": _REACH,
}  # fmt: skip
# https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html and client-error-reference.html
_MYSQL = {
    1045: _ACCOUNT, 1698: _ACCOUNT, 1130: _ACCOUNT, 3159: _ACCOUNT, 1044: _PRIVILEGES, 1142: _PRIVILEGES,
    1227: _PRIVILEGES, 1049: _MISSING, 1046: _MISSING, 1290: _READ_ONLY, 1836: _READ_ONLY, 1040: _BUSY, 1203: _BUSY,
    1021: _FULL, 1114: _FULL, 1205: _LOCKED, 1053: _LOST, 2006: _LOST, 2013: _LOST, 2003: _REACH, 2005: _REACH,
}  # fmt: skip
# The time of the statement, not of its transaction: one that waited for a lock would be late.
_NOW = {
    # https://www.postgresql.org/docs/15/functions-datetime.html#FUNCTIONS-DATETIME-CURRENT
    "postgresql": "clock_timestamp() AT TIME ZONE 'UTC'",
    # https://dev.mysql.com/doc/refman/8.0/en/date-and-time-functions.html#function_utc-timestamp
    "mysql": "UTC_TIMESTAMP(6)",
    "mariadb": "UTC_TIMESTAMP(6)",
}
_DEADLOCKS = {"40P01", "40001", 1213}


def with_driver(url: sa.URL) -> sa.URL:
    """Return the URL with the driver that ematix installs, unless it names one."""
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def engine_options(url: sa.URL) -> dict[str, Any]:
    """Return what `create_engine` is given for a database on a server; nothing for SQLite.

    Whatever the server's default is, transactions see what others have committed: `begin` asks again after it lost.
    """
    if url.get_backend_name() not in EXTRAS:
        return {}
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if url.get_backend_name() != "postgresql":
        arguments |= {"charset": "utf8mb4", "sql_mode": _MYSQL_MODE}
    return {"connect_args": arguments, "isolation_level": "READ COMMITTED"}


def limit_idleness(connection: Any, _: object) -> None:  # noqa: ANN401 - a DBAPI connection
    """Let the server end a new session that stays idle within a transaction; for SQLAlchemy's event `connect`."""
    cursor = connection.cursor()
    cursor.execute("SELECT version()")
    version = cursor.fetchone()[0]
    if version.startswith("PostgreSQL"):
        # https://www.postgresql.org/docs/15/runtime-config-client.html#GUC-IDLE-IN-TRANSACTION-SESSION-TIMEOUT
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS['postgresql']}s'")
    elif "MariaDB" in version:
        # https://mariadb.com/docs/server/server-management/variables-and-modes/server-system-variables
        cursor.execute(f"SET SESSION idle_transaction_timeout = {IDLE_SECONDS['mariadb']}")
    else:
        # https://dev.mysql.com/doc/refman/8.0/en/server-system-variables.html#sysvar_wait_timeout
        cursor.execute(f"SET SESSION wait_timeout = {IDLE_SECONDS['mysql']}")
    cursor.close()
    connection.commit()


def clock(connection: sa.Connection) -> datetime | None:
    """Return the server's time of day; None where there is no server."""
    now = _NOW.get(connection.dialect.name)
    if now is None:
        return None
    told: datetime = connection.execute(sa.text(f"SELECT {now}")).scalar_one()
    return told.replace(tzinfo=UTC)


@contextmanager
def migration(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Give the transaction of the one process that may change the tables now.

    Raises StoreError, or the database's error, when another one takes too long.
    """
    with engine.connect() as connection:
        match connection.dialect.name:
            case "postgresql":
                with connection.begin():
                    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{MIGRATION_SECONDS}s'"))
                    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('ematix store'))"))
                    yield connection
            case "mysql" | "mariadb":
                with _named_lock(connection), connection.begin():
                    yield connection
            case _:  # SQLite: a transaction that writes is alone anyway
                with connection.begin():
                    yield connection


@contextmanager
def _named_lock(connection: sa.Connection) -> Iterator[None]:
    """Hold a lock of the session: a statement that changes a table ends MySQL's transaction, and locks with it.

    Its name is the server's, not the database's, and may have 64 characters:
    https://dev.mysql.com/doc/refman/8.0/en/locking-functions.html
    """
    name = "CONCAT('ematix ', SHA1(DATABASE()))"
    got = connection.scalar(sa.text(f"SELECT GET_LOCK({name}, {MIGRATION_SECONDS})"))
    connection.commit()
    if got != 1:
        raise StoreError(
            f"another process has been changing the store's tables for {MIGRATION_SECONDS} s", hint=_LOCKED
        )
    try:
        yield
    finally:
        connection.scalar(sa.text(f"SELECT RELEASE_LOCK({name})"))
        connection.commit()


def cause(error: Exception) -> str:
    """Return the database's own words: SQLAlchemy's add the statement with its values, PyMySQL's are a tuple."""
    original = getattr(error, "orig", None) or error
    words = original.args[1] if _mysql_code(original) is not None else original
    return str(words).strip()


def hint(error: Exception) -> str | None:
    """Return what to do about an error of a server, or None if nothing is known about it."""
    original = getattr(error, "orig", None)
    number = _mysql_code(original)
    if number is not None:
        return _MYSQL.get(number)
    if state := getattr(original, "sqlstate", None):
        return next((text for code, text in _POSTGRES.items() if state.startswith(code)), None)
    if hasattr(original, "sqlstate"):
        return next((text for sign, text in _LIBPQ.items() if sign in str(original)), None)
    return None


def is_deadlock(error: DBAPIError) -> bool:
    """Say whether the server undid this transaction in favour of another one: doing it again is all it needs."""
    return (_mysql_code(error.orig) or getattr(error.orig, "sqlstate", None)) in _DEADLOCKS


def _mysql_code(original: object) -> int | None:
    match getattr(original, "args", None):
        case (int() as code, _):
            return code
    return None
