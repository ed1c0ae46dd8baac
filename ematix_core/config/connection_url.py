"""A connection written as a URL, as `EMATIX_CONNECTION_<NAME>` holds it.

sqlite:///relative.db  sqlite:////absolute.db  duckdb:///warehouse.duckdb  memory:
file:///folder?format=csv  file:folder  delta:folder  s3://bucket/prefix?format=parquet
postgresql://user:${PASSWORD}@host/db  mysql://...  <kind>://...
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from ematix_core.errors import ConfigError
from ematix_core.model.connection import Connection, make_connection

_SCHEME = re.compile(r"([a-z][a-z0-9-]*)(?:\+[a-z0-9_]+)?:")
_KINDS = {"postgresql": "postgres", "mariadb": "mysql"}
"""Schemes that are not the name of the kind."""
_FOLDERS = {"file": "objects", "delta": "delta"}
"""Kinds that are a folder, by their schemes."""
_OBJECT_STORES = frozenset({"s3", "gs", "az"})


def connection_from_url(name: str, url: str, *, where: str) -> Connection:
    """Build the connection. `${...}` references stay as they are. Errors name `where`, never the URL itself.

    The query of a path's URL gives further settings as text; other URLs go to the kind whole, as `url`.
    Raises ConfigError for what is no URL.
    """
    match = _SCHEME.match(url)
    if match is None:
        raise ConfigError(
            "a connection's URL has no kind",
            where=where,
            hint="Write sqlite:///shop.db, postgresql://user@host/db, ...",
        )
    scheme, rest = match[1], url[match.end() :]
    if scheme == "memory":
        return make_connection(name, "memory", {})
    address, _, query = rest.partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    if scheme in {"sqlite", "duckdb"}:
        # As SQLAlchemy has it: three slashes, then the path; so four for an absolute one.
        if not address.startswith("///"):
            hint = f"Write {scheme}:///relative.db or {scheme}:////absolute.db."
            raise ConfigError(f"{scheme} is followed by three slashes and a path", where=where, hint=hint)
        return make_connection(name, scheme, {**settings, "path": unquote(address[3:])})
    if scheme in _FOLDERS:
        return make_connection(name, _FOLDERS[scheme], {**settings, "path": _folder(address, where)})
    if scheme in _OBJECT_STORES:
        return make_connection(name, "objects", {**settings, "path": f"{scheme}:{unquote(address)}"})
    return make_connection(name, _KINDS.get(scheme, scheme), {"url": url})


def _folder(address: str, where: str) -> str:
    """Return the path of a file URL (RFC 8089), whose host may only be empty or localhost."""
    if address.startswith("//"):
        host, slash, path = address[2:].partition("/")
        if host not in {"", "localhost"}:
            raise ConfigError(
                "a file URL has no host", where=where, hint="Write file:///absolute/folder or file:relative/folder."
            )
        address = slash + path
    return unquote(address)
