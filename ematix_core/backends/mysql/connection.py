"""One connection to a MySQL or MariaDB server: opening, statements, and the server's errors in our words."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ematix_core.errors import MissingDriverError, SqlError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import ModuleType

    from ematix_core.backends.mysql.address import Address
    from ematix_core.backends.mysql.wire import Field, Loaded

ALWAYS = {"time_zone": "+00:00", "max_error_count": 64}
"""What each of our connections sets: a TIMESTAMP is read and written as the instant in UTC."""
_KEPT_MODES = ("ANSI_QUOTES", "PIPES_AS_CONCAT", "IGNORE_SPACE", "ONLY_FULL_GROUP_BY")
_STRICT_MODES = (
    "STRICT_ALL_TABLES", "NO_ZERO_DATE", "NO_ZERO_IN_DATE", "ERROR_FOR_DIVISION_BY_ZERO", "NO_ENGINE_SUBSTITUTION",
    "NO_AUTO_VALUE_ON_ZERO",
)  # fmt: skip
"""A value that does not fit is an error, and 0 in an AUTO_INCREMENT column stays 0:
https://dev.mysql.com/doc/refman/8.0/en/sql-mode.html"""
_NOT_PREPARED = 1295


def driver() -> ModuleType:
    """Return PyMySQL. Raises MissingDriverError when it is not installed."""
    try:
        return import_module("pymysql")
    except ImportError as error:
        raise MissingDriverError("mysql", "pymysql", "mysql") from error


@dataclass(frozen=True)
class Server:
    """What a server says of itself. `version` is `(8, 0, 15)` or `(10, 11, 6)`."""

    text: str
    mariadb: bool
    version: tuple[int, ...]
    sql_mode: str
    local_infile: bool
    max_allowed_packet: int

    def __str__(self) -> str:
        """Return product and version."""
        return f"{'MariaDB' if self.mariadb else 'MySQL'} {'.'.join(map(str, self.version))}"


class Database:
    """A connection in autocommit until `begin`. Use from one thread; `kill` excepted."""

    def __init__(self, address: Address, *, strict: bool = False) -> None:
        pymysql = driver()
        from pymysql.constants import CLIENT
        from pymysql.converters import encoders

        from ematix_core.backends.mysql.wire import Wire

        self.address = address
        with self.translated("CONNECT"):
            try:
                self.client = Wire(
                    **address.arguments(), charset="utf8mb4", autocommit=True, conv=encoders, program_name="ematix",
                    client_flag=CLIENT.LOCAL_FILES,
                )  # fmt: skip
            except (OSError, ValueError) as error:  # certificate files
                raise pymysql.OperationalError(2026, f"TLS: {error}") from error
        try:
            self.server = self._ask()
            self.run(settings(address, self.server, strict=strict))
        except BaseException:
            self.close()
            raise

    @property
    def id(self) -> int:
        """The server's number of this connection."""
        return int(self.client.thread_id())

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; values are text, or bytes of binary columns."""
        with self.translated(sql), self.client.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def stream(self, sql: str, batch_rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """Run a query and yield its rows by so many, as they come from the server."""
        from pymysql.cursors import SSCursor

        with self.translated(sql), self.client.cursor(SSCursor) as cursor:
            cursor.execute(sql)
            while rows := cursor.fetchmany(batch_rows):
                yield list(rows)

    def run(self, sql: str | bytes) -> int:
        """Run one statement and return how many rows it changed."""
        with self.translated(sql if isinstance(sql, str) else "INSERT"):
            return max(0, int(self.client.query(sql)))

    def describe(self, sql: str) -> Sequence[Field]:
        """Return the columns of a query, which does not run. Raises SqlError for a text that is no query."""
        try:
            with self.translated(sql):
                fields, parameters = self.client.describe(sql)
        except SqlError as error:
            if f"(error {_NOT_PREPARED})" in error.what:
                raise SqlError("this statement gives no rows that can be loaded", statement=sql) from error
            raise
        if parameters:
            raise SqlError("a ? has no value: parameters are written as :name", statement=sql, position=sql.find("?"))
        if not fields:
            raise SqlError("this statement gives no rows", statement=sql)
        return fields

    def send_rows(self, sql: str, chunks: Iterable[Any]) -> Loaded:
        """Run LOAD DATA LOCAL with the chunks as its file."""
        with self.translated(sql):
            return self.client.send_rows(sql, chunks)

    def warnings(self) -> list[tuple[int, str]]:
        """Return numbers and messages of what the last statement had to say."""
        return [(int(number), str(text)) for _, number, text in self.rows("SHOW WARNINGS LIMIT 64")]

    def requires_tls(self) -> bool:
        """Say whether the server admits this user over encrypted connections only."""
        if self.rows("SHOW VARIABLES LIKE 'require_secure_transport'")[0:1] and self.rows(
            "SELECT @@require_secure_transport"
        )[0][0] in {"1", "ON"}:
            return True
        return "REQUIRE NONE" not in (user := self.rows("SHOW CREATE USER CURRENT_USER()")[0][0]) and "REQUIRE" in user

    def close(self) -> None:
        """Close the connection; what is not committed is rolled back."""
        with self._closing():
            self.client.close()

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        except driver().Error:
            pass  # it is closed already, or lost

    def _ask(self) -> Server:
        row = self.rows("SELECT VERSION(), @@version_comment, @@sql_mode, @@local_infile, @@max_allowed_packet")[0]
        version = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)", row[0])
        mariadb = "mariadb" in f"{row[0]} {row[1]}".lower()
        numbers = tuple(int(part) for part in version.groups()) if version else (0, 0, 0)
        return Server(row[0], mariadb, numbers, row[2], row[3] in {"1", "ON"}, int(row[4]))

    @contextmanager
    def translated(self, statement: str) -> Iterator[None]:
        """Raise PyMySQL's errors as ours."""
        from ematix_core.backends.mysql.errors import translate

        pymysql = driver()
        try:
            yield
        except pymysql.InterfaceError as error:
            raise translate(2006, "it is closed", statement, self.address) from error
        except pymysql.MySQLError as error:
            number, message = error.args[:2] if len(error.args) > 1 else (0, str(error))
            raise translate(int(number), str(message), statement, self.address) from error


def settings(address: Address, server: Server, *, strict: bool) -> str:
    """Return the statement that sets up a session of ours; `strict` for those that write."""
    variables: dict[str, Any] = {**address.variables, **ALWAYS}
    if strict:
        kept = [mode for mode in _KEPT_MODES if mode in server.sql_mode.split(",")]
        variables["sql_mode"] = ",".join((*_STRICT_MODES, *kept))
    return "SET " + ", ".join(f"SESSION {name} = {_value(value)}" for name, value in variables.items())


def _value(value: Any) -> str:  # noqa: ANN401 - whatever the user sets a variable to
    if isinstance(value, bool):
        return "ON" if value else "OFF"
    if isinstance(value, int | float):
        return repr(value)
    return f"_utf8mb4 X'{str(value).encode().hex()}'"


def kill(address: Address, connection: int, *, query: bool) -> None:
    """Stop what another connection is doing, or end it. What has ended by itself needs no killing."""
    other = Database(replace(address, database=""))
    try:
        other.run(f"KILL {'QUERY' if query else 'CONNECTION'} {connection:d}")
    except SqlError as error:
        if "(error 1094)" not in error.what:  # no such connection
            raise
    finally:
        other.close()


def require_version(server: Server) -> None:
    """Raise UnsupportedError for a server whose SQL lacks what loads are made of."""
    least = (10, 3) if server.mariadb else (8, 0)
    if server.version[:2] < least:
        raise UnsupportedError(
            f"{server} cannot be written to: window functions and common table expressions are needed",
            hint="MySQL 8.0 or MariaDB 10.3, or newer.",
        )
