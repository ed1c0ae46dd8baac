"""The server's errors in our words, by their numbers.

https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html, https://mariadb.com/kb/en/mariadb-error-codes/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

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
    MissingSourceError,
    RunError,
    SqlError,
)

if TYPE_CHECKING:
    from ematix_core.backends.mysql.address import Address


class LostConnectionError(ConnectError):
    """The connection broke while it was in use; what was not committed is rolled back."""


MISSING_TABLE, UNKNOWN_DATABASE = 1146, 1049
_UNKNOWN_HOST = 2005
_LOST = frozenset({2006, 2013, 2055, 1053, 1152, 1158, 1159, 1160, 1161, 1927, 3169, 4031})
_TRY = "Nothing was committed. Try again; with retries= the job does so by itself."
_MEND = "Mend the value in the job's query, or give the column a type that holds it."
_ALIKE = (
    "The table's own unique key forbids it. By its collation texts may be equal that differ in case, accents or spaces "
    "at the end. Nothing was committed."
)
_BY_NUMBER: dict[int, tuple[type[EmatixError], str]] = {
    1044: (AccessError, "Ask for the privilege, for example: GRANT ALL ON `{database}`.* TO '{user}'@'%'."),
    1045: (AccessError, "Check user and password in the connection's url=."),
    1698: (AccessError, "Check user and password; this user may be allowed to log in by other means only."),
    1251: (AccessError, "The user's authentication plugin is not supported."),
    1130: (AccessError, "The server does not admit this host: create the user for it."),
    1142: (AccessError, "Ask for the privilege that the message names, for example: GRANT SELECT, INSERT ON .. TO .."),
    1143: (AccessError, "Ask for the privilege that the message names, on that column."),
    1227: (AccessError, "The user lacks the privilege that the message names."),
    1370: (AccessError, "GRANT EXECUTE on that routine."),
    3159: (AccessError, "The server admits encrypted connections only: add ssl_mode=REQUIRED to the url=."),
    UNKNOWN_DATABASE: (RunError, "Check the database in the connection's url=, or create it."),
    1040: (ConnectError, "The server has all the connections that max_connections permits."),
    1203: (ConnectError, "The user has all the connections that max_user_connections permits."),
    1226: (ConnectError, "The user has used up what the server grants it for now."),
    1129: (ConnectError, "The server blocks this host: run mysqladmin flush-hosts there."),
    1193: (ConfigError, "Options of the connection are variables of the session."),
    1231: (ConfigError, "Options of the connection are variables of the session."),
    1232: (ConfigError, "Options of the connection are variables of the session."),
    1205: (LockedError, f"Another transaction holds the rows. {_TRY}"),
    1213: (ConflictError, _TRY),
    3101: (ConflictError, _TRY),
    3572: (LockedError, _TRY),
    1317: (CancelledError, "Nothing was committed."),
    3024: (CancelledError, "The server's limit max_execution_time was reached."),
    1969: (CancelledError, "The server's limit max_statement_time was reached."),
    1290: (AccessError, "A read-only server is a replica as a rule: connect to the primary."),
    1836: (AccessError, "A read-only server is a replica as a rule: connect to the primary."),
    1792: (AccessError, "A read-only server is a replica as a rule: connect to the primary."),
    1021: (DiskFullError, "Free space on the server. Nothing was committed."),
    1114: (DiskFullError, "Free space on the server, or raise its limit. Nothing was committed."),
    1030: (RunError, "The storage engine failed: the server's log says more."),
    3675: (DiskFullError, "Free space on the server. Nothing was committed."),
    1062: (KeyViolationError, _ALIKE),
    1586: (KeyViolationError, _ALIKE),
    1451: (KeyViolationError, "A foreign key of another table points at the row. Nothing was committed."),
    1452: (KeyViolationError, "A foreign key of the table has no row to point at. Nothing was committed."),
    1048: (ConversionError, "The column is NOT NULL: filter the rows, or fill the value in the job's query."),
    1263: (ConversionError, "The column is NOT NULL: filter the rows, or fill the value in the job's query."),
    1264: (ConversionError, _MEND), 1265: (ConversionError, _MEND), 1292: (ConversionError, _MEND),
    1366: (ConversionError, _MEND), 1367: (ConversionError, _MEND), 1406: (ConversionError, _MEND),
    1300: (ConversionError, _MEND), 1411: (ConversionError, _MEND), 1690: (ConversionError, _MEND),
    1416: (ConversionError, _MEND), 3819: (ConversionError, _MEND),
    **dict.fromkeys((3140, 3141, *range(4035, 4043)), (ConversionError, "The column takes JSON documents only.")),
    4025: (ConversionError, _MEND), 1153: (ConversionError, "A value is larger than the server's max_allowed_packet."),
    1118: (RunError, "Fewer or shorter String columns, or Text for the long ones, take less of a row."),
    1117: (RunError, "Spread the columns over several tables."),
    1071: (RunError, "Declare shorter String columns for the key, or a key of fewer columns."),
    1170: (RunError, "Declare the key's columns as String[n], not Text."),
    1059: (RunError, "Names in MySQL have up to 64 characters."),
    1665: (RunError, "The server writes a binary log of statements: SET GLOBAL binlog_format=ROW."),
}  # fmt: skip
_CLIENT = range(2000, 3000)
_NEAR = re.compile(r"near '(.*)' at line (\d+)$", re.DOTALL)
_WORD = re.compile(r"(?:Unknown column|Table|FUNCTION|Unknown table|Column|Not unique table/alias:) '?([^\s']+)'?")


def translate(number: int, message: str, statement: str, where: Address) -> EmatixError:
    """Return the error of our tree that says what the server's error means; it names host, user and database."""
    place = f"MySQL {where}"
    if number in _LOST:
        return LostConnectionError(f"the connection was lost: {message}", where=place, hint=_TRY)
    if number in _BY_NUMBER:
        kind, hint = _BY_NUMBER[number]
        hint = hint.format(database=where.database, user=where.user)
        return kind(f"{message} (error {number})", where=place, hint=hint)
    if number in _CLIENT or number == 0:
        return _no_connection(message, where)
    if number == MISSING_TABLE:
        return MissingTableError(message, statement=statement, position=position(message, statement))
    return SqlError(f"{message} (error {number})", statement=statement, position=position(message, statement))


class MissingTableError(SqlError, MissingSourceError):
    """A statement names a table that is not there."""


def _no_connection(message: str, where: Address) -> EmatixError:
    text = message.lower()
    place = f"MySQL {where}"
    if "certificate" in text or "ssl" in text or "tls" in text:
        hint = "Check ssl_ca=, ssl_cert=, ssl_key= and ssl_mode= in the url=, and that the host is the certificate's."
        return AccessError(f"no encrypted connection: {message}", where=place, hint=hint)
    if "name or service not known" in text or "getaddrinfo" in text or "name resolution" in text:
        return ConnectError(f"there is no host {where.host!r}", where=place, hint="Check the host in the url=.")
    return ConnectError(
        f"cannot connect: {message}", where=place, hint="Does the server run there, and does a firewall let you pass?"
    )


def position(message: str, statement: str) -> int | None:
    """Return where in the statement the fault is: MySQL quotes the text from there on, or names a word."""
    if found := _NEAR.search(message):
        rest = found[1]
        if not rest:
            return len(statement)
        start = statement.find(rest)
        return start if start >= 0 and statement.find(rest, start + 1) < 0 else None
    if found := _WORD.search(message):
        word = found[1].rpartition(".")[2]
        places = [m.start() for m in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", statement)]
        return places[0] if len(places) == 1 else None
    return None
