"""Jobs: what is read, where it goes, how, and under which conditions."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ematix_core.errors import DeclarationError, near
from ematix_core.model.changes import ADDED
from ematix_core.model.check import Check
from ematix_core.model.connection import Connection, ConnectionLike, named_connection
from ematix_core.model.duration import parse_seconds
from ematix_core.model.format import Format
from ematix_core.model.function import Function, FunctionLike, functions_of
from ematix_core.model.maintenance import Maintenance, Optimize
from ematix_core.model.mode import Merge, Mode, ModeLike, Scd2, parse_mode
from ematix_core.model.names import require_short
from ematix_core.model.options import check_queueing, explained, explained_decorator, listed, listed_as, tags_of
from ematix_core.model.retry import Retry
from ematix_core.model.schedule import Schedule
from ematix_core.model.table import TableDef, TableLike, TableName
from ematix_core.model.transform import PostStep, StepLike, Transform, as_post_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from ematix_core.engine.result import JobPlan, RunResult
    from ematix_core.model.connection import ConnectionLookup

BODY_PARAMETERS = ("conn", "target", "watermark", "run")
FILE_WATERMARK = "_file"
"""The watermark that is no column: read the files that were not loaded before."""

Drift = Literal["error", "warn", "add", "evolve"]
BadRows = Literal["fail", "quarantine"]
_DRIFTS = ("error", "warn", "add", "evolve")
_BAD_ROWS = ("fail", "quarantine")


@dataclass(frozen=True)
class Target:
    """One target of a job: table, connection, and how it is loaded."""

    table: TableDef | TableName
    connection: Connection | str | None = None
    mode: Mode = field(default_factory=lambda: parse_mode("append"))
    on_drift: Drift = "error"
    checks: tuple[Check, ...] = ()
    transforms: tuple[Transform, ...] = ()
    after: tuple[PostStep, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    format: Format | None = None

    def __post_init__(self) -> None:
        """Check that the mode and the data checks name columns of the table, as far as it declares them."""
        if self.on_drift not in _DRIFTS:
            raise DeclarationError(f"unknown on_drift {self.on_drift!r}", hint=near(self.on_drift, _DRIFTS))
        if isinstance(self.table, TableDef):
            _check_mode(self.table, self.mode)
            for check in self.checks:
                _check_columns(self.table, f"check {check.name}", check.columns)
            for step in self.maintenance:
                if isinstance(step, Optimize) and self.on_drift == "error":
                    _check_columns(self.table, "optimize(z_order)", step.z_order)

    @property
    def name(self) -> TableName:
        """The table's qualified name."""
        return self.table.table if isinstance(self.table, TableDef) else self.table

    @property
    def connection_name(self) -> str:
        """The connection's name; empty when none is set."""
        return self.connection.name if isinstance(self.connection, Connection) else self.connection or ""

    @property
    def connection_names(self) -> tuple[str, str]:
        """The names of its connection and of the registry of its format; empty where there is none."""
        return self.connection_name, self.format.registry_name if self.format else ""


@explained("a target", kind="target")
def target(
    table: TableLike,
    *,
    connection: ConnectionLike | None = None,
    mode: ModeLike = "append",
    on_drift: Drift = "error",
    checks: Sequence[Check] | Check = (),
    transforms: Sequence[Transform] | Transform = (),
    after: Sequence[StepLike] | StepLike = (),
    maintenance: Sequence[Maintenance] | Maintenance = (),
    format: Format | None = None,  # noqa: A002 - the field's own word
) -> Target:
    """Declare one of several targets of a job, each with its own connection and mode.

    `table`: a declaration or a name. `mode`: as on a job. `on_drift`: "error", "warn", "add" or "evolve".
    `checks`: data checks on the staged rows. `transforms`: row transforms before the load. `after`: SQL text or
    functions run in the target's transaction after the load. `maintenance`: steps such as `optimize()` and `vacuum()`,
    run when they are due, after the commit. A single one needs no list. `format`: of a topic's messages.
    """
    return Target(
        table=_declared_table(table),
        connection=named_connection(connection, "connection"),
        mode=parse_mode(mode),
        on_drift=on_drift,
        checks=listed_as(Check, checks, "checks", "Write expect.not_null('id'), expect.unique('id'), ..."),
        transforms=listed_as(Transform, transforms, "transforms", "Write ematix.limit(3), ematix.filter_where('...')."),
        after=tuple(as_post_step(step) for step in listed(after)),
        maintenance=listed_as(Maintenance, maintenance, "maintenance", "Write ematix.optimize(), ematix.vacuum(), ..."),
        format=_declared_format(format),
    )


def _declared_format(form: Format | None) -> Format | None:
    if form is None or isinstance(form, Format):
        return form
    raise DeclarationError(f"{form!r} is no format of messages", hint="Write ematix.Format('avro', registry=...).")


def _declared_table(table: TableLike) -> TableDef | TableName:
    if isinstance(table, TableDef):
        return table
    if isinstance(table, str) and table:
        return TableName.parse(table)
    raise DeclarationError(
        f"target {table!r} is neither a table declaration nor a name", hint="Put @ematix.table(...) over the class."
    )


def _check_mode(table: TableDef, mode: Mode) -> None:
    if not isinstance(mode, Merge | Scd2):
        return
    named = {"keys": mode.keys, "compare": mode.compare, "order_by": (mode.order_by,) if mode.order_by else ()}
    if isinstance(mode, Scd2) and mode.event_time:
        named["event_time"] = (mode.event_time,)
    added = ADDED.intersection(mode.beside())
    for option, columns in named.items():
        _check_columns(table, f"mode {mode.name!r}: {option}", tuple(c for c in columns if c not in added))
    if mode.deleted_by in {column.name for column in table.columns}:
        raise DeclarationError(
            f"mode {mode.name!r}: deleted_by={mode.deleted_by!r} is not stored, and {table.name} declares it",
            hint="Leave it out of the table; or leave deleted_by= out, and rows that are gone stay, with their flag.",
        )
    if not mode.keys and not table.key()[0]:
        raise DeclarationError(
            f"{mode.name} needs a key for {table.name}: no keys= given, "
            "and the table declares no primary or natural key",
            hint=f"Pass mode=ematix.{mode.name}(keys=[...]) or mark a column with pk().",
        )


def _check_columns(table: TableDef, option: str, columns: tuple[str, ...]) -> None:
    known = [column.name for column in table.columns]
    for column in columns:
        if column not in known:
            raise DeclarationError(
                f"{option} names {column!r}, which is no column of {table.name}", hint=near(column, known)
            )


@dataclass(frozen=True, repr=False)
class Job:
    """One declared job. Made by `@job`; see there for the options."""

    name: str
    body: Callable[..., Any] = field(compare=False)
    targets: tuple[Target, ...]
    source_connection: Connection | str | None = None
    source_table: str = ""
    watermark: str | None = None
    functions: tuple[Function, ...] = ()
    depends_on: tuple[str, ...] = ()
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    on_bad_rows: BadRows = "fail"
    schedule: Schedule | None = None
    pool: str = ""
    priority: int = 0
    tags: tuple[str, ...] = ()
    owner: str = ""
    doc: str = field(default="", compare=False)
    module: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check the options that have no type of their own."""
        require_short(name=self.name)
        check_queueing(self.pool, self.priority)
        if self.on_bad_rows not in _BAD_ROWS:
            raise DeclarationError(f"unknown on_bad_rows {self.on_bad_rows!r}", hint=near(self.on_bad_rows, _BAD_ROWS))
        for parameter in inspect.signature(self.body).parameters.values():
            if parameter.name not in BODY_PARAMETERS and parameter.default is parameter.empty:
                raise DeclarationError(
                    f"the body takes {parameter.name!r}, which a job cannot give it",
                    hint=near(parameter.name, BODY_PARAMETERS),
                )
        if self.watermark is not None and self.watermark != FILE_WATERMARK:
            for one in self.targets:
                # With another drift policy the rows may have columns that the table does not declare.
                if isinstance(one.table, TableDef) and one.on_drift == "error":
                    _check_columns(one.table, "watermark", (self.watermark,))

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names that the body takes, of `conn`, `target`, `watermark`, `run`."""
        return tuple(name for name in inspect.signature(self.body).parameters if name in BODY_PARAMETERS)

    @property
    def source_name(self) -> str:
        """The source connection's name; empty when the target's connection is the source."""
        source = self.source_connection
        return source.name if isinstance(source, Connection) else source or ""

    @property
    def connection_names(self) -> tuple[str, ...]:
        """The names of its connections, of source and targets, each once."""
        names = [self.source_name, *(name for target in self.targets for name in target.connection_names)]
        return tuple(dict.fromkeys(filter(None, names)))

    def plan(self, project: ConnectionLookup | None = None) -> JobPlan:
        """Return every statement that `run()` would execute, with the reason for each choice; changes nothing.

        Reads the source's schema and the target's tables. `project` finds connections given by name.
        """
        from ematix_core.engine import plan_job

        return plan_job(self, project)

    def run(self, project: ConnectionLookup | None = None, **options: Any) -> RunResult:  # noqa: ANN401 - handed on to engine.run_job
        """Run the job in this process and return its RunResult; raises the EmatixError of the last attempt.

        The run is recorded in the store (`EMATIX_STORE`, default `.ematix/runs.db` in the working directory). A run
        that was killed half-way is taken up again under its load id, so that nothing is loaded twice.
        """
        from ematix_core.engine import run_job

        return run_job(self, project, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the user's own function
        """Call the body as the plain function that it was, for unit tests of a job."""
        return self.body(*args, **kwargs)

    def __repr__(self) -> str:
        """Show the name and each target with its mode on one line."""
        return f"<job {self.name} ({', '.join(f'{one.mode.name} {one.name}' for one in self.targets)})>"


@explained_decorator(
    "@ematix.job", kind="job", hint="Write @ematix.job(target=..., target_connection=...) over the function."
)
def job(
    *,
    name: str = "",
    target: TableLike | None = None,
    targets: Sequence[Target | TableLike] | Target | TableLike = (),
    source_connection: ConnectionLike | None = None,
    target_connection: ConnectionLike | None = None,
    mode: ModeLike = "append",
    source_table: str = "",
    watermark: str | None = None, functions: Sequence[FunctionLike] | FunctionLike = (),
    depends_on: Sequence[Job | str] | Job | str = (),
    retries: int | Retry = 0,
    timeout: float | str | timedelta | None = None,
    on_drift: Drift = "error",
    on_bad_rows: BadRows = "fail",
    checks: Sequence[Check] | Check = (),
    transforms: Sequence[Transform] | Transform = (),
    after: Sequence[StepLike] | StepLike = (),
    maintenance: Sequence[Maintenance] | Maintenance = (),
    schedule: str | None = None, timezone: str | None = None,
    pool: str = "", priority: int = 0,
    tags: Sequence[str] | str = (),
    owner: str = "",
) -> Callable[[Callable[..., Any]], Job]:  # fmt: skip
    """Declare a job: the function says what to read, the options where it goes and how.

    The function takes any of `conn`, `target`, `watermark`, `run` and returns SQL text, an Arrow table, reader or
    iterator of batches, a polars or pandas frame, or nothing with `source_table=`. `source_connection`: default the
    target's. `watermark`: a column; rows at or above its last value are read, bound to `:watermark`; or "_file": new
    files. `functions`: for SQL that runs in ematix: over files, lakes and DuckDB, and transforms. `timeout`: of an
    attempt, "1 hour" or seconds. See `target`, `udf`, `Retry`, `workflow`. Raises DeclarationError.
    """
    each: dict[str, Any] = {"mode": mode, "on_drift": on_drift, "checks": checks, "transforms": transforms}
    each |= {"after": after, "maintenance": maintenance}

    def declare(body: Callable[..., Any]) -> Job:
        try:
            return Job(
                name=name or body.__name__, body=body, targets=targets_of(target, targets, target_connection, each),
                source_connection=named_connection(source_connection, "source_connection"), source_table=source_table,
                watermark=watermark, functions=functions_of(functions), depends_on=_names(depends_on),
                timeout=None if timeout is None else parse_seconds(timeout, "timeout"), module=body.__module__,
                retry=retries if isinstance(retries, Retry) else Retry(retries), doc=inspect.getdoc(body) or "",
                schedule=Schedule.of(schedule, timezone), pool=pool, priority=priority, tags=tags_of(tags), owner=owner,
                on_bad_rows=on_bad_rows,
            )  # fmt: skip
        except DeclarationError as error:
            raise error.at(f"job {name or body.__name__}") from None

    return declare


pipeline = job


def targets_of(
    single: TableLike | None,
    several: Sequence[Target | TableLike] | Target | TableLike,
    default_connection: ConnectionLike | None,
    options: dict[str, Any],
) -> tuple[Target, ...]:
    """Return the targets of `target=` or `targets=`, with the connection and options of those that have none."""
    if (single is None) == (not several):
        raise DeclarationError("a job needs target= or targets=, and not both")
    connection = named_connection(default_connection, "target_connection")
    declared = listed(several) if single is None else (single,)
    made = [one if isinstance(one, Target) else target(one, **options) for one in declared]
    made = [replace(one, connection=connection) if one.connection is None else one for one in made]
    places = [(one.connection_name, one.name) for one in made]
    for place in places:
        if places.count(place) > 1:
            raise DeclarationError(f"target {place[1]} is listed twice")
    return tuple(made)


def _names(depends_on: Sequence[Job | str] | Job | str) -> tuple[str, ...]:
    hint = "Write depends_on=[other_job] or depends_on=['other_job']."
    items = listed_as(Job | str, depends_on, "depends_on", hint)
    return tuple(item.name if isinstance(item, Job) else item for item in items)
