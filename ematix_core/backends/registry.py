"""Which module serves a kind of connection: one literal table, and the entry points of other packages."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from ematix_core.errors import ConfigError, UnsupportedError, near

if TYPE_CHECKING:
    from types import ModuleType

    from ematix_core.backends.protocols import Source, Target
    from ematix_core.backends.stream_protocols import StreamQuery, StreamSource, VersionLog
    from ematix_core.model.connection import Connection
    from ematix_core.sql.dialect import Dialect

MODULES = {
    "delta": "ematix_core.backends.delta",
    "duckdb": "ematix_core.backends.duckdb",
    "federated": "ematix_core.backends.federated",
    "kafka": "ematix_core.backends.kafka",
    "memory": "ematix_core.backends.memory",
    "mysql": "ematix_core.backends.mysql",
    "objects": "ematix_core.backends.objects",
    "postgres": "ematix_core.backends.postgres",
    "sqlite": "ematix_core.backends.sqlite",
}
ENTRY_POINTS = "ematix.backends"
"""Entry-point group by which a package adds a kind: `clickhouse = "ematix_clickhouse"`."""


def kinds() -> tuple[str, ...]:
    """Return every kind that is known, built-in ones and those of other packages, sorted."""
    return tuple(sorted({*MODULES, *(point.name for point in entry_points(group=ENTRY_POINTS))}))


def dialect(kind: str) -> Dialect:
    """Return the capability record of a kind, without its driver. Raises ConfigError for an unknown kind."""
    return cast("Dialect", _module(kind).DIALECT)


def source(connection: Connection) -> Source:
    """Return what reads from the connection. Raises MissingDriverError; UnsupportedError when it cannot be read."""
    return cast("Source", _module(connection.kind).source(connection))


def check(connection: Connection) -> str:
    """Open the system and return one line about it: what the kind's own `check` says, else that of its source.

    Raises MissingDriverError and what opening raises.
    """
    module = _module(connection.kind)
    if hasattr(module, "check"):  # jobs do not read from it
        return cast("str", module.check(connection))
    opened = source(connection)
    try:
        return opened.check()
    finally:
        opened.close()


def target(connection: Connection) -> Target:
    """Return what writes to the connection. Raises MissingDriverError; UnsupportedError when it cannot be written."""
    return cast("Target", _module(connection.kind).target(connection))


def stream_source(connection: Connection, query: StreamQuery) -> StreamSource:
    """Return what reads from the connection without end; it connects when it is first asked.

    Raises MissingDriverError, ConfigError for an option; UnsupportedError for a kind that is no stream.
    """
    module = _module(connection.kind)
    if not hasattr(module, "stream_source"):
        raise UnsupportedError(
            f"connection {connection.name} of kind {connection.kind} cannot be read as a stream",
            hint=f"Kinds that can: {', '.join(_with('stream_source'))}.",
        )
    return cast("StreamSource", module.stream_source(connection, query))


def version_log(connection: Connection, table: str) -> VersionLog:
    """Return what tells the versions of a table. Raises MissingDriverError; UnsupportedError for a kind without."""
    module = _module(connection.kind)
    if not hasattr(module, "version_log"):
        raise UnsupportedError(
            f"tables of connection {connection.name} of kind {connection.kind} have no versions",
            hint=f"Kinds that keep versions: {', '.join(_with('version_log'))}.",
        )
    return cast("VersionLog", module.version_log(connection, table))


def _with(role: str) -> list[str]:
    return [kind for kind in sorted(MODULES) if hasattr(import_module(MODULES[kind]), role)]


def _module(kind: str) -> ModuleType:
    if kind in MODULES:
        return import_module(MODULES[kind])
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == kind:
            return cast("ModuleType", point.load())
    raise ConfigError(f"no backend serves connections of kind {kind!r}", hint=near(kind, kinds()))
