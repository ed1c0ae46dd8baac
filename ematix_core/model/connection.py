"""Connections: where a system is and how to reach it.

A connection is a frozen record. Its text may hold `${...}` references; they are resolved when the connection is used
(`ematix_core.config.secrets`), never when it is declared, and never shown.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from ematix_core.errors import DeclarationError, near

if TYPE_CHECKING:
    from collections.abc import Mapping

_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:\s]*):([^/@\s]*)@")
_SECRET_PARAMETER = re.compile(r"(?i)\b([\w.-]*(?:password|passwd|secret|token|api_?key)[\w.-]*)=([^&\s;]+)")
_SECRET_NAME = re.compile(r"(?i)password|passwd|secret|token|api_?key|credential|private")


def mask(text: str) -> str:
    """Return `text` with passwords in URLs and `password=`-like parameters replaced by `***`."""
    return _SECRET_PARAMETER.sub(r"\1=***", _PASSWORD_IN_URL.sub(r"\1:***@", text))


@dataclass(frozen=True)
class Connection:
    """Base of all connections: a name and the settings of its kind.

    `options` holds settings for which the kind has no field of its own; they go to the driver as they are.
    """

    kind: ClassVar[str] = ""
    name: str
    _: KW_ONLY
    options: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """Return the settings by name, options included, as declared (references unresolved)."""
        own = {f.name: getattr(self, f.name) for f in _settings(self)}
        return own | dict(self.options)

    def masked(self) -> dict[str, Any]:
        """Return the settings that are set, fit to be shown: secrets and passwords in URLs are `***`."""
        return {
            name: "***" if _SECRET_NAME.search(name) else mask(value) if isinstance(value, str) else value
            for name, value in self.settings().items()
            if value is not None and value != ""
        }

    def __repr__(self) -> str:
        """Show kind, name and settings, with secrets masked."""
        inner = "".join(f", {name}={value!r}" for name, value in self.masked().items())
        return f"{type(self).__name__}({self.name!r}{inner})"


def _settings(connection: Connection) -> list[Field[Any]]:
    return [f for f in fields(connection) if f.name not in {"name", "options"} and not f.metadata.get("state")]


@dataclass(frozen=True, repr=False)
class SQLiteConnection(Connection):
    """A SQLite database file. `path` is relative to the working directory."""

    kind: ClassVar[str] = "sqlite"
    path: str = ""


@dataclass(frozen=True, repr=False)
class DuckDBConnection(Connection):
    """A DuckDB database file. `path` is relative to the working directory."""

    kind: ClassVar[str] = "duckdb"
    path: str = ""


@dataclass(frozen=True, repr=False)
class ObjectStoreConnection(Connection):
    """A folder of files. `path` is a local folder; `format` (parquet, csv, orc, jsonl) is what targets are written
    in and what sources are read as when a file's name does not tell. Format settings go into `options`."""

    kind: ClassVar[str] = "objects"
    path: str = ""
    format: str = "parquet"


@dataclass(frozen=True, repr=False)
class MemoryConnection(Connection):
    """Tables held by the connection object itself, for tests and for data already in Python.

    `tables` are Arrow tables by name, loaded on first use. They live as long as the connection object.
    """

    kind: ClassVar[str] = "memory"
    tables: Mapping[str, Any] = field(default_factory=dict, metadata={"state": True}, compare=False)
    state: dict[str, Any] = field(default_factory=dict, metadata={"state": True}, compare=False)


CONNECTION_CLASSES: dict[str, type[Connection]] = {
    cls.kind: cls for cls in (SQLiteConnection, DuckDBConnection, ObjectStoreConnection, MemoryConnection)
}


def make_connection(name: str, kind: str, settings: Mapping[str, Any]) -> Connection:
    """Build the typed connection for `kind`; settings that are no field of it become `options`.

    A kind outside the built-in ones gives a plain Connection subclass; whether a backend serves it is found out when
    it is used. Raises DeclarationError for a name that is empty.
    """
    if not name:
        raise DeclarationError("a connection needs a name", hint="Pass name='...'.")
    cls = CONNECTION_CLASSES.get(kind) or _foreign(kind)
    own = {f.name for f in fields(cls) if f.name not in {"name", "options"}}
    options = {key: value for key, value in settings.items() if key not in own and key != "options"}
    options |= dict(settings.get("options") or {})
    return cls(name, options=options, **{key: value for key, value in settings.items() if key in own})


def _foreign(kind: str) -> type[Connection]:
    return type("Connection", (Connection,), {"kind": kind, "__module__": __name__})


def connection(cls: type) -> Connection:
    """Class decorator: `kind` and the other plain attributes of the class become a Connection named after it."""
    settings = {key: value for key, value in vars(cls).items() if not key.startswith("_")}
    kind = settings.pop("kind", None)
    name = settings.pop("name", cls.__name__)
    if not isinstance(kind, str):
        raise DeclarationError(
            f"connection {name!r} has no kind", hint=f"Set kind = '...'. {near('', CONNECTION_CLASSES)}"
        )
    return make_connection(name, kind, settings)
