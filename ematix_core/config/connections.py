"""Finds a connection by name: project, environment variable, `./ematix.toml`, the user's folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ematix_core.config.connection_url import connection_from_url
from ematix_core.errors import UnknownConnectionError, near
from ematix_core.model.connection import FederatedConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ematix_core.config.settings import Settings
    from ematix_core.model.connection import Connection

_PREFIX = "EMATIX_CONNECTION_"


@dataclass(frozen=True)
class FoundConnection:
    """A connection, and the place that it comes from in words: `the project`, a variable's name, a file's path."""

    connection: Connection
    origin: str


def variable(name: str) -> str:
    """Return the environment variable that may hold the connection: `my-shop` -> `EMATIX_CONNECTION_MY_SHOP`."""
    return _PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def find_connection(name: str, declared: Mapping[str, Connection], settings: Settings) -> Connection:
    """Return the connection of that name, references unresolved; `declared` are the project's own.

    Raises UnknownConnectionError with the places looked in and near matches.
    """
    if name in declared:
        return declared[name]
    if url := settings.environ.get(variable(name)):
        return connection_from_url(name, url, where=variable(name))
    for file in settings.files:
        if name in file.connections:
            return file.connections[name]
    files = [f"{file.path}{'' if file.exists else ' (no such file)'}" for file in settings.files]
    places = ["the project", f"{variable(name)} (not set)", *files]
    known = [found.connection.name for found in all_connections(declared, settings)]
    raise UnknownConnectionError(
        f"no connection is named {name!r}", hint=f"Looked in: {', '.join(places)}.\n{near(name, known)}"
    )


def with_sources(connection: Connection, declared: Mapping[str, Connection], settings: Settings) -> Connection:
    """Return the connection; a federated one with those that it has by name. Raises what `find_connection` does."""
    if not isinstance(connection, FederatedConnection):
        return connection
    found = [find_connection(one, declared, settings) if isinstance(one, str) else one for one in connection.sources]
    return replace(connection, sources=found)


def all_connections(declared: Mapping[str, Connection], settings: Settings) -> list[FoundConnection]:
    """Return every connection that `find_connection` would find, sorted by name, each with its origin.

    A variable that stands for no name known otherwise gives a connection with the variable's name in lower case.
    """
    found: dict[str, FoundConnection] = {}
    for file in reversed(settings.files):
        found |= {name: FoundConnection(item, str(file.path)) for name, item in file.connections.items()}
    names = {variable(name): name for name in [*found, *declared]}
    for key, url in settings.environ.items():
        if key.startswith(_PREFIX) and key != _PREFIX and url:
            name = names.get(key, key.removeprefix(_PREFIX).lower())
            found[name] = FoundConnection(connection_from_url(name, url, where=key), key)
    found |= {name: FoundConnection(item, "the project") for name, item in declared.items()}
    return [found[name] for name in sorted(found)]
