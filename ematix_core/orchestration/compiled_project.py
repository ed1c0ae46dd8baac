"""A compiled project: what a project declares, as data in a JSON file that an orchestrator reads at no cost.

Nothing in it is code, and reading it imports neither the project's modules nor a library for databases or SQL.
"""

from __future__ import annotations

import gc
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from urllib.parse import quote

from ematix_core.errors import EmatixError, ProjectError, near
from ematix_core.model.retry import Retry
from ematix_core.orchestration.unit_data import from_data, to_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ematix_core.model.unit import Unit
    from ematix_core.orchestration.unit_data import Data


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_N = TypeVar("_N", bound=_Named)

FORMAT = 2
_DECLARED = '"workflows": ['
"""What the hash is of begins with this line and ends with the file."""
_AGAIN = "Make it anew: flow compile"


@dataclass(frozen=True, kw_only=True)
class CompiledTarget:
    """One target of a job."""

    name: str
    connection: str
    kind: str = ""
    """The kind of system; empty when the project does not declare the connection."""
    mode: str = "append"
    keys: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    """Names and types; empty when only a run can tell."""
    checks: tuple[tuple[str, str], ...] = ()
    """Names and severities."""

    @property
    def uri(self) -> str:
        """The name by which others can wait for the table: `ematix://connection/table`, percent-encoded."""
        return f"ematix://{quote(self.connection, safe='')}/{quote(self.name, safe='')}"

    def to_dict(self) -> Data:
        """Return it as data for JSON."""
        return vars(self) | {
            "keys": list(self.keys), "columns": dict(self.columns), "checks": dict(self.checks),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` made the data of."""
        pairs = {name: tuple(data[name].items()) for name in ("columns", "checks")}
        return cls(**{**data, **pairs, "keys": tuple(data["keys"])})


@dataclass(frozen=True, kw_only=True)
class CompiledJob:
    """One job."""

    name: str
    depends_on: tuple[str, ...] = ()
    targets: tuple[CompiledTarget, ...] = ()
    source: str = ""
    """The connection that is read."""
    tables: tuple[str, ...] = ()
    """What is read there, as far as the SQL tells."""
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    """Seconds that an attempt may take; None for no limit."""
    pool: str = ""
    priority: int = 0
    tags: tuple[str, ...] = ()
    owner: str = ""
    description: str = ""
    doc: str = ""
    """Markdown: source, targets, modes, keys, checks, SQL."""
    lineage: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict, hash=False)
    """The (table, column) pairs that each target column is made of, as far as the SQL tells."""
    file: str = ""
    """Where the job's function is, as `CompiledProject.files` has it; empty when it is in no file of the project."""
    line: int = 0
    """The line in it, counted from 1, with which the function and its decorators begin."""

    def to_dict(self) -> Data:
        """Return it as data for JSON."""
        return vars(self) | {
            "depends_on": list(self.depends_on),
            "targets": [target.to_dict() for target in self.targets],
            "tables": list(self.tables),
            "retry": vars(self.retry).copy(),
            "tags": list(self.tags),
            # Flat, table after column after table: half as many lists take half as long to read.
            "lineage": {column: list(chain.from_iterable(pairs)) for column, pairs in self.lineage.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` made the data of."""
        lineage = data["lineage"].items()
        return cls(
            **{
                **data,
                "depends_on": tuple(data["depends_on"]),
                "targets": tuple(map(CompiledTarget.from_dict, data["targets"])),
                "tables": tuple(data["tables"]),
                "retry": Retry(**data["retry"]),
                "tags": tuple(data["tags"]),
                "lineage": {column: tuple(zip(flat[::2], flat[1::2], strict=True)) for column, flat in lineage},
            }
        )


@dataclass(frozen=True, kw_only=True)
class CompiledStream:
    """One stream."""

    name: str
    targets: tuple[CompiledTarget, ...] = ()
    source: str = ""
    """The connection that is read."""
    kind: str = ""
    """Its kind; empty when the project does not declare it."""
    query: str = ""
    """What is read there: a topic, table or path."""
    tags: tuple[str, ...] = ()
    owner: str = ""
    description: str = ""
    doc: str = ""
    """Markdown: source, SQL, targets, modes, keys, what becomes of bad records."""
    file: str = ""
    """Where the stream's function is, as `CompiledJob.file`."""
    line: int = 0
    """As `CompiledJob.line`."""

    def to_dict(self) -> Data:
        """Return it as data for JSON."""
        return vars(self) | {"targets": [target.to_dict() for target in self.targets], "tags": list(self.tags)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` made the data of."""
        targets = tuple(map(CompiledTarget.from_dict, data["targets"]))
        return cls(**{**data, "targets": targets, "tags": tuple(data["tags"])})


@dataclass(frozen=True, kw_only=True)
class CompiledWorkflow:
    """A workflow, or a job that is a unit by itself (`unit.single`)."""

    unit: Unit
    jobs: tuple[CompiledJob, ...]
    """The jobs of the unit, in its order."""
    description: str = ""
    doc: str = ""
    """Markdown: what sets it off, and its jobs."""

    @property
    def name(self) -> str:
        """The unit's name."""
        return self.unit.name


@dataclass(frozen=True, kw_only=True)
class CompiledProject:
    """What a project declares, at one moment. Made by `compile_project`, or of parts by `of`."""

    format: int
    version: str
    """Of the ematix that compiled it."""
    hash: str
    """SHA-256 of what is declared: workflows, jobs and streams."""
    modules: tuple[str, ...]
    """The modules by name, or by a path that is relative to the directory of the project."""
    files: Mapping[str, str] = field(hash=False)
    """SHA-256 of each file that was loaded, by its path in the directory or in the folder that Python found it from.
    The path of a folder ends with `/`: its digest is that of the names of the modules in it."""
    problems: tuple[str, ...]
    workflows: tuple[CompiledWorkflow, ...]
    """Workflows, and jobs that are units by themselves; sorted by name."""
    jobs: tuple[CompiledJob, ...]
    """All jobs, those too that only start by hand; sorted by name."""
    streams: tuple[CompiledStream, ...] = ()
    """Sorted by name."""

    @classmethod
    def of(
        cls,
        *,
        version: str,
        modules: Iterable[str],
        files: Mapping[str, str],
        workflows: Iterable[CompiledWorkflow],
        jobs: Iterable[CompiledJob],
        streams: Iterable[CompiledStream] = (),
        problems: Iterable[str] = (),
    ) -> Self:
        """Return the project of these parts, sorted, with its hash. The jobs of the workflows are among `jobs`."""
        parts = _sorted(workflows), _sorted(jobs), _sorted(streams)
        return cls(
            format=FORMAT, version=version, hash=_digest(_declared(*parts)), modules=tuple(modules),
            files=dict(sorted(files.items())), problems=tuple(problems), workflows=parts[0], jobs=parts[1],
            streams=parts[2],
        )  # fmt: skip

    def workflow(self, name: str) -> CompiledWorkflow:
        """Return the workflow or the job by itself. Raises ProjectError with the nearest known one."""
        return _named(name, self.workflows, "workflow")

    def job(self, name: str) -> CompiledJob:
        """Return the job of that name. Raises ProjectError with the nearest known one."""
        return _named(name, self.jobs, "job")

    def stream(self, name: str) -> CompiledStream:
        """Return the stream of that name. Raises ProjectError with the nearest known one."""
        return _named(name, self.streams, "stream")

    def to_json(self) -> str:
        """Return the text of the file: the same for the same project, a line for each part of it."""
        head = "".join(
            f'"{name}": {_text(getattr(self, name))},\n'
            for name in ("format", "version", "hash", "modules", "problems")
        )
        files = ",\n".join(f"{_text(path)}: {_text(digest)}" for path, digest in self.files.items())
        return f'{{\n{head}"files": {{\n{files}\n}},\n{_declared(self.workflows, self.jobs, self.streams)}'

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the project of a file's text.

        Raises ProjectError for text that is no compiled project, is of another format, or was changed by hand.
        """
        try:
            with _collecting_later():
                data = json.loads(text)
                _check(data, text)
                return cls._of_data(data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, EmatixError):  # a schedule that this machine's time zones do not have
                raise ProjectError(error.what, hint=error.hint) from error
            raise ProjectError("it is no compiled project", hint=_AGAIN) from error

    @classmethod
    def _of_data(cls, data: Mapping[str, Any]) -> Self:
        jobs = {one["name"]: CompiledJob.from_dict(one) for one in data["jobs"]}
        workflows = [(from_data(one["unit"]), one) for one in data["workflows"]]
        return cls(
            format=data["format"], version=data["version"], hash=data["hash"], modules=tuple(data["modules"]),
            files=data["files"], problems=tuple(data["problems"]), jobs=tuple(jobs.values()),
            streams=tuple(map(CompiledStream.from_dict, data["streams"])),
            workflows=tuple(
                CompiledWorkflow(
                    unit=unit, jobs=tuple(jobs[job.name] for job in unit.jobs), description=one["description"],
                    doc=one["doc"],
                )
                for unit, one in workflows
            ),
        )  # fmt: skip


def _check(data: Mapping[str, Any], text: str) -> None:
    """Raise ProjectError for another format and for another content than was written."""
    if data["format"] != FORMAT:
        raise ProjectError(f"the format is {data['format']}, and this ematix reads {FORMAT}", hint=_AGAIN)
    if data["hash"] != _digest(text[text.index(f"\n{_DECLARED}") + 1 :]):
        raise ProjectError("it was changed after it was compiled", hint=_AGAIN)


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Put garbage collection off: nothing that is read is garbage, and to look for some takes half as long again."""
    wanted = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if wanted:
            gc.enable()


def _named(name: str, known: Sequence[_N], kind: str) -> _N:
    found = next((one for one in known if one.name == name), None)
    if found is None:
        raise ProjectError(f"unknown {kind} {name!r}", hint=near(name, [one.name for one in known]))
    return found


def _sorted(parts: Iterable[_N]) -> tuple[_N, ...]:
    return tuple(sorted(parts, key=lambda one: one.name))


def _text(value: Any) -> str:  # noqa: ANN401 - anything that JSON can hold
    return json.dumps(value, ensure_ascii=False)


def _declared(
    workflows: Sequence[CompiledWorkflow], jobs: Sequence[CompiledJob], streams: Sequence[CompiledStream]
) -> str:
    """Return the part of the file that says what is declared, to the end."""
    units = [{"unit": to_data(one.unit), "description": one.description, "doc": one.doc} for one in workflows]
    rest = {"jobs": [job.to_dict() for job in jobs], "streams": [stream.to_dict() for stream in streams]}
    lists = [f'"{name}": [{_lines(parts)}]' for name, parts in rest.items()]
    return f"{_DECLARED}{_lines(units)}],\n" + ",\n".join(lists) + "\n}\n"


def _lines(items: Sequence[Data]) -> str:
    return "\n" + ",\n".join(map(_text, items)) + "\n" if items else ""


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
