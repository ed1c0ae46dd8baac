"""Where a PostgreSQL database is and how to reach it: the connection's URL and options, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from ematix_core.errors import ConfigError, near

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.model.connection import Connection

CONNECT_TIMEOUT = 30.0
"""Seconds that opening a connection may take, unless the URL says `connect_timeout`."""

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_FOR_ASYNCPG = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "target_session_attrs")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_FOR_SERVER = ("application_name", "options")
_PARAMETERS = (*_FOR_ASYNCPG, *_FOR_SERVER, "connect_timeout")


@dataclass(frozen=True)
class Address:
    """A database: the URL for asyncpg, what else it is told, and the session's settings.

    `parallel`: the number of connections that a read may use; None lets the table's size decide.
    """

    dsn: str = field(repr=False)
    host: str
    port: int
    database: str
    user: str
    server_settings: Mapping[str, str]
    timeout: float
    settings: Mapping[str, str]
    parallel: int | None = None

    def __str__(self) -> str:
        """Say where it is, without the password."""
        return f"PostgreSQL database {self.database} at {self.place} as {self.user}"

    @property
    def place(self) -> str:
        """Host and port, as the user wrote them."""
        if "," in self.host:  # several, each with its port
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def same_session(self, other: Address) -> bool:
        """Say whether a session of the other reads what one of this does: database, user and settings are the same."""
        return _session(self) == _session(other)


def address(connection: Connection) -> Address:
    """Read the connection's settings. Raises ConfigError for what is missing, misspelled or impossible."""
    where = f"connection {connection.name}"
    url = str(connection.settings().get("url") or "")
    parts = _split(url, where)
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in parameters:
        if name not in _PARAMETERS:
            raise ConfigError(f"unknown URL parameter {name!r}", where=where, hint=near(name, _PARAMETERS))
    for name in _FILES:
        if name in parameters and not Path(parameters[name]).expanduser().is_file():
            raise ConfigError(f"there is no file {parameters[name]}", where=f"{name} of {where}")
    passed = urlencode({name: parameters[name] for name in _FOR_ASYNCPG if name in parameters})
    user = unquote(parts.username or "") or _default_user()
    options = dict(connection.options)
    return Address(
        dsn=urlunsplit(parts._replace(query=passed)),
        host=_host(parts.netloc),
        port=_port(parts.netloc, where),
        database=unquote(parts.path.lstrip("/")) or user,
        user=user,
        server_settings={"application_name": "ematix"} | {k: parameters[k] for k in _FOR_SERVER if k in parameters},
        timeout=_seconds(parameters.get("connect_timeout"), where),
        parallel=_parallel(options.pop("parallel", None), where),
        settings={name: _setting(value) for name, value in options.items()},
    )


def _split(url: str, where: str) -> Any:  # noqa: ANN401 - urllib's SplitResult
    example = "Write url='postgresql://user:${PASSWORD}@host:5432/database'."
    if not url:
        raise ConfigError("a connection of kind postgres needs url=", where=where, hint=example)
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ConfigError("the URL of a PostgreSQL connection begins with postgresql://", where=where, hint=example)
    return parts


def _host(netloc: str) -> str:
    hosts = netloc.rpartition("@")[2]
    if "," in hosts:
        return hosts
    host = hosts.rpartition(":")[0] if hosts.rpartition(":")[2].isdigit() else hosts
    return host.strip("[]") or "localhost"


def _session(address: Address) -> tuple[object, ...]:
    host = address.host.lower()
    return (
        "localhost" if host in {"localhost", "127.0.0.1", "::1"} else host, address.port, address.database,
        address.user, address.settings, address.server_settings.get("options"),
    )  # fmt: skip


def _port(netloc: str, where: str) -> int:
    last = netloc.rpartition("@")[2].rpartition(":")[2] if ":" in netloc.rpartition("@")[2] else ""
    if not last or last.endswith("]"):
        return 5432
    if not last.isdigit():
        raise ConfigError(f"the port {last!r} in the URL is no number", where=where)
    return int(last)


def _default_user() -> str:
    import getpass
    import os

    return os.environ.get("PGUSER") or getpass.getuser()


def _seconds(text: str | None, where: str) -> float:
    if text is None:
        return CONNECT_TIMEOUT
    if not text.isdigit():
        raise ConfigError(f"connect_timeout={text!r} is no number of seconds", where=where)
    return float(text) or 86_400.0  # 0 means to wait without end


def _parallel(value: Any, where: str) -> int | None:  # noqa: ANN401 - whatever the user wrote
    if value is None:
        return None
    if not str(value).isdigit() or not 1 <= int(value) <= 32:  # noqa: PLR2004 - more connections help no client
        raise ConfigError(f"parallel={value!r} must be a number of connections from 1 to 32", where=where)
    return int(value)


def _setting(value: Any) -> str:  # noqa: ANN401 - whatever the user wrote
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
