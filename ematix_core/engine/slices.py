"""Runs with parameters, and runs of one slice of a job's data: what is bound, and what is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ematix_core.engine.watermark import FILE_COLUMN
from ematix_core.errors import DeclarationError
from ematix_core.model.mode import Append, Truncate
from ematix_core.sql import incremental
from ematix_core.sql.parameters import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from ematix_core.backends.protocols import Query, Source
    from ematix_core.engine.body import RunContext
    from ematix_core.model.job import Job

START, END = "slice_start", "slice_end"
"""The parameters of a slice, which is half-open: `at >= :slice_start AND at < :slice_end`."""


def values(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what SQL is given for a run's parameters: the limits of a slice of time are instants in UTC.

    Lists and objects, which no database takes as a value, are left to the job's function.
    """
    bound = {name: value for name, value in parameters.items() if not isinstance(value, list | dict)}
    return bound | {name: _instant(bound[name]) for name in (START, END) if isinstance(bound.get(name), str)}


def without_watermark(job: Job, context: RunContext) -> Job:
    """Return the job as a slice's run sees it: a slice neither reads the high-water mark nor moves it."""
    return replace(job, watermark=None) if context.slice and job.watermark != FILE_COLUMN else job


def sliced(query: Query, job: Job, context: RunContext, source: Source) -> Query:
    """Return the query reduced to the run's slice, with all parameters bound.

    The job's SQL says which rows belong to a slice by `:slice_start` and `:slice_end`; else its watermark column does.
    Raises DeclarationError when neither does and rows would be appended once a slice, and when each slice would
    replace the one before it.
    """
    bound = values(context.parameters)
    if not context.slice:
        return replace(query, parameters={**query.parameters, **bound})
    used = names(query.sql) if query.sql else ()
    if incremental.WATERMARK in used:
        bound[incremental.WATERMARK] = bound[START]
    asked = replace(query, parameters={**query.parameters, **bound})
    own = START in used or END in used
    if own or job.watermark not in {None, FILE_COLUMN}:
        _refuse(job, Truncate, "truncate replaces the whole table, so that only the last slice would be left")
    elif query.sql:
        _refuse(job, Append, "nothing says which rows belong to a slice: each would append all of them again")
    if own or job.watermark in {None, FILE_COLUMN}:
        return asked
    return _by_watermark(asked, str(job.watermark), source)


def _by_watermark(query: Query, column: str, source: Source) -> Query:
    """Return the query reduced to rows whose watermark column lies in the slice."""
    sql = query.sql or incremental.whole(query.table, source.dialect)
    kind = source.schema(query).field(column).type
    limits = {name: _as_kind(query.parameters[name], kind) for name in (START, END)}
    wrapped = incremental.between(sql, column, START, END, source.dialect)
    return replace(query, sql=wrapped, table="", parameters={**query.parameters, **limits})


def _refuse(job: Job, mode: type[Append | Truncate], problem: str) -> None:
    if any(isinstance(target.mode, mode) for target in job.targets):
        raise DeclarationError(
            f"the job cannot run in slices: {problem}",
            where=f"job {job.name}",
            hint="Use :slice_start and :slice_end in its SQL, or give it a watermark=; not with truncate.",
        )


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _as_kind(value: Any, kind: pa.DataType) -> Any:  # noqa: ANN401 - a time or a number
    """Return a limit as a value of the column's type: a time without a zone counts as UTC."""
    import pyarrow as pa

    if isinstance(value, datetime) and pa.types.is_date(kind):
        return value.date()
    if isinstance(value, datetime) and pa.types.is_timestamp(kind) and kind.tz is None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
