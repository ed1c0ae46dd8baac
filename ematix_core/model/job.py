"""Jobs: what is read, where it goes, how, and under which conditions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ematix_core.errors import DeclarationError, near
from ematix_core.model.check import Check
from ematix_core.model.connection import Connection
from ematix_core.model.mode import Merge, Mode, Scd2, parse_mode
from ematix_core.model.retry import Retry
from ematix_core.model.schedule import Schedule
from ematix_core.model.table import TableDef, TableName
from ematix_core.model.transform import PostStep, Transform, as_post_step

if TYPE_CHECKING:
    from ematix_core.engine.result import JobPlan, RunResult
    from ematix_core.model.project import Project

BODY_PARAMETERS = ("conn", "target", "watermark", "run")
Drift = Literal["error", "warn", "add", "evolve"]
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

    @property
    def name(self) -> TableName:
        """The table's qualified name."""
        return self.table.table if isinstance(self.table, TableDef) else self.table

    @property
    def connection_name(self) -> str:
        """The connection's name; empty when none is set."""
        return self.connection.name if isinstance(self.connection, Connection) else self.connection or ""


def target(
    table: TableDef | str,
    *,
    connection: Connection | str | None = None,
    mode: str | Mapping[str, Any] | Mode = "append",
    on_drift: Drift = "error",
    checks: Sequence[Check] = (),
    transforms: Sequence[Transform] = (),
    after: Sequence[PostStep | str | Callable[..., Any]] = (),
) -> Target:
    """Declare one of several targets of a job: `targets=[target(A, connection=x), target(B, connection=y)]`.

    `table`: a declaration or a name. `mode`: as on a job. `on_drift`: "error", "warn", "add" or "evolve".
    `checks`: data checks on the staged rows. `transforms`: row transforms before the load. `after`: SQL text or
    functions run in the target's transaction after the load.
    """
    parsed = parse_mode(mode)
    if on_drift not in _DRIFTS:
        raise DeclarationError(f"unknown on_drift {on_drift!r}", hint=near(on_drift, _DRIFTS))
    if not isinstance(table, TableDef):
        if not isinstance(table, str) or not table:
            raise DeclarationError(f"target {table!r} is neither a table declaration nor a name")
        return Target(
            TableName.parse(table), connection, parsed, on_drift, tuple(checks), tuple(transforms), _posts(after)
        )
    _check_columns(table, parsed)
    return Target(table, connection, parsed, on_drift, tuple(checks), tuple(transforms), _posts(after))


def _posts(after: Sequence[PostStep | str | Callable[..., Any]]) -> tuple[PostStep, ...]:
    return tuple(as_post_step(step) for step in after)


def _check_columns(table: TableDef, mode: Mode) -> None:
    if not isinstance(mode, Merge | Scd2):
        return
    known = [c.name for c in table.columns]
    single = {"order_by": mode.order_by, "event_time": getattr(mode, "event_time", None)}
    named = [("keys", k) for k in mode.keys] + [("compare", c) for c in mode.compare]
    for option, column in [*named, *((o, c) for o, c in single.items() if c)]:
        if column not in known:
            raise DeclarationError(
                f"mode {mode.name!r}: {option} names {column!r}, which is no column of {table.name}",
                hint=near(column, known),
            )
    if not mode.keys and not table.key()[0]:
        raise DeclarationError(
            f"{mode.name} needs a key for {table.name}: no keys= given, and the table declares no primary or natural key",
            hint=f"Pass mode=ematix.{mode.name}(keys=[...]) or mark a column with pk().",
        )


@dataclass(frozen=True)
class Job:
    """One declared job. Made by `@job`; see there for the options."""

    name: str
    body: Callable[..., Any] = field(repr=False, compare=False)
    targets: tuple[Target, ...]
    source_connection: Connection | str | None = None
    source_table: str = ""
    watermark: str | None = None
    depends_on: tuple[str, ...] = ()
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    on_bad_rows: Literal["fail", "quarantine"] = "fail"
    schedule: Schedule | None = None
    pool: str = ""
    priority: int = 0
    tags: tuple[str, ...] = ()
    owner: str = ""
    doc: str = field(default="", compare=False, repr=False)
    module: str = field(default="", compare=False, repr=False)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names that the body takes, of `conn`, `target`, `watermark`, `run`."""
        return tuple(inspect.signature(self.body).parameters)

    @property
    def source_name(self) -> str:
        """The source connection's name; empty when the target's connection is the source."""
        source = self.source_connection
        return source.name if isinstance(source, Connection) else source or ""

    def plan(self, project: Project | None = None) -> JobPlan:
        """Return every statement that `run()` would execute, with the reason for each choice; changes nothing.

        Reads the source's schema and the target's tables. `project` finds connections given by name.
        """
        from ematix_core.engine import plan_job

        return plan_job(self, project)

    def run(self, project: Project | None = None, **options: Any) -> RunResult:  # noqa: ANN401 - handed on to engine.run_job
        """Run the job in this process and return its RunResult; raises the EmatixError of the last attempt.

        The run is recorded in the store (`EMATIX_STORE`, default `.ematix/runs.db` in the working directory). A run
        that was killed half-way is taken up again under its load id, so that nothing is loaded twice.
        """
        from ematix_core.engine import run_job

        return run_job(self, project, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the user's own function
        """Call the body as the plain function that it was, for unit tests of a job."""
        return self.body(*args, **kwargs)


def job(
    fn: Callable[..., Any] | None = None,
    *,
    name: str = "",
    target: TableDef | str | None = None,
    targets: Sequence[Target | TableDef | str] = (),
    source_connection: Connection | str | None = None,
    target_connection: Connection | str | None = None,
    mode: str | Mapping[str, Any] | Mode = "append",
    source_table: str = "",
    watermark: str | None = None,
    depends_on: Sequence[Job | str] | Job | str = (),
    retries: int | Retry = 0,
    timeout: float | None = None,
    on_drift: Drift = "error",
    on_bad_rows: Literal["fail", "quarantine"] = "fail",
    checks: Sequence[Check] = (),
    transforms: Sequence[Transform] = (),
    after: Sequence[PostStep | str | Callable[..., Any]] = (),
    schedule: str | None = None,
    timezone: str | None = None,
    pool: str = "",
    priority: int = 0,
    tags: Sequence[str] = (),
    owner: str = "",
) -> Any:  # noqa: ANN401 - a Job, or the decorator that makes one
    """Declare a job: the decorated function says what to read, the options where it goes and how.

    The function takes any of `conn`, `target`, `watermark`, `run` by name and returns SQL text, an Arrow table,
    reader or iterator of batches, a polars or pandas frame, or nothing when `source_table=` is given.

    `target` (a table declaration or a name) or `targets`. `source_connection`: where the SQL runs; default the
    target's own connection. `mode`: "append", "truncate", "merge", "scd2", a mode call or a dict. `watermark`: a
    column; only rows at or above its last value are read, and `:watermark` in the SQL is bound to it; "_file" reads
    files that were not loaded before. `retries`: a number or a Retry. `timeout`: seconds for one attempt.
    `on_bad_rows`: malformed lines fail the job or go to the quarantine table. `on_drift`, `checks`, `transforms`,
    `after`: see `target()`. `schedule` (cron) and `timezone`: for a job that runs by itself.
    Raises DeclarationError for options that contradict each other.
    """
    single = {"mode": mode, "on_drift": on_drift, "checks": checks, "transforms": transforms, "after": after}

    def declare(body: Callable[..., Any]) -> Job:
        job_name = name or body.__name__
        try:
            return Job(
                name=job_name,
                body=body,
                targets=_targets(target, targets, target_connection, single),
                source_connection=source_connection,
                source_table=source_table,
                watermark=watermark,
                depends_on=_names(depends_on),
                retry=retries if isinstance(retries, Retry) else Retry(retries),
                timeout=_positive(timeout),
                on_bad_rows=_bad_rows(on_bad_rows),
                schedule=Schedule.of(schedule, timezone),
                pool=pool,
                priority=priority,
                tags=tuple(tags),
                owner=owner,
                doc=inspect.getdoc(body) or "",
                module=_checked_body(body).__module__,
            )
        except DeclarationError as error:
            raise error.at(f"job {job_name}") from None

    return declare(fn) if fn is not None else declare


pipeline = job


def _targets(
    single: TableDef | str | None,
    several: Sequence[Target | TableDef | str],
    connection: Connection | str | None,
    options: dict[str, Any],
) -> tuple[Target, ...]:
    if (single is None) == (not several):
        raise DeclarationError("a job needs target= or targets=, and not both")
    if single is not None:
        return (target(single, connection=connection, **options),)
    made = [t if isinstance(t, Target) else target(t, **options) for t in several]
    made = [replace(t, connection=connection) if t.connection is None else t for t in made]
    seen: set[tuple[str, str]] = set()
    for one in made:
        identity = (one.connection_name, str(one.name))
        if identity in seen:
            raise DeclarationError(f"target {one.name} is listed twice")
        seen.add(identity)
    return tuple(made)


def _names(depends_on: Sequence[Job | str] | Job | str) -> tuple[str, ...]:
    items = [depends_on] if isinstance(depends_on, Job | str) else list(depends_on)
    return tuple(item.name if isinstance(item, Job) else item for item in items)


def _positive(timeout: float | None) -> float | None:
    if timeout is not None and timeout <= 0:
        raise DeclarationError(f"timeout={timeout!r}: must be a positive number of seconds")
    return timeout


def _bad_rows(value: Literal["fail", "quarantine"]) -> Literal["fail", "quarantine"]:
    if value not in _BAD_ROWS:
        raise DeclarationError(f"unknown on_bad_rows {value!r}", hint=near(value, _BAD_ROWS))
    return value


def _checked_body(body: Callable[..., Any]) -> Callable[..., Any]:
    for parameter in inspect.signature(body).parameters:
        if parameter not in BODY_PARAMETERS:
            raise DeclarationError(
                f"the body takes {parameter!r}, which a job cannot give it", hint=near(parameter, BODY_PARAMETERS)
            )
    return body
