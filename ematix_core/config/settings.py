"""The configuration files: `./ematix.toml`, then `ematix.toml` in the user's configuration folder.

[project]
modules = ["pipelines"]                 # what the commands load without --module

[store]
url = "sqlite:///.ematix/runs.db"       # a relative path counts from the file's folder
keep = "90 days"                        # see scheduling

[scheduler]
executor = "process"                    # see scheduling

[pools]
warehouse = 2                           # see scheduling

[alerts.oncall]
kind = "pagerduty"                      # see alerting

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

from ematix_core.config import tables
from ematix_core.config.alerting import AlerterSettings, read_alerts
from ematix_core.config.scheduling import SchedulerSettings, read_keep, read_pools, read_scheduler
from ematix_core.errors import ConfigError, near
from ematix_core.model.connection import CONNECTION_CLASSES, Connection, make_connection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

FILE_NAME = "ematix.toml"
_TABLES = ("project", "store", "scheduler", "pools", "alerts", "connections")


@dataclass(frozen=True)
class SettingsFile:
    """One configuration file as read; all empty when there is no such file."""

    path: Path
    exists: bool = False
    modules: tuple[str, ...] = ()
    store: str = ""
    keep: timedelta | None = None
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    """What it sets of SchedulerSettings."""
    pools: Mapping[str, int] = field(default_factory=dict)
    alerts: Mapping[str, AlerterSettings] = field(default_factory=dict)
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
        where = str(path)
        tables.check_keys(content, _TABLES, "table", where)
        store = tables.table(content, "store", where, ("url", "keep"))
        return cls(
            path,
            exists=True,
            modules=_modules(content, where),
            store=_store(store.get("url", ""), path),
            keep=read_keep(store["keep"], f"{where}, [store]") if "keep" in store else None,
            scheduler=read_scheduler(content, where),
            pools=read_pools(content, where),
            alerts=read_alerts(content, where),
            connections={
                name: _connection(name, settings, f"{where}, [connections.{name}]")
                for name, settings in tables.table(content, "connections", where).items()
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

    @property
    def keep(self) -> timedelta | None:
        """How long runs are kept; None for ever."""
        return self.project_file.keep or self.user_file.keep

    @property
    def scheduler(self) -> SchedulerSettings:
        """How a scheduler works: each key as the project's file has it, else the user's, else the default."""
        return SchedulerSettings(**{**self.user_file.scheduler, **self.project_file.scheduler})

    @property
    def pools(self) -> Mapping[str, int]:
        """How many jobs of each pool run at one time, by the pool's name."""
        return {**self.user_file.pools, **self.project_file.pools}

    @property
    def alerts(self) -> Mapping[str, AlerterSettings]:
        """The alerters by name."""
        return {**self.user_file.alerts, **self.project_file.alerts}


def _modules(content: dict[str, Any], where: str) -> tuple[str, ...]:
    modules = tables.table(content, "project", where, ("modules",)).get("modules", [])
    if not isinstance(modules, list) or not all(isinstance(module, str) and module for module in modules):
        raise ConfigError('modules must be a list of names, such as ["pipelines"]', where=f"{where}, [project]")
    return tuple(modules)


def _store(url: object, path: Path) -> str:
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
