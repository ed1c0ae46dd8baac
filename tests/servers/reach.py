"""How tests reach the servers of `make servers`, each test in a database of its own."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from tools.servers import urls
from tools.servers.client import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["account", "at_host", "ca", "database", "execute", "in_database", "other_ca", "url"]


def url(server: str) -> str:
    """Return the administrator's URL of a server, for example `postgres`: the variable, or what was started."""
    if given := urls.given(server):
        return given
    known = urls.read()
    if server in known:
        return known[server]
    reason = known.get(f"{server}.unavailable", f"run `make servers`, or set {urls.variable(server)}")
    message = f"no {server} server is known: {reason}"
    raise RuntimeError(message)


def account(server: str, role: str) -> str:
    """Return the URL of another user, with the password.

    Roles: `password` (may make databases, on MariaDB and MySQL those of `ematix_*`), `tls_only`, `unprivileged`;
    `read_only` (no SUPER either) on MariaDB and MySQL; `sha2` (caching_sha2_password) on MySQL. On S3 there are
    `unprivileged` and `read_only`. For Kafka: `KafkaCluster.user`.
    """
    return _known(f"{server}.{role}")


def ca() -> Path:
    """Return the file of the authority that signed the servers' certificate, which is for `localhost` only."""
    return Path(_known("ca"))


def other_ca() -> Path:
    """Return the file of an authority that signed nothing."""
    return Path(_known("other_ca"))


def at_host(server_url: str, host: str) -> str:
    """Return the URL with another host name: `localhost` is in the certificate, `127.0.0.1` is not."""
    parts = urlsplit(server_url)
    user, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}@{host}:{parts.port}"))


def in_database(server_url: str, database: str) -> str:
    """Return the URL with another database."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


@contextmanager
def database(server: str) -> Iterator[str]:
    """Make an empty database, yield its URL and drop it with all that is in it."""
    name = f"ematix_{uuid4().hex[:12]}"
    admin = url(server)
    execute(admin, f"CREATE DATABASE {name}")
    try:
        yield in_database(admin, name)
    finally:
        execute(admin, f"DROP DATABASE {name}" + (" WITH (FORCE)" if server == "postgres" else ""))


def _known(key: str) -> str:
    known = urls.read()
    if key not in known:
        message = f"{key} is not known: run `make servers`"
        raise RuntimeError(message)
    return known[key]
