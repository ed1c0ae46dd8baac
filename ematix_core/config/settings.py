"""The configuration files: `./ematix.toml`, then `ematix.toml` in the user's configuration folder.

[project]
modules = ["pipelines"]                 # what the commands load without --module

[store]
url = "sqlite:///.ematix/runs.db"       # a relative path counts from the file's folder

[connections.shop]
kind = "postgres"
url = "${SHOP_URL}"                     # resolved when used
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ematix_core.errors import ConfigError, near
from ematix_core.model.connection import CONNECTION_CLASSES, Connection, make_connection

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME = "ematix.toml"
_TABLES = {"project": {"modules"}, "store": {"url"}}


@dataclass(frozen=True)
class SettingsFile:
    """One configuration file as read; all empty when there is no such file."""

    path: Path
    exists: bool = False
    modules: tuple[str, ...] = ()
    store: str = ""
    connections: Mapping[str, Connection] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check the file. Raises ConfigError naming file and table."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return cls(path)
        except OSError as error:
            raise ConfigError(f"the settings cannot be read: {error.strerror}", where=str(path)) from error
        except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
            raise ConfigError(f"the settings are not valid TOML: {error}", where=str(path)) from error
        _check_keys(content, {*_TABLES, "connections"}, "table", str(path))
        return cls(
            path,
            exists=True,
            modules=_modules(content, path),
            store=_store(content, path),
            connections={
                name: _connection(name, settings, f"{path}, [connections.{name}]")
                for name, settings in _table(content, "connections", path).items()
            },
        )


@dataclass(frozen=True)
class Settings:
    """What holds for commands started in `directory`: the project's file before the user's."""

    directory: Path
    project_file: SettingsFile
    user_file: SettingsFile
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def load(cls, directory: Path | str = ".", environ: Mapping[str, str] = os.environ) -> Self:
        """Read both files. Raises ConfigError for unknown keys and malformed values."""
        directory = Path(directory).absolute()
        user_folder = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or Path.home(), ".config")
        return cls(
            directory,
            SettingsFile.read(directory / FILE_NAME),
            SettingsFile.read(Path(user_folder, "ematix", FILE_NAME)),
            environ,
        )

    @property
    def files(self) -> tuple[SettingsFile, SettingsFile]:
        """The files in the order in which they are asked."""
        return self.project_file, self.user_file

    @property
    def modules(self) -> tuple[str, ...]:
        """What `[project] modules` lists; empty when neither file does."""
        return self.project_file.modules or self.user_file.modules

    @property
    def store(self) -> str:
        """The store's URL, references unresolved: EMATIX_STORE, the files, a SQLite file below the directory."""
        return (
            self.environ.get("EMATIX_STORE")
            or self.project_file.store
            or self.user_file.store
            or f"sqlite:///{self.directory}/.ematix/runs.db"
        )


def _modules(content: dict[str, Any], path: Path) -> tuple[str, ...]:
    modules = _table(content, "project", path).get("modules", [])
    if not isinstance(modules, list) or not all(isinstance(module, str) and module for module in modules):
        raise ConfigError('modules must be a list of names, such as ["pipelines"]', where=f"{path}, [project]")
    return tuple(modules)


def _store(content: dict[str, Any], path: Path) -> str:
    url = _table(content, "store", path).get("url", "")
    if not isinstance(url, str):
        raise ConfigError("url must be text, such as 'sqlite:///runs.db'", where=f"{path}, [store]")
    scheme, slashes, rest = url.partition(":///")
    if scheme == "sqlite" and slashes and not rest.startswith(("/", ":", "$")):
        return f"sqlite:///{path.parent / rest}"
    return url


def _connection(name: str, settings: object, where: str) -> Connection:
    if not isinstance(settings, dict):
        raise ConfigError("a connection is a table", where=where, hint=f"Write [connections.{name}] and kind = ...")
    kind = settings.get("kind")
    if not isinstance(kind, str) or not kind:
        raise ConfigError("the connection has no kind", where=where, hint=near("", CONNECTION_CLASSES))
    if "name" in settings:
        raise ConfigError("a connection's name is that of its table", where=where, hint="Remove name = ...")
    return make_connection(name, kind, {key: value for key, value in settings.items() if key != "kind"})


def _table(content: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{name} must be a table", where=str(path), hint=f"Write [{name}].")
    if name in _TABLES:
        _check_keys(table, _TABLES[name], "key", f"{path}, [{name}]")
    return table


def _check_keys(table: dict[str, Any], known: set[str], what: str, where: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"unknown {what} {key!r}", where=where, hint=near(key, known))
