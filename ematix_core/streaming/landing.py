"""One target of a stream: each micro-batch is one transaction with its rows, its dead letters and the positions."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ematix_core.engine.body import RunContext
from ematix_core.engine.bookkeeping import TableChangedError
from ematix_core.engine.load import Load, LoadTask, brought
from ematix_core.engine.planning import Situation, TargetPlan, plan_target
from ematix_core.engine.queueing import exclusive
from ematix_core.engine.result import COUNTS, TargetResult
from ematix_core.engine.targets import checked_schema, open_target
from ematix_core.errors import ConversionError, EmatixError
from ematix_core.failpoint import failpoint
from ematix_core.model.changes import ADDED
from ematix_core.model.job import Job
from ematix_core.model.mode import Merge, Scd2
from ematix_core.model.table import TableDef, columns_from
from ematix_core.strategies.plan import Fill
from ematix_core.streaming.lacking import follows_messages, lacking, with_nulls
from ematix_core.streaming.letters import check_letters, keep_letters, letters_table
from ematix_core.streaming.positions import Noted, OffsetBookkeeping, PositionBookkeeping, noted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import pyarrow as pa

    from ematix_core.backends.protocols import Session, Target
    from ematix_core.backends.stream_protocols import Position, StreamSource
    from ematix_core.engine.bookkeeping import Bookkeeping
    from ematix_core.engine.cancel import Cancellation
    from ematix_core.engine.environment import Environment
    from ematix_core.model.job import Target as Declared
    from ematix_core.model.stream import Stream
    from ematix_core.model.table import Column

_HOLD_SECONDS = 5.0
"""How long a file that admits one process is kept open while there is always more to load."""


@dataclass(frozen=True)
class Parcel:
    """What one transaction brings: rows, letters, and what it moves from `before` to `after`: positions, a state."""

    rows: pa.Table
    letters: pa.Table | None
    before: Noted
    after: Noted


_log = logging.getLogger(__name__)
_ANEW = (
    "stream %s: table %s was not there, and is made anew: it begins with the rows behind the positions "
    "that were noted. Consume with --from earliest to load all again."
)


class _TrialError(Exception):
    """Rolls a trial back."""


class Landing:
    """Loads parcels into one target. For one thread; used as a context manager."""

    def __init__(
        self, env: Environment, stream: Stream, target: Declared, cancellation: Cancellation, *,
        slot: int | str = 0,
    ) -> None:  # fmt: skip
        self._env = env
        self._stream = stream
        self._declared = target
        self._cancellation = cancellation
        self._connection = env.connection(target.connection or stream.source)
        self._plan: tuple[tuple[Column, ...], TargetPlan] | None = None
        self._held: tuple[Target, ExitStack, float] | None = None
        self._lacking: tuple[Column, ...] = ()  # what the rows of the plan lack, and the table has
        # Sources of messages are those of Kafka.
        self._fills = env.connection(stream.source).kind == "kafka" and follows_messages(stream)
        self._job = _job(stream, target)
        self._slot = slot
        self.state = ""
        """The name of the state that the target had noted when it was last asked for positions."""
        self._made = False  # whether the last load made its table
        self.sent = False
        """Whether the last transaction had the source's own positions in it."""
        self.scope = f"{stream.name}:{target.name}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def positions(self) -> dict[str, Position]:
        """Return the positions that the target has noted; none for a target that leaves them to the source.

        Such a target first ends what a killed process before this one has left open, with its positions.
        """
        if self.by_offsets:
            if (take_over := getattr(self._taken(), "take_over", None)) is not None:
                take_over()
            return {}
        with self._taken().inspect() as session:
            session.columns(self._declared.name)
            found = noted(session, self.scope)
        self.state = found.state
        return found.positions

    @property
    def by_offsets(self) -> bool:
        """Whether the target's transactions have the source's own positions in them, as those of Kafka do."""
        return self._connection.kind == "kafka"

    def land(self, parcel: Parcel, source: StreamSource) -> TargetResult:
        """Load the parcel in one transaction. Raises ConflictError when another consumer has moved the positions."""
        try:
            return self._landed(parcel, source)
        except TableChangedError:
            self._plan = None
            return self._landed(parcel, source)
        except EmatixError:
            self.let_go()
            raise

    def notes_without_rows(self) -> bool:
        """Say whether positions and letters can be noted before there are any rows: a lake needs a table for that."""
        target = self._taken()
        if not target.dialect.commits_each_table:
            return True
        with target.inspect() as session:
            return session.columns(self._declared.name) is not None

    def fit(self, rows: pa.Table) -> None:
        """Do what is done to rows before the target gets them: raises what that would raise."""
        plan = self._planned(self.own(rows))
        for step in plan.plan.steps:
            if isinstance(step, Fill):
                for _ in brought(self._stream_of(rows), plan, step):
                    pass

    @contextlib.contextmanager
    def trying(self) -> Iterator[None]:
        """Have attempts go over one connection, where the target can do so."""
        keep = getattr(self._taken(), "connected", contextlib.nullcontext)
        with keep():
            yield

    def attempt(self, rows: pa.Table) -> None:
        """Load the rows and roll back: raises what loading them would raise. A ConversionError may tell the row."""

        def take_back(_: Session) -> None:
            raise _TrialError

        with contextlib.suppress(_TrialError):
            try:
                self._load(rows, _Nothing(), "trial", self._env.clock(), take_back)
            except ConversionError as error:
                if not self._loads_as_they_are(rows):
                    error.row = None
                raise

    def _loads_as_they_are(self, rows: pa.Table) -> bool:
        """Say whether the target gets just these rows, in their order."""
        plan = self._plan[1] if self._plan else None
        return plan is not None and not plan.shape and latest_of_key(rows, plan) is rows

    def interrupt(self) -> None:
        """Stop what the target is doing, from another thread; it is rolled back."""
        if (held := self._held) is not None:
            held[0].interrupt()

    def land_again(self, rows: pa.Table, books: Bookkeeping, load_id: str) -> TargetResult:
        """Load rows that were dead letters, with a bookkeeping of the caller's."""
        if not rows.num_rows:
            return self._noted(books, lambda _: None)
        return self._load(rows, books, load_id, self._env.clock(), lambda _: None)

    @property
    def target(self) -> Target:
        """The target, open."""
        return self._taken()

    def rest(self) -> None:
        """Let others have a file that admits one process: there is nothing to load now."""
        if self._held is not None and self._held[0].exclusive() is not None:
            self.let_go()

    def let_go(self) -> None:
        """Close the target."""
        if self._held is not None:
            held, self._held = self._held, None
            held[1].close()

    def own(self, rows: pa.Table) -> pa.Table:
        """Return the columns that the target takes: those that the source adds only when it, or its mode, names them.

        With SQL of its own, or a window, a stream says itself which columns there are.
        """
        if self._stream.transform_sql or self._stream.window is not None:
            return rows
        table, mode = self._declared.table, self._declared.mode
        wanted = {column.name for column in table.columns} if isinstance(table, TableDef) else set()
        wanted |= set(mode.beside()) if isinstance(mode, Merge | Scd2) else set()
        return rows.select([name for name in rows.schema.names if name not in ADDED or name in wanted])

    def plan(self, rows: pa.Table) -> TargetPlan:
        """Return how rows of these columns are loaded; changes nothing."""
        return self._planned(self.own(rows))

    def _landed(self, parcel: Parcel, source: StreamSource) -> TargetResult:
        load_id = f"{self._stream.name}-{secrets.token_hex(8)}"
        at = self._env.clock()
        books: Bookkeeping = (
            OffsetBookkeeping(source, parcel.after)
            if self.by_offsets
            else PositionBookkeeping(self.scope, load_id, at, before=parcel.before, after=parcel.after)
        )

        def finish(session: Session) -> None:
            if parcel.letters is not None and parcel.letters.num_rows:
                about = {
                    "stream": self._stream.name,
                    "target": str(self._declared.name),
                    "load_id": load_id,
                    "failed_at": at,
                }
                table = letters_table(self._stream, self._declared)
                keep_letters(session, table, parcel.letters, self._taken().dialect, about)

        self.sent = False
        failpoint("stream.land.before")
        if parcel.rows.schema.names:
            result = self._load(parcel.rows, books, load_id, at, finish)
            if self._made and parcel.before.positions:
                _log.warning(_ANEW, self._stream.name, self._declared.name)
        else:
            result = self._noted(books, finish)
        self.sent = isinstance(books, OffsetBookkeeping) and books.sent
        failpoint("stream.land.after")
        return result

    def _load(
        self, rows: pa.Table, books: Bookkeeping, load_id: str, at: datetime, finish: Callable[[Session], None]
    ) -> TargetResult:
        """Load rows in one transaction, which ends with `finish` and the bookkeeping."""
        plan = self._planned(self.own(rows))
        with self._taken().session() as session:
            task = LoadTask(
                plan=plan, books=books, context=RunContext(load_id, self._stream.name, 1), load_time=at,
                watermark=None, rows=self._stream_of(rows), finish=finish,
            )  # fmt: skip
            result = Load(session, task).run()
        self._made = plan.existing is None
        if self._made or plan.plan.warnings:
            self._plan = None  # the table is another one now
        return result

    def _noted(self, books: Bookkeeping, finish: Callable[[Session], None]) -> TargetResult:
        """Keep letters and positions when no record could be read yet, so that no columns are known."""
        with self._taken().session() as session:
            session.columns(self._declared.name)
            books.begin(session, f"table {self._declared.name}")
            finish(session)
            books.record(session, None, dict.fromkeys(("rows_read", *COUNTS), 0))
        return TargetResult(str(self._declared.name), self._declared.mode.name)

    def _planned(self, rows: pa.Table) -> TargetPlan:
        columns = columns_from(rows.schema)
        if self._plan is None or self._plan[0] != columns:
            target = self._taken()
            with target.inspect() as session:
                if self._fills and not self.by_offsets:
                    self._lacking = lacking(self._declared, columns, session.columns(self._declared.name))
                given = (*columns, *self._lacking)
                plan = plan_target(
                    Situation(
                        job=self._job, target=self._declared, given=given, session=session, dialect=target.dialect
                    )
                )
            target.check_columns(plan.columns)
            if not self.by_offsets:  # a topic keeps letters as messages
                check_letters(target, self._stream, self._declared)
            plan = checked_schema(target, plan)
            self._plan = (columns, plan)
        return self._plan[1]

    def _stream_of(self, rows: pa.Table) -> pa.RecordBatchReader:
        own = with_nulls(self.own(rows), self._lacking)
        return latest_of_key(own, self._plan[1] if self._plan else None).to_reader(max_chunksize=32_768)

    def _taken(self) -> Target:
        """Return the target, open; a file that admits one process is held for a while, and then offered to others."""
        if self._held is not None and self._held[2] < time.monotonic() and self._held[0].exclusive() is not None:
            self.let_go()
        if self._held is None:
            with ExitStack() as stack:
                target = open_target(self._env, self._connection, self._declared)
                stack.callback(target.close)
                if (named := getattr(target, "take_name", None)) is not None:
                    named(f"{self._stream.name}.{self._declared.name}", self._slot)
                stack.enter_context(
                    exclusive(
                        [target.exclusive()], wait=self._env.lock_wait, cancellation=self._cancellation,
                        tell=lambda text: self._env.progress.waiting(self._stream.name, text),
                    )
                )  # fmt: skip
                self._held = (target, stack.pop_all(), time.monotonic() + _HOLD_SECONDS)
        return self._held[0]


class _Nothing:
    """The bookkeeping of a trial."""

    def begin(self, session: Session, where: str) -> None:
        """Allow it."""

    def record(self, session: Session, watermark: str | None, counts: object) -> None:
        """Note nothing."""


def latest_of_key(rows: pa.Table, plan: TargetPlan | None) -> pa.Table:
    """Return the last row of each key, in the order of arrival, where the target keeps one row a key.

    With `order_by=` or `event_time=` the target chooses by itself, among the last rows of each key at each value.
    """
    mode = plan.target.mode if plan else None
    if plan is None or not isinstance(mode, Merge | Scd2) or not rows.num_rows:
        return rows
    import pyarrow as pa

    at = mode.order_by or (mode.event_time if isinstance(mode, Scd2) else None)
    keys = [name for name in (*_keys(plan), *([at] if at else ())) if name in rows.schema.names]
    numbered = rows.append_column("_ematix_row", pa.array(range(rows.num_rows), pa.int64()))
    last = numbered.group_by(keys).aggregate([("_ematix_row", "max")]).column("_ematix_row_max")
    return rows if len(last) == rows.num_rows else rows.take(last.combine_chunks().sort())


def _keys(plan: TargetPlan) -> Iterator[str]:
    mode, table = plan.target.mode, plan.target.table
    given = mode.keys if isinstance(mode, Merge | Scd2) else ()
    yield from given or (table.key()[0] if isinstance(table, TableDef) else ())


def _job(stream: Stream, target: Declared) -> Job:
    """Return the stream's load of this target as planning knows it."""
    return Job(
        name=stream.name, body=_no_body, targets=(target,), source_connection=stream.source, functions=stream.functions
    )


def _no_body() -> None:
    """Stand for the body: rows come from the stream."""
