"""Projects: all declarations of some modules together, with names resolved and the whole checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from ematix_core.errors import EmatixError, ProjectError, UnknownConnectionError, near
from ematix_core.model.broken import Broken, keep_good
from ematix_core.model.connection import Connection
from ematix_core.model.graph import levels
from ematix_core.model.job import Job
from ematix_core.model.options import Undecorated
from ematix_core.model.problems import Problem, problems
from ematix_core.model.stream import Stream
from ematix_core.model.table import TableDef
from ematix_core.model.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from types import ModuleType

    from ematix_core.model.job import Target

Declaration = Connection | TableDef | Job | Workflow | Stream
_D = TypeVar("_D")
_FOUND = (Broken, Undecorated, Connection, TableDef, Job, Workflow, Stream, list, tuple, set, frozenset, dict)


@dataclass(frozen=True)
class Project:
    """The declarations of a project by name. Made by `Project.load` or `Project.of`, which check the whole.

    `root` is the folder that the first module's import path starts from.
    """

    connections: Mapping[str, Connection]
    tables: Mapping[str, TableDef]
    jobs: Mapping[str, Job]
    workflows: Mapping[str, Workflow]
    streams: Mapping[str, Stream] = field(default_factory=dict)
    root: Path = field(default_factory=Path.cwd)

    @classmethod
    def load(cls, *modules: str | Path) -> Project:
        """Collect and check the declarations of modules, each given by name or as a `.py` file or package folder.

        A `.toml` file of streams is one, too. The submodules of a package belong to it. What counts are names at the
        top of a module, the items of lists, tuples, sets and dicts there, and what is found refers to: a workflow's
        jobs, a job's connections and tables. One object under several names counts once.
        Raises ProjectError with all problems of the project, or with the traceback of a module that cannot be loaded.
        """
        from ematix_core.model.loading import root_of
        from ematix_core.model.sources import load

        if not modules:
            raise ProjectError("there is nothing to load", hint="Name a module, a package or a .py file.")
        loaded = [module for source in modules for module in load(source)]
        return cls._checked(_collect(loaded), root_of(loaded[0]))

    @classmethod
    def load_good(cls, *modules: str | Path) -> tuple[Project, tuple[str, ...]]:
        """Load what is good of the modules, and return what had to be left out, and why, a message each.

        Left out are a declaration that contradicts itself, jobs and workflows that do not fit together, whatever
        depends on these, and modules that cannot be imported. Who only waits for such a one (`triggered_by=`) stays.
        """
        from ematix_core.model.loading import root_of
        from ematix_core.model.sources import load_good

        with keep_good() as broken:
            found = [module for source in modules for module in load_good(source)]
        failures = [one for one in found if isinstance(one, EmatixError)]
        loaded = [one for one in found if not isinstance(one, EmatixError)]
        collection = _collect(loaded)
        project = cls._gathered(collection, root_of(loaded[0]) if loaded else Path.cwd())
        broken = list(dict.fromkeys([*broken, *collection.broken]))  # of modules that were imported earlier, too
        messages = [*map(str, failures), *(str(one.error) for one in broken)]
        left_out = {one.name for one in broken}
        if failures:  # what is waited for and unknown may well be in there
            left_out |= {name for workflow in project.workflows.values() for name in workflow.waits_for()}
        troubles = [*collection.problems(), *problems(project, left_out)]
        while troubles:
            messages += [problem.text for problem in troubles]
            gone = {name for problem in troubles for name in problem.names}
            left_out |= gone
            project = project.without(gone)
            troubles = list(problems(project, left_out))
        return project, tuple(messages)

    @classmethod
    def of(cls, *declarations: Declaration, root: Path | None = None) -> Project:
        """Make a project of declarations at hand; `root` is the working directory unless given."""
        collection = _Collection()
        for declaration in declarations:
            collection.add(declaration, "")
        return cls._checked(collection, root or Path.cwd())

    @classmethod
    def _checked(cls, collection: _Collection, root: Path) -> Project:
        project = cls._gathered(collection, root)
        found = [problem.text for problem in (*collection.problems(), *problems(project))]
        if len(found) == 1:
            raise ProjectError(found[0])
        if found:
            raise ProjectError(f"the project has {len(found)} problems:\n" + "\n".join(f"- {text}" for text in found))
        return project

    @classmethod
    def _gathered(cls, collection: _Collection, root: Path) -> Project:
        return cls(
            connections=MappingProxyType(collection.connections),
            tables=MappingProxyType(collection.tables),
            jobs=MappingProxyType(collection.jobs),
            workflows=MappingProxyType(collection.workflows),
            streams=MappingProxyType(collection.streams),
            root=root,
        )

    def without(self, names: Collection[str]) -> Project:
        """Return the project without the jobs, workflows and streams of these names."""
        jobs = {name: job for name, job in self.jobs.items() if name not in names}
        workflows = {name: workflow for name, workflow in self.workflows.items() if name not in names}
        streams = {name: stream for name, stream in self.streams.items() if name not in names}
        return replace(
            self, jobs=MappingProxyType(jobs), workflows=MappingProxyType(workflows), streams=MappingProxyType(streams)
        )

    def job(self, name: str) -> Job:
        """Return the job of that name. Raises ProjectError with the nearest known one."""
        if name not in self.jobs:
            raise ProjectError(f"unknown job {name!r}", hint=near(name, self.jobs))
        return self.jobs[name]

    def workflow(self, name: str) -> Workflow:
        """Return the workflow of that name. Raises ProjectError with the nearest known one."""
        if name not in self.workflows:
            raise ProjectError(f"unknown workflow {name!r}", hint=near(name, self.workflows))
        return self.workflows[name]

    def stream(self, name: str) -> Stream:
        """Return the stream of that name. Raises ProjectError with the nearest known one."""
        if name not in self.streams:
            raise ProjectError(f"unknown stream {name!r}", hint=near(name, self.streams))
        return self.streams[name]

    def connection(self, name: str) -> Connection:
        """Return the project's own connection of that name. Raises UnknownConnectionError with the nearest known."""
        if name not in self.connections:
            raise UnknownConnectionError(f"unknown connection {name!r}", hint=near(name, self.connections))
        return self.connections[name]

    def unresolved_connections(self) -> dict[str, tuple[str, ...]]:
        """Return the connection names that jobs and streams use and the project does not declare, each with those.

        They are looked up in the environment and the configuration files when a job runs.
        """
        missing: dict[str, tuple[str, ...]] = {}
        users: tuple[Job | Stream, ...] = (*self.jobs.values(), *self.streams.values())
        for user in users:
            names = user.connection_names
            parts = [part for name in names for part in getattr(self.connections.get(name), "source_names", ())]
            for name in dict.fromkeys([*names, *parts]):
                if name not in self.connections:
                    missing[name] = (*missing.get(name, ()), user.name)
        return missing

    def order(self, names: Iterable[str] | None = None) -> tuple[Job, ...]:
        """Return the named jobs (default all), each after those that it depends on, directly or through others."""
        wanted = set(self.jobs) if names is None else {self.job(name).name for name in names}
        graph = {job.name: job.depends_on for job in self.jobs.values()}
        return tuple(self.jobs[name] for level in levels(graph) for name in level if name in wanted)


class _Collection:
    """Declarations by name as they are found, and the names that two of them claim."""

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self.tables: dict[str, TableDef] = {}
        self.jobs: dict[str, Job] = {}
        self.workflows: dict[str, Workflow] = {}
        self.streams: dict[str, Stream] = {}
        self.broken: list[Broken] = []
        self.undecorated: list[str] = []  # messages
        self.duplicates: list[tuple[str, str, str]] = []  # kind, name, message
        self._seen: dict[int, object] = {}
        self._places: dict[int, str] = {}

    def add(self, value: object, place: str) -> None:
        """Add a declaration found in a module, or those in a container, and what they refer to; pass over the rest."""
        if not isinstance(value, _FOUND) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        self._places[id(value)] = place
        match value:
            case dict():
                self._add_all([*value.values()], place)
            case list() | tuple() | set() | frozenset():
                self._add_all([*value], place)
            case Broken():
                self.broken.append(value)
            case Undecorated(used=False):
                self.undecorated.append(str(value.error.at(f"module {place}")))
            case Connection():
                self._claim("connection", self.connections, value.name, value)
                self._add_all(getattr(value, "sources", ()), place)
            case TableDef():
                self.tables.setdefault(value.name, value)  # one table may be declared for two systems
            case Job():
                self._claim("job", self.jobs, value.name, value)
                self._add_all([*_parts(value.targets), value.source_connection], place)
            case Workflow():
                self._claim("workflow", self.workflows, value.name, value)
                self._add_all(value.jobs, place)
                if value.messages is not None:
                    self.add(value.messages.connection, place)
            case Stream():
                self._claim("stream", self.streams, value.name, value)
                lookups = [lookup.connection for lookup in value.lookups]
                read = [part for one in (value, *value.sides) for part in (one.source, one.registry, one.schema)]
                self._add_all([*read, *_parts(value.targets), *lookups, value.state], place)

    def _add_all(self, values: Iterable[object], place: str) -> None:
        for value in values:
            self.add(value, place)

    def _claim(self, kind: str, known: dict[str, _D], name: str, value: _D) -> None:
        first = known.setdefault(name, value)
        if first is value or (isinstance(value, Connection) and first == value):
            return
        places = list(dict.fromkeys(self._places[id(one)] for one in (first, value)))
        where = f" ({' and '.join(places)})" if any(places) else ""
        self.duplicates.append((kind, name, f"two {kind}s are named {name!r}{where}"))

    def problems(self) -> list[Problem]:
        """Return a problem for each name that two declarations claim, and for each decorator without its function.

        That of a connection's name is about those that use it.
        """
        twice = [
            Problem(text, self._users(name) if kind == "connection" else (name,))
            for kind, name, text in self.duplicates
        ]
        return twice + [Problem(text, ()) for text in self.undecorated]

    def _users(self, connection: str) -> tuple[str, ...]:
        jobs = [job.name for job in self.jobs.values() if connection in job.connection_names]
        listening = [w.name for w in self.workflows.values() if w.messages and w.messages.connection_name == connection]
        streams = [stream.name for stream in self.streams.values() if connection in stream.connection_names]
        return (*jobs, *listening, *streams)


def _parts(targets: Iterable[Target]) -> Iterator[object]:
    for target in targets:
        yield from (target.table, target.connection, target.format.registry if target.format else None)


def _collect(modules: Iterable[ModuleType]) -> _Collection:
    collection = _Collection()
    for module in modules:
        for value in list(vars(module).values()):
            collection.add(value, module.__name__)
    return collection
