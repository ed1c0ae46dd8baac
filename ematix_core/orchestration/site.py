"""Where a project, its settings and its store are, for a process that an orchestrator starts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ematix_core.config.redact import Redactor
from ematix_core.config.references import escape
from ematix_core.config.settings import Settings
from ematix_core.errors import ProjectError, near
from ematix_core.model.loading import is_path
from ematix_core.model.project import Project
from ematix_core.model.unit import units
from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job
    from ematix_core.model.project import Declaration
    from ematix_core.model.stream import Stream
    from ematix_core.model.unit import Unit
    from ematix_core.store import SchedulerStore


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where to find what a run needs.

    `modules`: what `Project.load` takes; none: what `[project]` in the settings lists. `directory`: the folder in which
    they and `ematix.toml` are looked up.
    `store`: its URL, default the one of the settings. `connections`: the orchestrator's, asked for a name that the
    project does not declare, before the environment and the configuration files are.
    """

    modules: tuple[str, ...] = ()
    directory: str = "."
    store: str = ""
    connections: Mapping[str, Connection] = field(default_factory=dict)

    @contextmanager
    def opened(self) -> Iterator[OpenSite]:
        """Open the store, and close it again. Raises ConfigError, StoreError."""
        settings = Settings.load(self.directory)
        if self.store:
            settings = replace(settings, environ={**settings.environ, "EMATIX_STORE": self.store})
        redactor = Redactor()
        with open_store(settings.store, redactor=redactor) as store:
            yield OpenSite(self, settings, store, redactor)


@dataclass(frozen=True)
class OpenSite:
    """A site whose store is open. The project is loaded when it is first asked for."""

    site: Site
    settings: Settings
    store: SchedulerStore
    redactor: Redactor
    given: Project | None = None
    """A project that is there already, and is not loaded."""

    def of(self, *declarations: Declaration) -> OpenSite:
        """Return the site with a project of these declarations, in place of the one that its modules hold."""
        return replace(self, given=Project.of(*declarations, root=Path(self.site.directory)))

    @property
    def project(self) -> Project:
        """The project, as far as it is good, with the orchestrator's connections. Raises ProjectError for none."""
        return self._loaded[0]

    @property
    def problems(self) -> tuple[str, ...]:
        """What had to be left out of the project, and why."""
        return self._loaded[1]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Work in the project's folder: a connection's relative path counts from there. Not beside other threads."""
        with chdir(self.site.directory):
            yield

    def placed(self, connection: Connection) -> Connection:
        """Return a resolved connection with a path that does not depend on the working directory of the process."""
        path = str(connection.settings().get("path") or "")
        if not path or "://" in path or Path(path).expanduser().is_absolute():
            return connection
        with suppress(OSError):
            path = str(Path(self.site.directory, path).absolute())
        return replace(connection, path=escape(path))  # type: ignore[call-arg]  # kinds with a path

    def job(self, name: str) -> Job:
        """Return the job of that name. Raises ProjectError with the nearest one, or with what was left out and why."""
        if name not in self.project.jobs and self.problems:
            raise ProjectError("\n".join(self.problems), where=f"job {name}")
        return self.project.job(name)

    def stream(self, name: str) -> Stream:
        """Return the stream of that name. Raises ProjectError as `job` does."""
        if name not in self.project.streams and self.problems:
            raise ProjectError("\n".join(self.problems), where=f"stream {name}")
        if name not in self.project.streams:
            raise ProjectError(f"unknown stream {name!r}", hint=near(name, self.project.streams))
        return self.project.streams[name]

    def unit(self, name: str) -> Unit:
        """Return what a gate asks about: the workflow of that name, or the job that runs by itself.

        Raises ProjectError with the nearest one, or with what was left out and why.
        """
        known = {unit.name: unit for unit in units(self.project)}
        if name not in known and self.problems:
            raise ProjectError("\n".join(self.problems), where=f"workflow {name}")
        if name not in known:
            raise ProjectError(f"unknown workflow {name!r}", hint=near(name, known))
        return known[name]

    @cached_property
    def _loaded(self) -> tuple[Project, tuple[str, ...]]:
        project, problems = (self.given, ()) if self.given is not None else self._load()
        known = _Chained(project.connections, self.site.connections)
        return replace(project, connections=MappingProxyType(known)), problems

    def _load(self) -> tuple[Project, tuple[str, ...]]:
        modules = self.site.modules or self.settings.modules
        if not modules:
            raise ProjectError("there is nothing to load", hint="Name the project's modules: modules=['my_pipelines'].")
        folder = str(Path(self.site.directory).absolute())
        _look_there_first(folder, modules)
        return Project.load_good(*(_in_folder(module, folder) for module in modules))


class _Chained(Mapping[str, "Connection"]):
    """The project's connections, and those of an orchestrator that has to be asked for each name."""

    def __init__(self, declared: Mapping[str, Connection], others: Mapping[str, Connection]) -> None:
        self._declared, self._others = declared, others

    def __getitem__(self, name: str) -> Connection:
        return self._declared[name] if name in self._declared else self._others[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)


def _look_there_first(folder: str, modules: Sequence[str]) -> None:
    """Have modules imported from the folder, whatever other projects this process has loaded.

    A module of the same name that was imported from elsewhere is forgotten: it is another project's.
    """
    sys.path[:] = [folder, *(path for path in sys.path if path != folder)]
    for top in {module.partition(".")[0] for module in modules if not is_path(module)}:
        loaded = sys.modules.get(top)
        places = [getattr(loaded, "__file__", None), *getattr(loaded, "__path__", [])]
        here = any(place and Path(place).is_relative_to(folder) for place in places)
        if loaded is not None and not here and (Path(folder, top).is_dir() or Path(folder, f"{top}.py").is_file()):
            for name in [name for name in sys.modules if f"{name}.".startswith(f"{top}.")]:
                del sys.modules[name]


def _in_folder(module: str, folder: str) -> str:
    """Return a module that is given as a path with the folder that the path counts from."""
    return str(Path(folder, module)) if is_path(module) else module
