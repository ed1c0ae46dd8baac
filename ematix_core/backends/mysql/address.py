"""Where a MySQL or MariaDB database is: a connection's URL taken apart, checked, and in the words of both drivers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ematix_core.errors import ConfigError, near

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.model.connection import Connection

PORT = 3306
_SCHEMES = ("mysql", "mariadb")
_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
_FILES = ("ssl_ca", "ssl_cert", "ssl_key")
_FLAGS = ("ssl_verify_cert", "ssl_verify_identity")
_PARAMETERS = (*_FILES, *_FLAGS, "ssl_mode", "connect_timeout", "unix_socket")
_OURS = {
    "time_zone": "UTC, so that a TIMESTAMP is one instant",
    "character_set_client": "utf8mb4", "character_set_results": "utf8mb4", "character_set_connection": "utf8mb4",
    "collation_connection": "that of utf8mb4", "autocommit": "as a load needs it", "names": "utf8mb4",
    "max_error_count": "so that a warning of a load is seen", "sql_log_bin": "as the server has it",
    "unique_checks": "on", "foreign_key_checks": "on",
}  # fmt: skip
_LARGEST_PACKET = 2**30
"""What a row may have for the reader; the driver would take the server's limit, which does not hold for rows."""
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


@dataclass(frozen=True)
class Address:
    """Host, port, user and database, with the password and TLS settings; printed without the password."""

    host: str
    port: int
    user: str
    database: str
    password: str = field(repr=False, default="")
    unix_socket: str = ""
    connect_timeout: int = 10
    tls: Mapping[str, str] = field(default_factory=dict, hash=False)
    variables: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        """Return `user@host:port/database`."""
        place = self.unix_socket or f"{self.host}:{self.port}"
        return f"{self.user}@{place}/{self.database}"

    @property
    def mode(self) -> str:
        """How TLS is used: what ssl_mode says, else what the other parameters ask for."""
        if given := self.tls.get("ssl_mode"):
            return given
        if self.tls.get("ssl_verify_identity") == "1":
            return "VERIFY_IDENTITY"
        if self.tls.get("ssl_verify_cert") == "1" or "ssl_ca" in self.tls:
            return "VERIFY_CA"
        return "REQUIRED" if "ssl_cert" in self.tls else "PREFERRED"

    def same_server(self, other: Address) -> bool:
        """Say whether both name one server, as far as names tell."""
        if self.unix_socket or other.unix_socket:
            return self.unix_socket == other.unix_socket
        return (_local(self.host), self.port) == (_local(other.host), other.port)

    def arguments(self) -> dict[str, Any]:
        """Return what PyMySQL's `connect` takes."""
        arguments: dict[str, Any] = {
            "host": self.host, "port": self.port, "user": self.user, "password": self.password.encode(),
            "database": self.database or None, "connect_timeout": self.connect_timeout,
        }  # fmt: skip
        if self.unix_socket:
            arguments["unix_socket"] = self.unix_socket
        if self.mode == "DISABLED":
            return arguments | {"ssl_disabled": True}
        if self.mode == "PREFERRED":
            return arguments
        return arguments | self._tls_arguments()

    def _tls_arguments(self) -> dict[str, Any]:
        given = {name: self.tls[name] for name in _FILES if name in self.tls}
        verified = self.mode in {"VERIFY_CA", "VERIFY_IDENTITY"}
        context = {"ca": given.get("ssl_ca"), "check_hostname": self.mode == "VERIFY_IDENTITY", "verify_mode": verified}
        if "ssl_cert" in given:
            context |= {"cert": given["ssl_cert"], "key": given.get("ssl_key")}
        return {"ssl": context}

    def reader_url(self) -> str | None:
        """Return the URL for connectorx; None when the connection must be encrypted, which connectorx cannot do."""
        if self.mode not in {"DISABLED", "PREFERRED"}:
            return None
        password = f":{quote(self.password, safe='')}" if self.password else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        url = f"mysql://{quote(self.user, safe='')}{password}@{host}:{self.port}/{quote(self.database, safe='')}"
        socket = f"&socket={quote(self.unix_socket, safe='')}" if self.unix_socket else ""
        return f"{url}?max_allowed_packet={_LARGEST_PACKET}{socket}"


def address(connection: Connection) -> Address:
    """Return the address of a connection. Raises ConfigError for what is missing or not known."""
    url = str(connection.settings().get("url") or "")
    where = f"connection {connection.name}"
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigError(
            "a connection of kind mysql needs url=", where=where, hint="For example: mysql://user@host:3306/database"
        )
    database = unquote(parts.path.strip("/"))
    if not database:
        raise ConfigError("the URL names no database", where=where, hint="Add it: mysql://user@host:3306/database")
    if not parts.username:
        raise ConfigError("the URL names no user", where=where, hint="Add it: mysql://user@host:3306/database")
    given = _parameters(parts.query, where)
    try:
        port, timeout = parts.port or PORT, int(given.pop("connect_timeout", 10))
    except ValueError as error:
        raise ConfigError(f"the URL is malformed: {error}", where=where) from None
    return Address(
        host=parts.hostname, port=port, user=unquote(parts.username), database=database,
        password=unquote(parts.password or ""), unix_socket=given.pop("unix_socket", ""), connect_timeout=timeout,
        tls=given, variables=_variables(connection.options, where),
    )  # fmt: skip


def _parameters(query: str, where: str) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in given.items():
        if name not in _PARAMETERS:
            raise ConfigError(f"unknown URL parameter {name!r}", where=where, hint=near(name, _PARAMETERS))
        if name in _FLAGS:
            if value.lower() not in _TRUE | _FALSE:
                raise ConfigError(f"{name}={value!r} is neither true nor false", where=where)
            given[name] = str(int(value.lower() in _TRUE))
        if name == "ssl_mode" and (mode := value.upper().replace("-", "_")) not in _MODES:
            raise ConfigError(f"unknown ssl_mode {value!r}", where=where, hint=near(mode, _MODES))
    if "ssl_mode" in given:
        given["ssl_mode"] = given["ssl_mode"].upper().replace("-", "_")
    return given


def _variables(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    for name in options:
        if not name.replace("_", "").isalnum():
            raise ConfigError(f"{name!r} is no name of a session variable", where=where)
        if (reason := _OURS.get(name.lower())) is not None:
            raise ConfigError(f"{name} cannot be set: ematix sets it itself ({reason})", where=where)
    return dict(options)


def _local(host: str) -> str:
    """Return one name for this machine's own, else the name in lower case."""
    return "localhost" if host.lower() in {"localhost", "127.0.0.1", "::1"} else host.lower()
