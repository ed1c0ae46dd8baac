"""Compiling a project: what its modules declare as data, without calling a job's function or reaching a system."""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from contextlib import chdir
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.backends import registry
from ematix_core.engine.columns import resolve
from ematix_core.errors import ConfigError, EmatixError
from ematix_core.model.connection import mask
from ematix_core.model.loading import own_files
from ematix_core.model.mode import Merge, Scd2
from ematix_core.model.project import Project
from ematix_core.model.table import TableDef
from ematix_core.model.unit import units
from ematix_core.orchestration import documentation
from ematix_core.orchestration.body_sql import Bodies
from ematix_core.orchestration.compiled_file import module_name
from ematix_core.orchestration.compiled_project import (
    CompiledJob,
    CompiledProject,
    CompiledStream,
    CompiledTarget,
    CompiledWorkflow,
)
from ematix_core.orchestration.content import digest, portable
from ematix_core.scheduler.projects import tell
from ematix_core.sql.lineage import column_lineage, columns_of, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ematix_core.model.job import Job, Target
    from ematix_core.model.stream import Stream
    from ematix_core.model.unit import Unit
    from ematix_core.sql.lineage import Sources


def compile_project(*modules: str, directory: str | Path = ".") -> CompiledProject:
    """Load modules in this process, as from `directory`, and return what they declare.

    Paths of modules count from `directory`. Of the files that modules import, those are missed that this process has
    imported before: `compiled` takes a new one. Raises ProjectError as `Project.load` does, with all problems, and for
    messages from a connection that a file cannot hold.
    """
    folder = Path(directory).resolve()
    begin, before, roots = time.time_ns(), set(sys.modules), list(sys.path)
    with chdir(folder):
        project = Project.load(*modules)
        loaded = own_files(modules, before)
    files = {path: portable(Path(path), folder, roots) for path in loaded}
    compiler = _Compiler(project, files)
    jobs = {name: compiler.job(job) for name, job in project.jobs.items()}
    return CompiledProject.of(
        version=version("ematix"), modules=[module_name(module, folder) for module in modules],
        files={files[path]: _digest(Path(path), begin) for path in loaded},
        workflows=[_workflow(unit, project, jobs) for unit in units(project)], jobs=jobs.values(),
        streams=map(compiler.stream, project.streams.values()),
    )  # fmt: skip


def answer() -> None:
    """Tell the compiled project, or the error, in the process that `compiled` starts."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    sys.path += [entry for entry in wanted["path"] if entry not in sys.path]
    try:
        tell(compile_project(*wanted["modules"]))
    except EmatixError as error:
        tell(error)


def _digest(path: Path, begin: int) -> str:
    """Return a file's digest; none when it may be another by now than the one that was loaded."""
    return "" if path.is_file() and path.stat().st_mtime_ns > begin else digest(path)


class _Compiler:
    """Makes data of jobs: the tables that a project writes tell the columns of those that it reads."""

    def __init__(self, project: Project, files: Mapping[str, str]) -> None:
        """`files`: how the project names each of its own."""
        self._files = files
        self._connections = project.connections
        self._bodies = Bodies()
        self._columns: dict[str, dict[str, tuple[str, ...]]] = {}
        for job in project.jobs.values():
            for target in job.targets:
                columns = tuple(name for name, _ in _columns(target))
                if columns:
                    known = self._columns.setdefault(_connection_of(target, job), {})
                    known[str(target.name)] = columns

    def job(self, job: Job) -> CompiledJob:
        """Return a job as data."""
        source = job.source_name or _connection_of(job.targets[0], job)
        sql = "" if job.source_table else self._bodies.sql(job.body)
        grammar = self._grammar(source)
        targets = tuple(self._target(target, _connection_of(target, job)) for target in job.targets)
        file, line = self._code(job.body)
        return CompiledJob(
            name=job.name, depends_on=job.depends_on, targets=targets, source=source,
            tables=(job.source_table,) if job.source_table else tuple(map(mask, tables_of(sql, grammar))),
            retry=job.retry, timeout=job.timeout, pool=job.pool, priority=job.priority, tags=job.tags, owner=job.owner,
            description=job.doc, doc=documentation.of_job(job, source, targets, sql),
            lineage=self._lineage(job, sql, grammar, self._columns.get(source, {})), file=file, line=line,
        )  # fmt: skip

    def stream(self, stream: Stream) -> CompiledStream:
        """Return a stream as data."""
        targets = tuple(self._target(target, target.connection_name) for target in stream.targets)
        file, line = self._code(stream.body)
        return CompiledStream(
            name=stream.name, targets=targets, source=stream.source_name, kind=self._kind(stream.source_name),
            query=mask(stream.source_query), tags=stream.tags, owner=stream.owner, description=stream.doc,
            doc=documentation.of_stream(stream, targets), file=file, line=line,
        )  # fmt: skip

    def _target(self, target: Target, connection: str) -> CompiledTarget:
        return CompiledTarget(
            name=str(target.name), connection=connection, kind=self._kind(connection), mode=target.mode.name,
            keys=_keys(target), columns=_columns(target), checks=_checks(target),
        )  # fmt: skip

    def _code(self, body: Callable[..., Any] | None) -> tuple[str, int]:
        """Return file and line of a function; nothing of what is no plain function of the project."""
        code = getattr(inspect.unwrap(body), "__code__", None) if body is not None else None
        file = self._files.get(os.path.realpath(code.co_filename), "") if code is not None else ""
        return (file, code.co_firstlineno) if code is not None and file else ("", 0)

    def _kind(self, connection: str) -> str:
        return self._connections[connection].kind if connection in self._connections else ""

    def _grammar(self, connection: str) -> str:
        """Return the grammar of a connection's SQL; empty when its kind is not known here."""
        kind = self._kind(connection)
        try:
            return registry.dialect(kind).grammar if kind else ""
        except ConfigError:
            return ""

    @staticmethod
    def _lineage(job: Job, sql: str, grammar: str, known: Mapping[str, Sequence[str]]) -> dict[str, Sources]:
        declared = [column for one in job.targets if isinstance(one.table, TableDef) for column in one.table.columns]
        if job.source_table:
            found: dict[str, Sources] = {"*": ((job.source_table, "*"),)}
        else:
            found = column_lineage(sql, grammar, known)
        stars = found.pop("*", ())
        for column in declared:
            if len(stars) == 1 and not column.derived:
                found.setdefault(column.name, ((stars[0][0], column.name),))
        for column in declared:
            if column.derived:
                parts = columns_of(column.normalizers[0].expression("NULL"), "duckdb")
                found[column.name] = tuple(sorted({pair for part in parts for pair in found.get(part, ())}))
        kept = found if _takes_more(job) else {column.name for column in declared}
        return {column: sources for column, sources in found.items() if sources and column in kept}


def _takes_more(job: Job) -> bool:
    """Say whether a target may get columns that the declarations lack."""
    return any(not isinstance(one.table, TableDef) or one.on_drift in {"add", "evolve"} for one in job.targets)


def _connection_of(target: Target, job: Job) -> str:
    return target.connection_name or job.source_name


def _keys(target: Target) -> tuple[str, ...]:
    if not isinstance(target.mode, Merge | Scd2):
        return ()
    return target.mode.keys or (target.table.key()[0] if isinstance(target.table, TableDef) else ())


def _checks(target: Target) -> tuple[tuple[str, str], ...]:
    """Return the names of the checks with their severities; of several with one name, "fail" counts before others."""
    found: dict[str, str] = {}
    for check in target.checks:
        if found.get(check.name) != "fail":
            found[check.name] = check.severity
    return tuple(found.items())


def _columns(target: Target) -> tuple[tuple[str, str], ...]:
    """Return the columns of a declared table with their types, those of its history included."""
    if not isinstance(target.table, TableDef):
        return ()
    read = tuple(column for column in target.table.columns if not column.derived)
    try:
        columns = resolve(target, read, target.name).wanted.columns
    except EmatixError:  # which a run will tell
        columns = target.table.columns
    return tuple((column.name, column.type.label()) for column in columns)


def _workflow(unit: Unit, project: Project, jobs: Mapping[str, CompiledJob]) -> CompiledWorkflow:
    description = project.jobs[unit.name].doc if unit.single else project.workflows[unit.name].description
    return CompiledWorkflow(
        unit=unit, jobs=tuple(jobs[job.name] for job in unit.jobs), description=description,
        doc=documentation.of_unit(unit, description),
    )  # fmt: skip
