"""Calling a job's body, and telling what it returned: SQL, a table to read, or rows that are here already."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.backends.protocols import Query
from ematix_core.engine.functions import check_calls
from ematix_core.errors import EmatixError, RunError, SqlError
from ematix_core.sql.parameters import single

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.backends.protocols import Source
    from ematix_core.model.job import Job


_NO_STATEMENT = re.compile(r"(?:\s|;|--[^\n]*|/\*.*?\*/)*", re.DOTALL)


class BodyError(RunError):
    """The job's own function raised; `__cause__` is its exception, with the user's traceback."""


@dataclass(frozen=True)
class RunContext:
    """What a body learns about its run, as the parameter `run`.

    `parameters`: values that the run was started with, bound as `:name` in SQL too: `slice_start` and `slice_end` (of
    a backfill, or of the tick that the run is for), `message` and `position` (of the message that it is for).
    """

    run_id: str
    job: str
    attempt: int
    slice: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Reader:
    """What a body can ask its source, as the parameter `conn`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Return all rows of a query; `parameters` are bound to `:name`. Raises SqlError."""
        return self.read(sql, parameters).read_all()

    def read(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.RecordBatchReader:
        """Return the rows of a query as a stream of Arrow batches."""
        return self._source.read(Query(sql=sql, parameters=parameters or {}))


@dataclass(frozen=True)
class Rows:
    """What the body gave: a query for the source, or rows (then `query` is None)."""

    query: Query | None = None
    rows: pa.RecordBatchReader | None = None

    @property
    def text(self) -> str:
        """The SQL or a description, for plans."""
        if self.query is None:
            return "rows made by the job's own function"
        return self.query.sql or self.query.table


def call_body(job: Job, source: Source, watermark: Any, context: RunContext) -> Rows:  # noqa: ANN401 - the mark's own type
    """Call the job's function with the parameters that it takes by name.

    Raises BodyError when it raises, and RunError when it returns what no job can load.
    """
    offered: dict[str, Any] = {
        "conn": Reader(source), "target": job.targets[0].table, "watermark": watermark, "run": context,
    }  # fmt: skip
    try:
        returned = job.body(**{name: offered[name] for name in job.parameters})
    except (EmatixError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:  # who leaves the process would leave the run's record open
        raise BodyError(
            f"the job's function raised {type(error).__name__}: {error}",
            where=f"job {job.name}, module {job.module}",
            hint=_raised_at(error),
        ) from error
    return _rows(job, source, returned)


def _raised_at(error: BaseException) -> str:
    """Return the last line of the function's own file that was reached; the message goes where no traceback does.

    The file without its folder: the record of a run is the same wherever a project lies.
    """
    frames = traceback.extract_tb(error.__traceback__)[1:]  # without the call
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f"Your own code raised it: {Path(own[-1].filename).name}, line {own[-1].lineno}." if own else ""


def _rows(job: Job, source: Source, returned: Any) -> Rows:  # noqa: ANN401 - whatever the user returned
    where = f"job {job.name}"
    if isinstance(returned, str):
        if job.source_table:
            raise RunError("the function returns SQL, and source_table= is given too", where=where, hint="Keep one.")
        sql = _one_query(returned, source, where)
        check_calls(sql, source, job)
        return Rows(Query(sql=sql, on_bad_rows=job.on_bad_rows))
    if returned is None:
        if not job.source_table:
            raise RunError(
                "the function returned nothing, and there is no source_table=",
                where=where,
                hint="Return SQL text, an Arrow table or batches, a data frame, or give source_table=.",
            )
        return Rows(Query(table=job.source_table, on_bad_rows=job.on_bad_rows))
    return Rows(rows=_reader(returned, where))


def _one_query(returned: str, source: Source, where: str) -> str:
    """Return the text without what follows its query; some drivers would run a second one and forget the first."""
    if _NO_STATEMENT.fullmatch(returned):
        raise RunError("the function returned no SQL", where=where, hint="Return a query: SELECT ... FROM ...")
    try:
        return single(returned.strip(), "qmark" if source.dialect.grammar == "sqlite" else "named_dollar")
    except SqlError as error:
        if error.position is not None:
            error.hint = "A job reads one query: make one of them, or a job of each."
        raise error.at(where) from None


def _reader(returned: Any, where: str) -> pa.RecordBatchReader:  # noqa: ANN401 - see _rows
    import pyarrow as pa

    if isinstance(returned, pa.RecordBatchReader):
        return returned
    if isinstance(returned, pa.Table):
        return returned.to_reader()
    if isinstance(returned, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(returned.schema, [returned])
    if hasattr(returned, "__arrow_c_stream__"):  # polars, pandas, DuckDB relations and others
        return pa.RecordBatchReader.from_stream(returned)
    if isinstance(returned, Iterable) and not isinstance(returned, Mapping | bytes):
        return _from_iterator(iter(returned), where)
    raise _unloadable(returned, where)


def _from_iterator(items: Any, where: str) -> pa.RecordBatchReader:  # noqa: ANN401 - an iterator of anything
    import itertools

    import pyarrow as pa

    first = next(items, None)
    if first is None:
        raise RunError(
            "the function's iterator gave no batch, so there are no columns",
            where=where,
            hint="Yield one empty batch with the schema: pa.RecordBatch.from_pylist([], schema=...).",
        )
    if not isinstance(first, pa.RecordBatch | pa.Table):
        raise _unloadable(first, where)

    def batches() -> Any:  # noqa: ANN401 - an iterator of record batches
        for item in itertools.chain([first], items):
            if not isinstance(item, pa.RecordBatch | pa.Table):
                raise _unloadable(item, where)
            yield from item.to_batches() if isinstance(item, pa.Table) else [item]

    return pa.RecordBatchReader.from_batches(first.schema, batches())


def _unloadable(value: Any, where: str) -> RunError:  # noqa: ANN401 - any value at all
    return RunError(
        f"the function gave a {type(value).__name__}, which cannot be loaded",
        where=where,
        hint="Return SQL text, an Arrow table, reader or iterator of batches, or a polars or pandas frame. "
        "For Python rows: pa.Table.from_pylist(rows).",
    )
