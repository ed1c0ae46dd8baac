"""From a job to its plans: reads schemas and marks, decides, changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ematix_core.engine.columns import Resolved, resolve
from ematix_core.engine.indexes import missing_index
from ematix_core.engine.watermark import FILE_COLUMN
from ematix_core.errors import DeclarationError, UnsupportedError, near
from ematix_core.model.mode import Append, Scd2, Truncate
from ematix_core.model.names import alike
from ematix_core.model.table import Column, columns_from
from ematix_core.query.local import DIALECT as DUCKDB
from ematix_core.query.local import require_columns, schema_of
from ematix_core.sql import build
from ematix_core.sql.ddl import DdlPlan, Wanted, create_as, plan_ddl
from ematix_core.sql.reads import names_any, names_table
from ematix_core.sql.shape import SOURCE, Shape, shape_sql, staged_hash
from ematix_core.sql.widening import widens
from ematix_core.strategies.plan import Change, Execute, Fill, Insert, Make, Plan, Step
from ematix_core.strategies.planner import plan_load
from ematix_core.strategies.staging import deletes
from ematix_core.types import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ematix_core.backends.protocols import LocalQuery, Session, SourceFile
    from ematix_core.model.function import Function
    from ematix_core.model.job import Job, Target
    from ematix_core.model.mode import Mode
    from ematix_core.model.table import TableName
    from ematix_core.sql.dialect import Dialect


@dataclass(frozen=True)
class TargetPlan:
    """Everything decided about one target's load.

    `columns`: what arrives, in order, with its final types. `shape`: the DuckDB query over the rows, empty when
    Arrow casts are enough. `local`: the target's session reads the source by itself, by this query. `existing`: the
    table's columns as the plan found them. `aside`: the keys that are noted for rows that checks set aside.
    `functions`: what `shape` may call.
    """

    target: Target
    table: TableName
    dialect: Dialect
    plan: Plan
    columns: tuple[Column, ...]
    shape: str = ""
    local: LocalQuery | None = None
    existing: tuple[Column, ...] | None = None
    aside: tuple[str, ...] = ()
    functions: tuple[Function, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Situation:
    """What the planner finds: the rows' columns, the session to look at the target, the last load."""

    job: Job
    target: Target
    given: tuple[Column, ...]
    session: Session
    dialect: Dialect
    mark: str | None = None
    local: LocalQuery | None = None
    files: tuple[SourceFile, ...] | None = None


def plan_target(found: Situation) -> TargetPlan:
    """Plan one target's load. Raises what the resolving of columns, the DDL planner and the strategies raise."""
    dialect, target = found.dialect, found.target
    table = build.placed(target.name, dialect)
    _require_names(found.given, "the rows have", "Give one of them another name, with AS.", folded=False)
    resolved = resolve(target, found.given, table, found.job.watermark)
    _check_watermark(found, resolved)
    _check_bad_rows(found)
    has = f"{found.target.name} in {dialect.name} would have"
    _require_names(resolved.wanted.columns, has, "Rename it in the query.", folded=dialect.folds_names)
    existing = found.session.columns(table)
    if existing is not None and resolved.wanted.merge_key and (check := getattr(found.session, "check_keys", None)):
        check(table, resolved.keys)
    if existing is not None and (check := getattr(found.session, "check_mode", None)):
        check(table, target.mode.name)
    ddl = plan_ddl(resolved.wanted, existing, dialect, target.on_drift)
    columns = _loaded(resolved, ddl)
    wanted = shape = _shape(found, resolved, columns)
    if hashed := _hashed_by_target(found, shape, columns):
        shape = replace(shape, hash_of=(), hash_name="")
    local = _local(found, shape, columns)
    if shape.needs_sql and local is None:
        require_columns(found.given)
    inside = local is not None and not local.relayed and dialect.creates_filled
    staged = _staged(found, table, local, existing)
    at_once = inside and existing is None and not staged and _plain(resolved.wanted, target.mode)
    change = Change(
        target=table, columns=_with_hash(columns, wanted), hashed=hashed, mode=target.mode, keys=resolved.keys,
        passing=frozenset(column.name for column in resolved.passing),
        compare=tuple(c for c in resolved.compare if c in {x.name for x in columns}), new=existing is None,
        staged=staged, unique_keys=_unique(found, table, resolved, existing), inside=inside,
        made=ddl.columns if at_once else (),
        since=_since(found), sets_aside=any(check.severity == "quarantine" for check in target.checks),
    )  # fmt: skip
    slow = missing_index(found.session, table, target.mode, change, dialect)
    notes = (*_notes(found, table, local, shape), *resolved.notes)
    plan = plan_load(change, ddl, dialect, notes)
    return TargetPlan(
        target=target, table=table, dialect=dialect, plan=plan, columns=change.arriving, local=local,
        shape=shape_sql(shape, DUCKDB) if shape.needs_sql else "", existing=existing,
        aside=change.keys if change.sets_aside and deletes(change) else (),
        functions=found.job.functions, warnings=(*resolved.warnings, *slow, *plan.warnings),
    )  # fmt: skip


def _require_names(columns: Sequence[Column], who: str, hint: str, *, folded: bool) -> None:
    """Raise UnsupportedError for two columns of one name; `folded`: case makes no difference."""
    if (two := alike((column.name for column in columns), folded=folded)) is not None:
        beside = "" if two[0] == two[1] else f" and {two[1]!r}, between which case makes no difference"
        raise UnsupportedError(f"{who} two columns named {two[0]!r}{beside}", hint=hint)


def _check_watermark(found: Situation, resolved: Resolved) -> None:
    column, mode = found.job.watermark, found.target.mode
    if column is None:
        return
    where = f"job {found.job.name}"
    if isinstance(mode, Truncate):
        raise DeclarationError(
            "mode 'truncate' with a watermark would keep only the newest rows", where=where,
            hint="Remove watermark=, or use append, merge or scd2.",
        )  # fmt: skip
    if getattr(mode, "deletes", "ignore") != "ignore":
        raise DeclarationError(
            "deletes with a watermark would delete every row that the increment does not bring", where=where,
            hint="Remove watermark=, so that each load brings all rows, or set deletes='ignore'.",
        )  # fmt: skip
    known = [given.name for given in found.given]
    if column == FILE_COLUMN:
        if found.files is None:
            raise DeclarationError("watermark='_file' needs a source of files", where=where)
    elif column not in known:
        raise DeclarationError(f"watermark {column!r} is no column of the rows", where=where, hint=near(column, known))
    elif isinstance(mode, Append) and column not in {c.name for c in resolved.rows}:
        raise DeclarationError(
            f"watermark {column!r} is not loaded into {found.target.name}, so rows at the mark cannot be told apart",
            where=where, hint="Add the column to the table.",
        )  # fmt: skip


def _check_bad_rows(found: Situation) -> None:
    if found.job.on_bad_rows == "quarantine" and getattr(found.target.mode, "deletes", "ignore") != "ignore":
        raise DeclarationError(
            "deletes with on_bad_rows='quarantine' would delete the keys of lines that could not be read",
            where=f"job {found.job.name}", hint="Set on_bad_rows='fail', or deletes='ignore'.",
        )  # fmt: skip


def _loaded(resolved: Resolved, ddl: DdlPlan) -> tuple[Column, ...]:
    """Return the rows' columns with the types that the table will have, normalizers kept; then those that pass.

    Of a row that is gone a source may know no more than the key.
    """
    final = {column.name: column for column in ddl.columns}
    changes = bool(resolved.passing)
    stored = tuple(
        Column(c.name, final[c.name].type, c.nullable or changes, normalizers=c.normalizers)
        for c in resolved.rows
        if c.name in final
    )
    return (*stored, *resolved.passing)


def _with_hash(columns: tuple[Column, ...], shape: Shape) -> tuple[Column, ...]:
    return (*columns, Column(shape.hash_name, Text)) if shape.hash_name else columns


def _shape(found: Situation, resolved: Resolved, columns: tuple[Column, ...]) -> Shape:
    mode = found.target.mode
    transforms = found.target.transforms
    plain = Shape(columns=columns, transforms=transforms)
    given = found.given
    if plain.needs_sql:
        given = columns_from(schema_of(shape_sql(plain, DUCKDB), found.given, SOURCE, found.job.functions))
    types = {column.name: column.type for column in given}
    casts = frozenset(c.name for c in columns if types[c.name] is not c.type)
    exact = all(widens(types[c.name], c.type) for c in columns)
    shape = replace(plain, casts=casts, exact=exact)
    if not isinstance(mode, Scd2):
        return shape
    compare = tuple(c for c in resolved.compare if c in {x.name for x in columns})
    return replace(shape, hash_of=compare, hash_name=mode.row_hash)


def _local(found: Situation, shape: Shape, columns: tuple[Column, ...]) -> LocalQuery | None:
    """Return the query by which the target's session reads the source itself, shaped; None when rows must travel."""
    local = found.local
    if local is None or (not found.dialect.ddl and any(not column.nullable for column in columns)):
        return None  # files cannot refuse NULL by themselves, so those rows pass through our own check
    watermark = found.job.watermark not in {None, FILE_COLUMN}
    if shape.needs_sql and not _shaped_inside(found.dialect, shape, columns, watermark=watermark):
        return None
    if shape.casts and (found.dialect.grammar != DUCKDB.grammar or not shape.exact):
        return None
    if shape.transforms:
        return None  # so that the rows read are counted before they are filtered
    rows = f"(\n{local.sql}\n)"
    if found.dialect.grammar == "mysql":  # which has quotes of its own, and gets no shape but the picking of columns
        names = ", ".join(build.text(build.col(column.name), found.dialect) for column in columns)
        return replace(local, sql=f"SELECT {names}\nFROM {rows} AS s")
    sql = shape_sql(shape, DUCKDB, rows, cast=True)
    return replace(local, sql=sql)


def _shaped_inside(dialect: Dialect, shape: Shape, columns: tuple[Column, ...], *, watermark: bool) -> bool:
    """Say whether the target's system makes of the rows what DuckDB would make of them on their way."""
    if dialect.grammar == DUCKDB.grammar:
        return not watermark
    return shape.only_hashed and _same_hash(dialect, shape, columns)


def _same_hash(dialect: Dialect, shape: Shape, columns: tuple[Column, ...]) -> bool:
    """Say whether the system gives the row hash that DuckDB gives."""
    hashed = [column.type for column in columns if column.name in shape.hash_of]
    # DuckDB alone writes a decimal without digits before the point as `.99`.
    fractions = any(kind.kind == "numeric" and len(set(kind.parameters.values())) == 1 for kind in hashed)
    return not fractions and {kind.kind for kind in hashed} <= dialect.same_text


def _hashed_by_target(found: Situation, shape: Shape, columns: tuple[Column, ...]) -> str:
    """Return the row hash as SQL when the target can make it itself, of the versions that it opens and no other rows.

    Making it on the way, of every row, took half of the time in which 1M rows are staged in PostgreSQL.
    """
    inside = found.dialect.same_text and isinstance(found.target.mode, Scd2) and not found.target.mode.event_time
    return staged_hash(shape) if inside and shape.hash_name and _same_hash(found.dialect, shape, columns) else ""


def _staged(found: Situation, table: TableName, local: LocalQuery | None, existing: object) -> bool:
    """Say whether rows must pass through staging although the mode itself could do without."""
    if found.target.checks or found.job.on_bad_rows == "quarantine":
        return True
    if local is None or existing is None:
        return False
    return found.job.watermark is not None or _may_read_target(found, table, local)


def _may_read_target(found: Situation, table: TableName, local: LocalQuery) -> bool:
    """Say whether the rows may come from the target itself, which `truncate` empties before it fills it."""
    if not isinstance(found.target.mode, Truncate):
        return False
    if names_table(local.sql, table, found.dialect):
        return True
    if local.relayed or local.setup:  # read by another connection, or from files
        return False
    readers: Callable[[TableName], Sequence[str] | None] | None = getattr(found.session, "readers", None)
    names = None if readers is None else readers(table)
    return names is None or names_any(local.sql, names)


def _unique(found: Situation, table: TableName, resolved: Resolved, existing: object) -> bool:
    if existing is None or not resolved.keys:
        return existing is None
    where = found.target.mode.is_current if isinstance(found.target.mode, Scd2) else ""
    return any(set(group) <= set(resolved.keys) for group in found.session.unique_keys(table, where=where))


def _since(found: Situation) -> str:
    column = found.job.watermark
    return column if column and column != FILE_COLUMN and found.mark is not None else ""


def _notes(found: Situation, table: TableName, local: LocalQuery | None, shape: Shape) -> tuple[str, ...]:
    notes = []
    if str(table) != str(found.target.name):
        notes.append(f"{found.dialect.name} has no schemas: {found.target.name} is kept as {table}")
    if local is not None:
        notes.append(
            f"the rows pass from one {found.dialect.name} server to the other as they are"
            if local.relayed
            else f"the rows are read inside {found.dialect.name}: nothing crosses the wire"
        )
    if shape.needs_sql and local is None:
        notes.append("rows are shaped by DuckDB on the way: normalizers, transforms or the row hash of scd2")
    if found.job.watermark and found.job.watermark != FILE_COLUMN:
        notes.append(
            f"reads rows with {found.job.watermark} >= {found.mark}" if found.mark else "first load: no watermark yet"
        )
    if found.files is not None and found.job.watermark == FILE_COLUMN:
        notes.append(f"reads {len(found.files)} files that were not loaded before")
    notes += [f"after the commit, {step.schedule()}: {step.label()}" for step in found.target.maintenance]
    return tuple(notes)


def _plain(wanted: Wanted, mode: Mode) -> bool:
    """Say whether the new table is what CREATE TABLE AS makes: no keys but those whose index is made later."""
    several = ("order_by", "event_time", "deleted_by")
    return not (wanted.primary_key or wanted.unique or any(getattr(mode, option, None) for option in several))


def explain_insert(plan: TargetPlan) -> Plan:
    """Return the plan as it will run, with all its warnings.

    For rows read inside the target, the steps that bring them have their query.
    """
    told = replace(plan.plan, warnings=plan.warnings)
    if plan.local is None:
        return told
    steps = tuple(_with_query(step, plan.local.sql, plan.dialect) for step in plan.plan.steps)
    return replace(told, steps=steps)


def _with_query(step: Step, rows: str, dialect: Dialect) -> Step:
    match step:
        case Fill():
            names = tuple(column.name for column in step.columns)
            return Insert(name=step.name, why=step.why, table=step.table, columns=names, query=rows)
        case Make():
            sql = create_as(step.table, rows, step.columns, step.query, dialect, temporary=step.temporary)
            return Execute(name=step.name, why=step.why, sql=sql, parameters=step.parameters)
    return step


def scope(job: Job, target: Target, slice_name: str = "") -> str:
    """Return the name under which a job's loads of one target are kept in the target's bookkeeping.

    Those of a slice have one of their own: they say nothing of how far the ordinary loads got.
    """
    return f"{job.name}:{target.name}" + (f":{slice_name}" if slice_name else "")
