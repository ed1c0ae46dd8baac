"""One attempt of a job: look at the targets, call the body, plan, read once, load every target that lacks it."""

from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from ematix_core.engine.body import RunContext, call_body
from ematix_core.engine.bookkeeping import JobBookkeeping
from ematix_core.engine.functions import open_source
from ematix_core.engine.load import Load, LoadTask, repeated
from ematix_core.engine.maintenance import check_steps
from ematix_core.engine.planning import Situation, TargetPlan, explain_insert, plan_target, scope
from ematix_core.engine.queueing import exclusive
from ematix_core.engine.result import JobPlan
from ematix_core.engine.slices import sliced, without_watermark
from ematix_core.engine.spool import spooled
from ematix_core.engine.stream import Broadcast, watched, without
from ematix_core.engine.target_types import target_types
from ematix_core.engine.targets import checked_schema, open_target
from ematix_core.engine.watermark import FILE_COLUMN, HighWater, decode, lowest
from ematix_core.errors import ConversionError, EmatixError, SourceError, SqlError
from ematix_core.interruptible import wait_for
from ematix_core.model.table import TableDef, columns_from
from ematix_core.sql import incremental
from ematix_core.types import from_arrow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa

    from ematix_core.backends.protocols import LoadRecord, Query, Session, Source, SourceFile, Target
    from ematix_core.engine.body import Rows
    from ematix_core.engine.cancel import Cancellation
    from ematix_core.engine.environment import Environment
    from ematix_core.engine.result import TargetResult
    from ematix_core.model.connection import Connection
    from ematix_core.model.job import Job
    from ematix_core.model.table import Column


@dataclass
class _Place:
    """One target of the attempt: how to write to it, and what it already has."""

    number: int
    backend: Target
    scope: str
    last: LoadRecord | None = None
    done: LoadRecord | None = None
    seen: frozenset[SourceFile] = frozenset()
    plan: TargetPlan | None = None

    @property
    def mark(self) -> str | None:
        return self.last.watermark if self.last else None


class Attempt:
    """One attempt of one job. Used as a context manager: what it opens is closed at the end."""

    def __init__(self, env: Environment, job: Job, context: RunContext, cancellation: Cancellation) -> None:
        self._env = env
        self._declared = job
        self._job = job = without_watermark(job, context)
        self._context, self._cancellation = context, cancellation
        self._open = ExitStack()
        self._rejected: pa.Table | None = None
        self._high_water = HighWater(job.watermark) if job.watermark else None
        self._files: tuple[SourceFile, ...] | None = None
        self._rows: Rows | None = None
        self._query: Query | None = None

    def __enter__(self) -> Self:
        job = self._job
        try:
            self._source_connection = self._env.source_connection(job)
            self._connections = [self._env.target_connection(job, target) for target in job.targets]
            self._source: Source = open_source(self._source_connection, job)
            self._open.callback(self._source.close)
            self._cancellation.on_cancel(getattr(self._source, "interrupt", _nothing))
            self._places = []
            for number, connection in enumerate(self._connections):
                backend = open_target(self._env, connection, job.targets[number], job.watermark)
                self._open.callback(backend.close)
                self._cancellation.on_cancel(backend.interrupt)
                place = _Place(number, backend, scope(job, job.targets[number], self._context.slice))
                if (take := getattr(backend, "take_scope", None)) is not None:
                    take(place.scope)
                self._places.append(place)
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def queue(self) -> float:
        """Wait for the files that admit one process; held until the attempt is closed. Returns the seconds waited."""
        started = time.monotonic()
        sources: Sequence[Source] = getattr(self._source, "parts", (self._source,))
        files = [*(one.exclusive() for one in sources), *(place.backend.exclusive() for place in self._places)]
        self._open.enter_context(
            exclusive(
                files, wait=self._env.lock_wait, cancellation=self._cancellation,
                tell=lambda text: self._env.progress.waiting(self._job.name, text),
            )
        )  # fmt: skip
        return time.monotonic() - started

    def plan(self) -> JobPlan:
        """Look at source and targets and decide everything; changes nothing."""
        with ExitStack() as looking:
            sessions = [looking.enter_context(place.backend.inspect()) for place in self._places]
            for place, session in zip(self._places, sessions, strict=True):
                self._look(place, session)
            pending = [place for place in self._places if place.done is None]
            if not pending:
                return JobPlan(self._job.name, "nothing: this load is committed already", "", ())
            columns = self._prepare(pending, sessions)
            for place in pending:
                place.plan = self._plan_target(place, sessions[place.number], columns)
        plans = tuple(explain_insert(place.plan) for place in self._places if place.plan)
        return JobPlan(self._job.name, targets=plans, **_read(self._source, self._source_connection, self._query))

    def load(self) -> list[TargetResult]:
        """Carry out what `plan()` decided and return one result a target, in the job's order."""
        pending = [place for place in self._places if place.plan is not None]
        results = {p.number: self._repeated(p) for p in self._places if p.done is not None}
        try:
            if len(pending) == 1 and pending[0].plan and pending[0].plan.local is not None:
                results[pending[0].number] = self._write(pending[0], None)
            elif pending:
                results |= self._fan_out(pending)
        except EmatixError as error:
            if (reason := self._cancellation.reason) is None or error is reason:
                raise
            raise reason from error  # what was interrupted says no more than that it was
        return [results[number] for number in sorted(results)]

    def _look(self, place: _Place, session: Session) -> None:
        place.last = session.last_load(place.scope)
        place.done = session.find_load(place.scope, self._context.run_id)
        if self._job.watermark == FILE_COLUMN:
            place.seen = session.loaded_files(place.scope)

    def _prepare(self, pending: list[_Place], sessions: Sequence[Session]) -> tuple[Column, ...]:
        """Call the body, make the query and return the columns of the rows."""
        mark = self._low_mark(pending)
        self._rows = call_body(self._job, self._source, mark, self._context)
        if self._rows.query is None:
            assert self._rows.rows is not None  # noqa: S101 - one of the two is set
            return columns_from(self._rows.rows.schema)
        asked = sliced(self._rows.query, self._declared, self._context, self._source)
        self._query = self._incremental(asked, mark)
        if getattr(self._source, "guesses_types", False):
            places = [(self._job.targets[p.number], sessions[p.number], p.backend.dialect) for p in pending]
            self._query = replace(self._query, wanted=target_types(places))
        self._take_files(pending)
        try:
            return _columns(self._source, self._query)
        except SqlError as error:
            raise error.within(self._rows.query.sql) from error.__cause__

    def _low_mark(self, pending: list[_Place]) -> Any:  # noqa: ANN401 - the watermark column's own type
        if self._job.watermark in {None, FILE_COLUMN}:
            return None
        marks = [decode(place.mark) for place in pending]
        return None if any(mark is None for mark in marks) else min(marks)

    def _incremental(self, query: Query, mark: Any) -> Query:  # noqa: ANN401 - see _low_mark
        column = self._job.watermark
        if column is None or column == FILE_COLUMN:
            return query
        if query.sql and incremental.uses_watermark(query.sql):
            value = mark if mark is not None else self._lowest(query, column)
            return replace(query, parameters={**query.parameters, incremental.WATERMARK: value})
        if mark is None:
            return query
        dialect = self._source.dialect
        sql = query.sql or incremental.whole(query.table, dialect)
        wrapped = incremental.at_or_above(sql, column, dialect)
        return replace(query, sql=wrapped, table="", parameters={**query.parameters, incremental.WATERMARK: mark})

    def _lowest(self, query: Query, column: str) -> Any:  # noqa: ANN401 - see _low_mark
        table = self._job.targets[0].table
        declared = {c.name: c.type for c in table.columns} if isinstance(table, TableDef) else {}
        if column not in declared:
            schema = self._source.schema(replace(query, parameters={**query.parameters, incremental.WATERMARK: None}))
            declared = {field.name: from_arrow(field.type) for field in schema}
        return lowest(declared[column], column) if column in declared else None

    def _take_files(self, pending: list[_Place]) -> None:
        if self._query is None:
            return
        # Targets that have different files behind them take from the one read just those that they lack.
        told_apart = any(_declares(self._job.targets[p.number].table, FILE_COLUMN) for p in pending)
        told_apart = told_apart or len({place.seen for place in pending}) > 1
        self._query = replace(self._query, file_column=told_apart)
        if self._job.watermark != FILE_COLUMN:
            return
        found = self._source.files(self._query)
        if found is None:
            return
        seen = frozenset.intersection(*(place.seen for place in pending))
        self._files = tuple(file for file in found if file not in seen)
        self._query = replace(self._query, files=tuple(file.path for file in self._files))

    def _plan_target(self, place: _Place, session: Session, columns: tuple[Column, ...]) -> TargetPlan:
        target = self._job.targets[place.number]
        if self._query is not None and self._query.file_column and not _declares(target.table, FILE_COLUMN):
            columns = tuple(column for column in columns if column.name != FILE_COLUMN)
        local = None
        if self._query is not None and len(self._places) == 1 and not self._job.functions:
            local = self._source.local_query(self._query, self._connections[place.number])
        plan = plan_target(
            Situation(
                job=self._job, target=target, given=columns, session=session, dialect=place.backend.dialect,
                mark=place.mark, local=local, files=self._files,
            )
        )  # fmt: skip
        place.backend.check_columns(plan.columns)
        plan = checked_schema(place.backend, plan)
        check_steps(target, place.backend, place.backend.dialect, {c.name for c in plan.plan.columns or plan.columns})
        return plan

    def _fan_out(self, pending: list[_Place]) -> dict[int, TargetResult]:
        """Read once and load every pending target in its own thread and transaction.

        A system that admits one writer takes its targets one after the other: the later ones' rows wait on disk.
        """
        broadcast = Broadcast(self._reader(), len(pending))
        taken = {self._connections[place.number]: threading.Lock() for place in pending}

        def work(place: _Place, index: int, rows: pa.RecordBatchReader) -> TargetResult:
            lock = taken[self._connections[place.number]]
            with ExitStack() as stack:
                stack.callback(broadcast.leave, index)
                if place.backend.dialect.one_writer and not lock.acquire(blocking=False):
                    rows = stack.enter_context(spooled(rows))
                    lock.acquire()
                if place.backend.dialect.one_writer:
                    stack.callback(lock.release)
                return self._write(place, rows)

        with ThreadPoolExecutor(len(pending), thread_name_prefix=self._job.name) as pool:
            futures = [
                pool.submit(contextvars.copy_context().run, work, place, index, rows)
                for index, (place, rows) in enumerate(zip(pending, broadcast.readers(), strict=True))
            ]
            try:
                broadcast.pump()
                wait_for(futures)
            except KeyboardInterrupt:
                self._cancellation.cancel()
                raise
            except EmatixError:
                pass  # every consumer raises it too, with its own place
        for future in futures:
            if (error := future.exception()) is not None:
                raise error from error.__cause__
        return {place.number: future.result() for place, future in zip(pending, futures, strict=True)}

    def _reader(self) -> pa.RecordBatchReader:
        assert self._rows is not None  # noqa: S101 - plan() came first
        reader = self._rows.rows if self._query is None else self._source.read(self._query)
        assert reader is not None  # noqa: S101 - one of the two is there
        return watched(_ending(reader, self._note_rejected), self._see)

    def _note_rejected(self) -> None:
        self._rejected = self._source.rejected() if self._query is not None else None

    def _see(self, batch: pa.RecordBatch) -> None:
        self._cancellation.check()
        if self._high_water is not None and self._high_water.column != FILE_COLUMN:
            self._high_water.see(batch)
        self._env.progress.advanced(self._job.name, batch.num_rows)

    def _write(self, place: _Place, rows: pa.RecordBatchReader | None) -> TargetResult:
        plan = place.plan
        assert plan is not None  # noqa: S101 - only pending places come here
        water = self._high_water if self._job.watermark != FILE_COLUMN else None
        files = [file for file in self._files or () if file not in place.seen]
        had = [file.path for file in self._files or () if file in place.seen]
        if rows is not None and had:
            rows = without(rows, FILE_COLUMN, had)
        at = _load_time(self._env.clock(), place.last)
        task = LoadTask(
            plan=plan, books=JobBookkeeping(place.scope, self._context.run_id, at, place.last, files),
            context=self._context, load_time=at, watermark=place.mark if water else None, rows=rows, high_water=water,
            relay=getattr(self._source, "relay", None), rejected=lambda: self._rejected,
            stage=lambda text: self._env.progress.stage(self._job.name, text),
        )  # fmt: skip
        try:
            with place.backend.session() as session:
                return Load(session, task).run()
        except EmatixError as error:
            foreign = plan.local is not None and isinstance(error, SqlError | ConversionError | SourceError)
            known = _of_user(self._source.explain(error), self._rows) if foreign else error
            raise known.at(f"table {plan.table}") from error.__cause__

    def _repeated(self, place: _Place) -> TargetResult:
        assert place.done is not None  # noqa: S101 - only done places come here
        target = self._job.targets[place.number]
        return repeated(str(target.name), target.mode.name, place.done)


def _load_time(now: datetime, last: LoadRecord | None) -> datetime:
    """Return the time of a load: now, but always after the last one, even if a clock was set back."""
    return max(now, last.loaded_at + timedelta(microseconds=1)) if last else now


def _read(source: Source, connection: Connection, query: Query | None) -> dict[str, Any]:
    """Return what a plan says of how the rows are read."""
    if query is None:
        return {"source": "rows that the job's function makes", "query": ""}
    asks = getattr(source, "asks", None)
    return {
        "source": f"{connection.name} ({connection.kind})", "query": query.sql or f"all rows of {query.table}",
        "asked": asks(query) if asks is not None else (),
    }  # fmt: skip


def _columns(source: Source, query: Query) -> tuple[Column, ...]:
    """Return the query's columns; a source that can tell them by itself spares the import of Arrow."""
    if (told := getattr(source, "columns", None)) is None:
        return columns_from(source.schema(query))
    columns: tuple[Column, ...] = told(query)
    return columns


def _of_user(error: EmatixError, rows: Rows | None) -> EmatixError:
    """Return the error with the user's query alone, where it shows that inside of ours."""
    if isinstance(error, SqlError) and rows is not None and rows.query is not None:
        return error.within(rows.query.sql)
    return error


def _ending(rows: pa.RecordBatchReader, ended: Any) -> pa.RecordBatchReader:  # noqa: ANN401 - a function without arguments
    """Return the same stream; `ended` is called in the reading thread once it is exhausted."""
    import pyarrow as pa

    def stream() -> Iterator[pa.RecordBatch]:
        yield from rows
        ended()

    return pa.RecordBatchReader.from_batches(rows.schema, stream())


def _nothing() -> None:
    """Stand for what a source does not have."""


def _declares(table: object, column: str) -> bool:
    return isinstance(table, TableDef) and any(c.name == column for c in table.columns)
