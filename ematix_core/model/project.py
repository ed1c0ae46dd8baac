"""Projects: all declarations of some modules together, with names resolved and the whole checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from ematix_core.errors import ProjectError, UnknownConnectionError, near
from ematix_core.model.connection import Connection
from ematix_core.model.graph import find_cycle, levels
from ematix_core.model.job import Job
from ematix_core.model.table import TableDef
from ematix_core.model.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Declaration = Connection | TableDef | Job | Workflow
_D = TypeVar("_D")


@dataclass(frozen=True)
class Project:
    """The declarations of a project by name. Made by `Project.load` or `Project.of`, which check the whole.

    `root` is the folder that the first module's import path starts from.
    """

    connections: Mapping[str, Connection]
    tables: Mapping[str, TableDef]
    jobs: Mapping[str, Job]
    workflows: Mapping[str, Workflow]
    root: Path = field(default_factory=Path.cwd)

    @classmethod
    def load(cls, *modules: str | Path) -> Project:
        """Collect and check the declarations of modules, each given by name or as a `.py` file or package folder.

        The submodules of a package belong to it. What counts are names at the top of a module, and what is found
        there refers to: a workflow's jobs, a job's connections and tables. One object under several names counts once.
        Raises ProjectError with all problems of the project, or with the traceback of a module that cannot be loaded.
        """
        from ematix_core.model.loading import load, root_of

        if not modules:
            raise ProjectError("there is nothing to load", hint="Name a module, a package or a .py file.")
        loaded = [module for source in modules for module in load(source)]
        found = ((value, module.__name__) for module in loaded for value in list(vars(module).values()))
        return cls._of(found, root_of(loaded[0]))

    @classmethod
    def of(cls, *declarations: Declaration, root: Path | None = None) -> Project:
        """Make a project of declarations at hand; `root` is the working directory unless given."""
        return cls._of(((declaration, "") for declaration in declarations), root or Path.cwd())

    @classmethod
    def _of(cls, found: Iterable[tuple[object, str]], root: Path) -> Project:
        collection = _Collection()
        for value, place in found:
            collection.add(value, place)
        project = cls(
            connections=MappingProxyType(collection.connections),
            tables=MappingProxyType(collection.tables),
            jobs=MappingProxyType(collection.jobs),
            workflows=MappingProxyType(collection.workflows),
            root=root,
        )
        problems = [*collection.duplicates, *_problems(project)]
        if len(problems) == 1:
            raise ProjectError(problems[0])
        if problems:
            raise ProjectError(f"the project has {len(problems)} problems:\n" + "\n".join(f"- {p}" for p in problems))
        return project

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

    def connection(self, name: str) -> Connection:
        """Return the project's own connection of that name. Raises UnknownConnectionError with the nearest known."""
        if name not in self.connections:
            raise UnknownConnectionError(f"unknown connection {name!r}", hint=near(name, self.connections))
        return self.connections[name]

    def unresolved_connections(self) -> dict[str, tuple[str, ...]]:
        """Return the connection names that jobs use and the project does not declare, each with those jobs.

        They are looked up in the environment and the configuration files when a job runs.
        """
        missing: dict[str, tuple[str, ...]] = {}
        for job in self.jobs.values():
            names = dict.fromkeys([job.source_name, *(target.connection_name for target in job.targets)])
            for name in names:
                if name and name not in self.connections:
                    missing[name] = (*missing.get(name, ()), job.name)
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
        self.duplicates: list[str] = []
        self._seen: dict[int, object] = {}
        self._places: dict[int, str] = {}

    def add(self, value: object, place: str) -> None:
        """Add a declaration found in a module, and what it refers to; other values are passed over."""
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        self._places[id(value)] = place
        match value:
            case Connection():
                self._claim("connection", self.connections, value.name, value)
            case TableDef():
                self.tables.setdefault(value.name, value)  # one table may be declared for two systems
            case Job():
                self._claim("job", self.jobs, value.name, value)
                for target in value.targets:
                    self.add(target.table, place)
                    self.add(target.connection, place)
                self.add(value.source_connection, place)
            case Workflow():
                self._claim("workflow", self.workflows, value.name, value)
                for job in value.jobs:
                    self.add(job, place)

    def _claim(self, kind: str, known: dict[str, _D], name: str, value: _D) -> None:
        first = known.setdefault(name, value)
        if first is value or (isinstance(value, Connection) and first == value):
            return
        places = list(dict.fromkeys(self._places[id(one)] for one in (first, value)))
        where = f" ({' and '.join(places)})" if any(places) else ""
        self.duplicates.append(f"two {kind}s are named {name!r}{where}")


def _problems(project: Project) -> Iterator[str]:
    """Yield one line for each thing that does not fit together."""
    jobs, workflows = project.jobs, project.workflows
    for name in jobs:
        if name in workflows:
            yield f"{name!r} is the name of a job and of a workflow: triggers and commands could not tell them apart"
    for job in jobs.values():
        for upstream in job.depends_on:
            if upstream not in jobs:
                yield f"job {job.name} depends on {upstream!r}, which is no job. {near(upstream, jobs)}"
    for workflow in workflows.values():
        for event in _events(workflow):
            if event not in jobs and event not in workflows:
                known = [*jobs, *workflows]
                yield f"workflow {workflow.name} waits for {event!r}, which is no workflow or job. {near(event, known)}"
    if cycle := find_cycle({job.name: job.depends_on for job in jobs.values()}):
        yield f"jobs depend on each other in a circle: {' -> '.join(cycle)}"
    if cycle := find_cycle(_trigger_graph(project)):
        yield f"workflows set each other off in a circle: {' -> '.join(cycle)}"


def _events(workflow: Workflow) -> tuple[str, ...]:
    return workflow.trigger.names() if workflow.trigger is not None else ()


def _trigger_graph(project: Project) -> dict[str, list[str]]:
    """Return each workflow with the workflows that can set it off, themselves or through a job of theirs."""
    homes: dict[str, list[str]] = {name: [name] for name in project.workflows}
    for workflow in project.workflows.values():
        for job in workflow.jobs:
            homes.setdefault(job.name, []).append(workflow.name)
    return {
        workflow.name: [home for event in _events(workflow) for home in homes.get(event, [])]
        for workflow in project.workflows.values()
    }
