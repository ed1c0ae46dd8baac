"""The run store on a SQL database: `RunStore` in portable SQLAlchemy Core."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from ematix_core.errors import AlreadyRunningError, StoreError
from ematix_core.failpoint import failpoint
from ematix_core.store import rows, tables
from ematix_core.store.process import ProcessIdentity, is_alive
from ematix_core.store.records import Attempt, LogLine, Run, Status, WorkflowRun
from ematix_core.store.servers import is_deadlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from ematix_core.store.database import Database

COUNTS = ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")
_BEGIN_TURNS = 10
"""Each turn lost means that another process won meanwhile; nobody loses this often."""
_LISTED = 5


class _TakenOverError(AlreadyRunningError):
    """Another process took the run over between our look at it and our update."""


def utc_now() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)


class SqlRunStore:
    """Implements `RunStore`; `mask` redacts every text before it is written."""

    def __init__(self, database: Database, mask: Callable[[str], str], now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._redact = mask
        self._now = now

    def begin(self, job: str, *, workflow_run_id: str | None = None, trigger: str = "manual") -> Run:
        failpoint("store.begin.before")
        with self._database.errors():
            run_id = self._begin_in_turns(job, workflow_run_id, trigger)
        failpoint("store.begin.after")
        return self.run(run_id)

    def attempt_failed(self, run_id: str, error: str) -> Run:
        now = self._now()
        with self._database.errors(), self._database.engine.begin() as connection:
            self._update_own(connection, run_id, attempts=tables.runs.c.attempts + 1, heartbeat_at=now)
            _end_attempt(connection, run_id, Status.FAILED, now, self._mask(error))
            _start_attempt(connection, run_id, now)
        return self.run(run_id)

    def finish(
        self,
        run_id: str,
        status: Status,
        *,
        seconds: float,
        counts: Mapping[str, int] | None = None,
        plan_hash: str = "",
        targets: Sequence[Mapping[str, Any]] = (),
        error: str = "",
    ) -> Run:
        failpoint("store.finish.before")
        now, error = self._now(), self._mask(error)
        values = {name: count for name, count in (counts or {}).items() if name in COUNTS} | {
            "status": status, "active_job": None, "finished_at": now, "seconds": seconds, "plan_hash": plan_hash,
            "targets": rows.redacted(targets, self._mask), "error": error,
        }  # fmt: skip
        with self._database.errors(), self._database.engine.begin() as connection:
            self._update_own(connection, run_id, **values)
            _end_attempt(connection, run_id, status, now, error)
        failpoint("store.finish.after")
        return self.run(run_id)

    def skip(self, job: str, reason: str, *, workflow_run_id: str | None = None, trigger: str = "manual") -> Run:
        now = self._now()
        values = self._new_run(job, workflow_run_id, trigger, now) | {
            "active_job": None, "status": Status.SKIPPED, "finished_at": now, "attempts": 0,
            "error": self._mask(reason),
        }  # fmt: skip
        with self._database.errors(), self._database.engine.begin() as connection:
            connection.execute(sa.insert(tables.runs).values(values))
        return self.run(values["run_id"])

    def heartbeat(self, run_id: str) -> None:
        now = self._now()
        with self._database.errors(), self._database.engine.begin() as connection:
            for table, key in ((tables.runs, "run_id"), (tables.workflow_runs, "workflow_run_id")):
                connection.execute(sa.update(table).where(table.c[key] == run_id, _own(table)).values(heartbeat_at=now))

    def begin_workflow(self, workflow: str, *, trigger: str = "manual") -> WorkflowRun:
        now = self._now()
        values = {
            "workflow_run_id": _new_id(now), "workflow": workflow, "trigger": trigger, "status": Status.RUNNING,
            "started_at": now, "error": "", "heartbeat_at": now, **asdict(ProcessIdentity.current()),
        }  # fmt: skip
        with self._database.errors(), self._database.engine.begin() as connection:
            connection.execute(sa.insert(tables.workflow_runs).values(values))
        return self._workflow_run(str(values["workflow_run_id"]))

    def finish_workflow(self, workflow_run_id: str, status: Status, *, error: str = "") -> WorkflowRun:
        table = tables.workflow_runs
        statement = sa.update(table).where(table.c.workflow_run_id == workflow_run_id, _own(table))
        with self._database.errors(), self._database.engine.begin() as connection:
            connection.execute(statement.values(status=status, finished_at=self._now(), error=self._mask(error)))
        return self._workflow_run(workflow_run_id)

    def log(self, lines: Iterable[LogLine]) -> None:
        values = [vars(line) | {"message": self._mask(line.message)} for line in lines]
        if values:
            with self._database.errors(), self._database.engine.begin() as connection:
                connection.execute(sa.insert(tables.log_lines), values)

    def run(self, run_id: str) -> Run:
        column = tables.runs.c.run_id
        exact = self._runs(sa.select(tables.runs).where(column == run_id))
        like = sa.select(tables.runs).where(column.startswith(run_id, autoescape=True)).order_by(column.desc())
        found = exact or self._runs(like.limit(_LISTED))
        if len(found) == 1:
            return found[0]
        if not found:
            raise StoreError(f"there is no run {run_id!r}", where=self._database.where, hint="List them: flow runs")
        raise StoreError(
            f"several runs begin with {run_id!r}: {', '.join(run.run_id for run in found)}", hint="Give more of the id."
        )

    def runs(
        self,
        *,
        job: str | None = None,
        status: Status | None = None,
        workflow_run_id: str | None = None,
        limit: int | None = 50,
    ) -> list[Run]:
        table = tables.runs
        statement = sa.select(table).order_by(table.c.started_at.desc(), table.c.run_id.desc())
        if job is not None:
            statement = statement.where(table.c.job == job)
        if workflow_run_id is not None:
            statement = statement.where(table.c.workflow_run_id == workflow_run_id)
        if status in {Status.RUNNING, Status.INTERRUPTED}:
            # Which of the two an open run is, its process tells. There is at most one of them for each job.
            statement = statement.where(table.c.status == Status.RUNNING)
            return [run for run in self._runs(statement) if run.status is status][:limit]
        if status is not None:
            statement = statement.where(table.c.status == status)
        return self._runs(statement.limit(limit))

    def latest(self, job: str) -> Run | None:
        return next(iter(self.runs(job=job, limit=1)), None)

    def attempts(self, run_id: str) -> list[Attempt]:
        table = tables.attempts
        statement = sa.select(table).where(table.c.run_id == run_id).order_by(table.c.number)
        return [rows.attempt_record(row) for row in self._read(statement)]

    def logs(self, run_id: str) -> list[LogLine]:
        table = tables.log_lines
        statement = sa.select(table).where(table.c.run_id == run_id).order_by(table.c.id)
        return [rows.log_line_record(row) for row in self._read(statement)]

    def workflow_runs(self, *, workflow: str | None = None, limit: int | None = 50) -> list[WorkflowRun]:
        table = tables.workflow_runs
        statement = sa.select(table).order_by(table.c.started_at.desc(), table.c.workflow_run_id.desc()).limit(limit)
        if workflow is not None:
            statement = statement.where(table.c.workflow == workflow)
        now = self._now()
        return [rows.as_seen(rows.workflow_run_record(row), now) for row in self._read(statement)]

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mask(self, text: str) -> str:
        return rows.storable(self._redact(text))

    def _begin_in_turns(self, job: str, workflow_run_id: str | None, trigger: str) -> str:
        for turn in range(1, _BEGIN_TURNS + 1):
            try:
                return self._begin(job, workflow_run_id, trigger)
            except (DBAPIError, _TakenOverError) as error:
                lost = isinstance(error, IntegrityError | _TakenOverError) or is_deadlock(error)
                if not lost or turn == _BEGIN_TURNS:
                    raise
        raise AssertionError  # the last turn returns or raises

    def _begin(self, job: str, workflow_run_id: str | None, trigger: str) -> str:
        """Open a run or take one over, in one transaction.

        Raises IntegrityError, _TakenOverError or a deadlock's error when another process was faster.
        """
        now = self._now()
        with self._database.engine.begin() as connection:
            active = connection.execute(sa.select(tables.runs).where(tables.runs.c.active_job == job)).one_or_none()
            if active is None:
                values = self._new_run(job, workflow_run_id, trigger, now)
                connection.execute(sa.insert(tables.runs).values(values))
                _start_attempt(connection, values["run_id"], now)
                return str(values["run_id"])
            run = rows.run_record(active)
            if is_alive(run, run.heartbeat_at, now):
                raise _already_running(run)
            _take_over(connection, run, workflow_run_id or run.workflow_run_id, trigger, now)
            return run.run_id

    def _new_run(self, job: str, workflow_run_id: str | None, trigger: str, now: datetime) -> dict[str, Any]:
        run_id = _new_id(now)
        return {
            "run_id": run_id, "job": job, "active_job": job, "workflow_run_id": workflow_run_id, "trigger": trigger,
            "status": Status.RUNNING, "load_id": run_id, "started_at": now, "attempts": 1, **dict.fromkeys(COUNTS, 0),
            "seconds": 0.0, "plan_hash": "", "error": "", "targets": [], "heartbeat_at": now,
            **asdict(ProcessIdentity.current()),
        }  # fmt: skip

    def _update_own(self, connection: sa.Connection, run_id: str, **values: Any) -> None:  # noqa: ANN401 - columns by name
        """Update an open run of this process. Raises StoreError if it is no longer open or not this process's."""
        table = tables.runs
        statement = sa.update(table).where(table.c.run_id == run_id, table.c.status == Status.RUNNING, _own(table))
        if connection.execute(statement.values(values)).rowcount != 1:
            raise StoreError(
                f"run {run_id} is not open in this process: it has ended, or another process has taken it over",
                where=self._database.where,
                hint="Nothing was recorded. See: flow runs show " + run_id,
            )

    def _read(self, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._database.errors(), self._database.reader.connect() as connection:
            return connection.execute(statement).all()

    def _runs(self, statement: sa.Select[Any]) -> list[Run]:
        now = self._now()
        return [rows.as_seen(rows.run_record(row), now) for row in self._read(statement)]

    def _workflow_run(self, workflow_run_id: str) -> WorkflowRun:
        table = tables.workflow_runs
        found = self._read(sa.select(table).where(table.c.workflow_run_id == workflow_run_id))
        if not found:
            raise StoreError(f"there is no workflow run {workflow_run_id!r}", where=self._database.where)
        return rows.as_seen(rows.workflow_run_record(found[0]), self._now())


def _new_id(now: datetime) -> str:
    """Return an id that sorts by time and that no other process comes up with: `20261123T225501-1a2b3c4d`."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def _own(table: sa.Table) -> sa.ColumnElement[bool]:
    """Return the condition that a record belongs to this process."""
    me = ProcessIdentity.current()
    return sa.and_(table.c.machine == me.machine, table.c.pid == me.pid)


def _take_over(connection: sa.Connection, run: Run, workflow_run_id: str | None, trigger: str, now: datetime) -> None:
    """Continue a dead process's run with a further attempt. Raises _TakenOverError when another was faster."""
    statement = sa.update(tables.runs).where(
        tables.runs.c.run_id == run.run_id,
        tables.runs.c.status == Status.RUNNING,
        tables.runs.c.machine == run.machine,
        tables.runs.c.pid == run.pid,
        tables.runs.c.attempts == run.attempts,
        tables.runs.c.heartbeat_at == run.heartbeat_at,
    )
    values = {"attempts": run.attempts + 1, "workflow_run_id": workflow_run_id, "trigger": trigger,
              "heartbeat_at": now, **asdict(ProcessIdentity.current())}  # fmt: skip
    if connection.execute(statement.values(values)).rowcount != 1:
        raise _TakenOverError(f"job {run.job} is being taken over by another process", where=f"run {run.run_id}")
    error = f"its process {run.pid} on {run.host} ended without a result"
    _end_attempt(connection, run.run_id, Status.INTERRUPTED, run.heartbeat_at, error)
    _start_attempt(connection, run.run_id, now)


def _start_attempt(connection: sa.Connection, run_id: str, now: datetime) -> None:
    runs = tables.runs
    number = sa.select(runs.c.attempts).where(runs.c.run_id == run_id).scalar_subquery()
    values = {"run_id": run_id, "number": number, "status": Status.RUNNING, "started_at": now, "error": ""}
    connection.execute(sa.insert(tables.attempts).values(values))


def _end_attempt(connection: sa.Connection, run_id: str, status: Status, now: datetime, error: str) -> None:
    table = tables.attempts
    statement = sa.update(table).where(table.c.run_id == run_id, table.c.status == Status.RUNNING)
    connection.execute(statement.values(status=status, finished_at=now, error=error))


def _already_running(run: Run) -> AlreadyRunningError:
    return AlreadyRunningError(
        f"job {run.job} is already running: run {run.run_id}, process {run.pid} on {run.host}, "
        f"since {run.started_at:%Y-%m-%d %H:%M:%S} UTC",
        hint="Wait for it, or end that process; the next start then continues its run.",
    )
