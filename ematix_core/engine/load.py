"""One target's load: the plan's steps in one transaction, its counts, and its bookkeeping."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from ematix_core.engine.bookkeeping import TableChangedError, TableFoundError
from ematix_core.engine.checks import CheckRun, keep_rejected
from ematix_core.engine.post import run_post_steps
from ematix_core.engine.result import COUNTS, TargetResult
from ematix_core.engine.stream import fitted, from_mark, watched
from ematix_core.engine.watermark import FILE_COLUMN, HighWater, decode, encode, to_python
from ematix_core.errors import AlikeKeysError, EmptySourceError, KeyViolationError
from ematix_core.model.mode import Scd2
from ematix_core.query.local import run_sql
from ematix_core.sql import build
from ematix_core.sql.ddl import Wanted, create_staging
from ematix_core.sql.shape import SOURCE
from ematix_core.strategies.plan import (
    LOAD_TIME,
    PART_BEGIN,
    PART_END,
    SINCE,
    TTL_LIMIT,
    Clear,
    Count,
    Execute,
    Fill,
    Insert,
    Make,
    Require,
    Step,
    Tally,
    Unique,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from ematix_core.backends.protocols import (
        LoadRecord,
        LocalQuery,
        MakingSession,
        PartingSession,
        ReadingSession,
        Session,
    )
    from ematix_core.engine.body import RunContext
    from ematix_core.engine.bookkeeping import Bookkeeping
    from ematix_core.engine.planning import TargetPlan
    from ematix_core.errors import RunError
    from ematix_core.model.table import TableName

_PROBLEMS: dict[str, tuple[type[RunError], str, str]] = {
    "null_key": (
        KeyViolationError, "the key ({columns}) is NULL in rows such as {samples}",
        "Filter them in the query, or choose keys that are always there.",
    ),
    "duplicate_key": (
        KeyViolationError, "several rows of the load have one key ({columns}): {samples}",
        "Set order_by= so that the latest wins, or make the query give one row a key.",
    ),
    "target_duplicate_key": (
        KeyViolationError, "the target already has several rows for one key ({columns}): {samples}",
        "Remove the surplus rows from the table; a merge cannot tell which one is meant.",
    ),
    "null_event_time": (
        KeyViolationError, "the event time ({columns}) is NULL in {count} or more rows",
        "Filter them in the query, or fill the column with a normalizer such as default(...).",
    ),
    "empty_source": (
        EmptySourceError, "the source gave no rows, and deletes are on: every row of the target would go",
        "If that is meant, set allow_empty=True.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class LoadTask:
    """What a target's load needs besides its plan.

    `books`: what is noted of it. `rows`: the stream, None when the session reads the source itself, or when `relay`
    brings the rows of a local query. `rejected`: asked after the last row. `finish`: called with the session after the
    last step, before the load is noted.
    """

    plan: TargetPlan
    books: Bookkeeping
    context: RunContext
    load_time: datetime
    watermark: str | None
    rows: pa.RecordBatchReader | None
    high_water: HighWater | None = None
    relay: Callable[[LocalQuery, Session, TableName, Sequence[str]], int] | None = None
    rejected: Callable[[], pa.Table | None] = lambda: None
    stage: Callable[[str], None] = lambda _: None
    finish: Callable[[Session], None] = lambda _: None


class Load:
    """Carries out one plan in one session."""

    def __init__(self, session: Session, task: LoadTask) -> None:
        self._session = session
        self._task = task
        self._plan = task.plan
        self._counts: Counter[str] = Counter()
        self._checks: CheckRun | None = None
        self._rejected = 0
        self._removed = 0
        self._parameters = self._bound()

    def run(self) -> TargetResult:
        """Apply the steps, the post steps and the bookkeeping; the caller's session commits.

        Writes nothing when this load is committed already, and returns its counts as `repeated`.
        """
        task = self._task
        if self._session.columns(self._plan.table) != self._plan.existing:
            if self._plan.existing is None:
                raise TableFoundError(
                    "another writer made the table since this load was planned",
                    where=f"table {self._plan.table}", hint="Run the job again.",
                )  # fmt: skip
            raise TableChangedError(
                "another writer changed the table's columns since this load was planned",
                where=f"table {self._plan.table}", hint="Run the job again; with retries= it does so by itself.",
            )  # fmt: skip
        if (done := task.books.begin(self._session, f"table {self._plan.table}")) is not None:
            return repeated(str(self._plan.target.name), self._plan.plan.mode, done)
        for step in self._plan.plan.steps:
            task.stage(f"{self._plan.plan.mode}: {step.name}")
            self._apply(step)
        self._unchanged()
        run_post_steps(self._session, self._plan.target, task.context)
        result = self._result()
        task.finish(self._session)
        counts = {name: getattr(result, name) for name in ("rows_read", *COUNTS)}
        task.books.record(self._session, result.watermark, counts)
        return result

    def _bound(self) -> dict[str, Any]:
        mode = self._plan.target.mode
        load_time: Any = self._task.load_time
        parameters: dict[str, Any] = {LOAD_TIME: load_time, "load_id": self._task.context.run_id}
        if isinstance(mode, Scd2):
            parameters[LOAD_TIME] = _as_kind(load_time, self._plan, mode)
            parameters[TTL_LIMIT] = load_time - (mode.ttl or timedelta(0))
        if self._task.watermark is not None:
            parameters[SINCE] = decode(self._task.watermark)
        return parameters

    def _pick(self, names: Sequence[str]) -> dict[str, Any]:
        return {name: self._parameters[name] for name in names}

    def _apply(self, step: Step) -> None:
        touched = self._touched(step)
        if step.counts is Count.STAGED:
            self._counts[step.counts] = touched
        elif step.counts is not None:
            self._counts[step.counts] += touched
        if isinstance(step, Execute) and step.applies:
            self._removed += touched

    def _parts(self, step: Step) -> list[dict[str, Any]]:
        """Return the parameters of each part of the rows that a step takes; of one that takes all at once, none."""
        if step.parts_of is None:
            return [{}]
        session = cast("PartingSession", self._session)
        return [{PART_BEGIN: begin, PART_END: end} for begin, end in session.parts(step.parts_of)]

    def _touched(self, step: Step) -> int:
        return sum(self._touched_by(step, part) for part in self._parts(step))

    def _touched_by(self, step: Step, part: Mapping[str, Any]) -> int:
        touched = 0
        match step:
            case Fill():
                touched = self._fill(step)
            case Make():
                touched = self._make(step)
            case Insert():
                touched = self._session.insert(
                    step.table, step.columns, step.query, {**self._pick(step.parameters), **part}
                )
            case Clear():
                touched = self._session.clear(step.table)
            case Execute():
                touched = self._session.execute(step.sql, {**self._pick(step.parameters), **part})
            case Tally():
                touched = int(self._session.query(step.query, {}).column(0)[0].as_py())
            case Unique():
                self._index(step)
            case Require():
                self._require(step, part)
        return touched

    def _fill(self, step: Fill) -> int:
        session, plan = self._session, self._plan
        if step.create:
            session.execute(create_staging(Wanted(step.table, step.columns, merge_key=step.keys), plan.dialect), {})
        if plan.local is not None:
            rows = self._counts["rows_read"] = self._read_locally(step, plan.local)
            self._note_highest(step.table)
        else:
            rows = session.load(step.table, step.columns, self._stream(step))
        self._keep_rejected()
        if step.create and plan.target.checks:
            self._checks = CheckRun(session, plan, self._parameters | {LOAD_TIME: self._task.load_time})
            self._checks.run()
            return rows - self._checks.quarantined
        return rows

    def _make(self, step: Make) -> int:
        local, session = self._plan.local, cast("MakingSession", self._session)
        assert local is not None  # noqa: S101 - planned for rows that the session reads by itself
        self._set_up(local)
        parameters = {**local.parameters, **self._pick(step.parameters)}
        rows = session.make(step.table, step.columns, local.sql, step.query, parameters, temporary=step.temporary)
        self._counts["rows_read"] = rows
        self._note_highest(step.table)
        return rows

    def _read_locally(self, step: Fill, local: LocalQuery) -> int:
        names = [column.name for column in step.columns]
        if local.relayed:
            assert self._task.relay is not None  # noqa: S101 - a source that relays can do so
            return self._task.relay(local, self._session, step.table, names)
        self._set_up(local)
        return self._session.insert(step.table, names, local.sql, local.parameters)

    def _set_up(self, local: LocalQuery) -> None:
        if local.group or local.places:
            cast("ReadingSession", self._session).prepare(local)
        for statement in local.setup:
            self._session.execute(statement, {})

    def _stream(self, step: Fill) -> pa.RecordBatchReader:
        task, plan = self._task, self._plan
        assert task.rows is not None  # noqa: S101 - without a local query there is a stream
        rows = task.rows
        if task.high_water is not None and task.watermark is not None:
            rows = from_mark(rows, task.high_water.column, decode(task.watermark))
        return brought(watched(rows, self._count), plan, step)

    def _count(self, batch: pa.RecordBatch) -> None:
        self._counts["rows_read"] += batch.num_rows

    def _note_highest(self, rows: TableName) -> None:
        water = self._task.high_water
        if water is not None:
            table = self._session.query(build.highest(water.column, rows, self._plan.dialect), {})
            water.note(to_python(table.column(0)[0]))

    def _keep_rejected(self) -> None:
        rejected = self._task.rejected()
        if rejected is not None and rejected.num_rows:
            self._rejected = keep_rejected(self._session, self._plan, rejected, self._task.context.run_id)

    def _index(self, step: Unique) -> None:
        try:
            self._session.execute(step.sql, {})
        except AlikeKeysError:  # the system would count them as repeated, and show one of them
            raise
        except KeyViolationError:
            self._require(step, {})
            if not step.repeats:
                raise
            self._session.execute(step.repeats, {})

    def _require(self, step: Require, part: Mapping[str, Any]) -> None:
        bad = self._session.query(step.query, part)
        if not bad.num_rows:
            return
        kind, what, hint = _PROBLEMS[step.problem]
        samples = bad.slice(0, 5).to_pylist()
        text = what.format(columns=", ".join(step.columns), samples=samples, count=bad.num_rows)
        raise kind(text, where=f"table {self._plan.table}", hint=hint)

    def _unchanged(self) -> None:
        if Count.STAGED not in self._counts or self._plan.plan.mode == "truncate":
            return
        applied = self._counts.get(Count.APPLIED)
        if applied is None:
            applied = self._counts[Count.INSERTED] + self._counts[Count.UPDATED]
        self._counts["unchanged"] = self._counts[Count.STAGED] - applied - self._removed

    def _result(self) -> TargetResult:
        warnings = [*self._plan.warnings, *(self._checks.warnings if self._checks else ())]
        water = self._task.high_water
        if water is not None and water.nulls:
            warnings.append(f"{water.nulls:,} rows have no {water.column}: later incremental loads will not see them")
        quarantined = self._rejected + (self._checks.quarantined if self._checks else 0)
        counts: dict[str, Any] = {name: self._counts.get(name, 0) for name in ("rows_read", *COUNTS)}
        return TargetResult(
            target=str(self._plan.target.name), mode=self._plan.plan.mode, quarantined=quarantined,
            watermark=self._mark(), warnings=tuple(warnings), broken=self._checks.broken if self._checks else {},
            **counts,
        )  # fmt: skip

    def _mark(self) -> str | None:
        water, before = self._task.high_water, self._task.watermark
        if water is None or water.column == FILE_COLUMN or water.highest is None:
            return before
        if before is not None and decode(before) > water.highest:
            return before
        return encode(water.highest)


def brought(rows: pa.RecordBatchReader, plan: TargetPlan, step: Fill) -> pa.RecordBatchReader:
    """Return the rows as the step takes them: shaped, and with the types of its columns."""
    if plan.shape:
        rows = run_sql(plan.shape, rows, SOURCE, plan.functions)
    return fitted(rows, step.columns, f"table {plan.table}")


def repeated(target: str, mode: str, done: LoadRecord) -> TargetResult:
    """Return the result of a load that was committed before, by an attempt that could not say so."""
    counts: dict[str, Any] = {name: done.counts.get(name, 0) for name in ("rows_read", *COUNTS)}
    return TargetResult(target=target, mode=mode, watermark=done.watermark, repeated=True, **counts)


def _as_kind(load_time: datetime, plan: TargetPlan, mode: Scd2) -> Any:  # noqa: ANN401 - a date or datetime
    """Return the load's time as a value of the type of `valid_from`."""
    kind = next((c.type.kind for c in plan.columns if c.name == mode.event_time), "timestamp_tz")
    if kind == "date":
        return date(load_time.year, load_time.month, load_time.day)
    return load_time.astimezone(UTC).replace(tzinfo=None) if kind == "timestamp" else load_time
