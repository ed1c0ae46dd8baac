"""Runs of jobs and their attempts: begun, ended, and taken over from dead processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.errors import AlreadyRunningError, LeaseLostError, StoreError
from ematix_core.store import fencing, numbering, rows
from ematix_core.store.part import LostTurnError, StorePart, new_id, utc_now
from ematix_core.store.process import ProcessIdentity, is_alive, is_carried, whose
from ematix_core.store.records import EventKind, Run, Status
from ematix_core.store.tables import attempts, events, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ematix_core.store.database import Database

COUNTS = ("rows_read", "inserted", "updated", "unchanged", "deleted", "closed")

_INSERT = sa.insert(runs)
_BEGIN = _INSERT.values(since=numbering.LAST.scalar_subquery())
_OPEN = sa.select(runs).where(runs.c.active_job == sa.bindparam("job"), runs.c.slice == sa.bindparam("slice"))
_BY_ID = sa.select(runs).where(runs.c.run_id == sa.bindparam("run_id"))
_UPDATE_OWN = sa.update(runs).where(
    runs.c.run_id == sa.bindparam("own_run"),
    runs.c.status == Status.RUNNING,
    runs.c.machine == sa.bindparam("own_machine"),
    runs.c.pid == sa.bindparam("own_pid"),
)
# When the attempt that ends began stands in the run until the next one does.
_END_ATTEMPT = sa.insert(attempts).values(
    started_at=sa.select(sa.func.coalesce(runs.c.attempt_started_at, runs.c.started_at))
    .where(runs.c.run_id == sa.bindparam("own_run"))
    .scalar_subquery()
)
_JOB_SUCCEEDED = sa.insert(events).values(
    kind=EventKind.JOB_SUCCEEDED,
    since=sa.select(runs.c.since).where(runs.c.run_id == sa.bindparam("own_run")).scalar_subquery(),
)


class RunRecords(StorePart):
    """The part of the store for runs of jobs."""

    def __init__(self, database: Database, mask: Callable[[str], str], now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(database, mask, now)
        self._mine: dict[str, Run] = {}
        """What this object began and has not ended, so that it need not be read again."""
        self._in_doubt: set[str] = set()
        """What this object may have begun without being told so: the answer to COMMIT was lost."""

    def begin(
        self,
        job: str,
        *,
        workflow_run_id: str | None = None,
        trigger: str = "manual",
        slice: str = "",  # noqa: A002 - the field's own word
        token: int | None = None,
        carrier: str | None = None,
    ) -> Run:
        tried: list[str] = []

        def insert(connection: sa.Connection) -> Run:
            run = _new_run(job, workflow_run_id, trigger, self._now(), slice=slice, token=token)
            tried.append(run.run_id)
            fencing.check(connection, token)
            connection.execute(_BEGIN, _columns(run))
            return run

        def look_first(connection: sa.Connection) -> Run:
            fencing.check(connection, token)
            found = connection.execute(_OPEN, {"job": job, "slice": slice}).one_or_none()
            if found is None:
                return insert(connection)
            run, now = rows.run_record(found), self._now()
            nobodys = run.run_id in self._in_doubt or fencing.is_older(run.token, token) or _set_aside(run, carrier)
            if not nobodys and is_alive(run, run.heartbeat_at, now):
                raise _already_running(run)
            tried.append(run.run_id)
            return _take_over(
                connection,
                run,
                now,
                {"workflow_run_id": workflow_run_id or run.workflow_run_id, "trigger": trigger, "token": token},
            )

        try:
            run = self._write("store.begin", insert, otherwise=look_first)
        except (AlreadyRunningError, LeaseLostError):
            raise
        except StoreError:
            self._in_doubt.update(tried)
            raise
        self._in_doubt.discard(run.run_id)
        self._mine[run.run_id] = run
        return run

    def attempt_failed(self, run_id: str, error: str) -> Run:
        run, now = self._mine.get(run_id) or self._stored(run_id), self._now()
        again = replace(run, attempts=run.attempts + 1, heartbeat_at=now)

        def record(connection: sa.Connection) -> None:
            _end_attempt(connection, run, Status.FAILED, now, self._mask(error))
            self._update_own(connection, run_id, attempts=again.attempts, attempt_started_at=now, heartbeat_at=now)

        self._write("store.attempt_failed", record, quick=run.token is not None)
        self._mine[run_id] = again
        return again

    def set_aside(self, run_id: str, error: str, *, carrier: str) -> Run:
        run, now = self._mine.pop(run_id, None) or self._stored(run_id), self._now()
        values = {"error": self._mask(error), "heartbeat_at": now, **vars(ProcessIdentity.of(carrier))}
        self._write("store.set_aside", lambda connection: self._update_own(connection, run_id, **values))
        return replace(run, **values)

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
        carrier: str | None = None,
    ) -> Run:
        run, now, error = self._mine.pop(run_id, None) or self._stored(run_id), self._now(), self._mask(error)
        known: dict[str, Any] = {name: count for name, count in (counts or {}).items() if name in COUNTS}
        ended = replace(
            run, **known, status=status, finished_at=now, heartbeat_at=now, seconds=seconds, plan_hash=plan_hash,
            targets=tuple(rows.redacted(list(targets), self._mask)), error=error,
        )  # fmt: skip

        def record(connection: sa.Connection) -> None:
            # A scheduler that has taken over continues the run under its load id: an end that came between its look at
            # the runs and its `begin` would make that a new load.
            fencing.check(connection, run.token)
            succeeded = status is Status.SUCCEEDED and not run.slice
            number = numbering.take(connection) if succeeded else 0
            changed = {name: value for name, value in _columns(ended).items() if name in _CHANGED_BY_END}
            self._update_own(connection, run_id, carrier, **changed)
            if succeeded:
                values = {"id": number, "name": run.job, "at": now, "run_id": run_id, "started_at": run.started_at}
                connection.execute(_JOB_SUCCEEDED, values | {"own_run": run_id})

        self._write("store.finish", record, quick=run.token is not None)
        return ended

    def skip(self, job: str, reason: str, *, workflow_run_id: str | None = None, trigger: str = "manual") -> Run:
        now = self._now()
        skipped = replace(
            _new_run(job, workflow_run_id, trigger, now), status=Status.SKIPPED, finished_at=now, attempts=0,
            error=self._mask(reason),
        )  # fmt: skip
        self._write("store.skip", lambda connection: connection.execute(_INSERT, _columns(skipped)))
        return skipped

    def _stored(self, run_id: str) -> Run:
        found = self._read(_BY_ID, {"run_id": run_id})
        if not found:
            raise self._not_open(run_id)
        return rows.run_record(found[0])

    def _update_own(
        self, connection: sa.Connection, run_id: str, carrier: str | None = None, /, **values: Any  # noqa: ANN401 - columns by name
    ) -> None:  # fmt: skip
        """Update an open run of this process, or carrier. Raises StoreError if it is no longer that."""
        me = ProcessIdentity.of(carrier)
        own = {"own_run": run_id, "own_machine": me.machine, "own_pid": me.pid}
        if connection.execute(_UPDATE_OWN, values | own).rowcount != 1:
            raise self._not_open(run_id)

    def _not_open(self, run_id: str) -> StoreError:
        return StoreError(
            f"run {run_id} is not open in this process: it has ended, or another process has taken it over",
            where=self._database.where,
            hint="Nothing was recorded. See: flow runs show " + run_id,
        )


_CHANGED_BY_END = {
    "active_job", "status", "finished_at", "heartbeat_at", "seconds", "plan_hash", "targets", "error", *COUNTS,
}  # fmt: skip


def _new_run(
    job: str, workflow_run_id: str | None, trigger: str, now: datetime, *, slice: str = "", token: int | None = None  # noqa: A002 - the field's own word
) -> Run:  # fmt: skip
    run_id = new_id(now)
    counts: dict[str, Any] = dict.fromkeys(COUNTS, 0)
    return Run(
        run_id=run_id, job=job, workflow_run_id=workflow_run_id, trigger=trigger, status=Status.RUNNING, load_id=run_id,
        started_at=now, finished_at=None, attempts=1, **counts, seconds=0.0, plan_hash="", error="",
        targets=(), slice=slice, token=token, cancel_requested=False, heartbeat_at=now,
        **vars(ProcessIdentity.current()),
    )  # fmt: skip


def _columns(run: Run) -> dict[str, Any]:
    active = run.job if run.status is Status.RUNNING else None
    return vars(run) | {"active_job": active, "targets": list(run.targets)}


def _take_over(connection: sa.Connection, run: Run, now: datetime, new: dict[str, Any]) -> Run:
    """Continue a dead process's run with a further attempt. Raises LostTurnError when another was faster."""
    statement = sa.update(runs).where(
        runs.c.run_id == run.run_id,
        runs.c.status == Status.RUNNING,
        runs.c.machine == run.machine,
        runs.c.pid == run.pid,
        runs.c.attempts == run.attempts,
        runs.c.heartbeat_at == run.heartbeat_at,
    )
    # Who asked the dead process to stop meant this workflow run, but not what somebody starts later.
    same = run.workflow_run_id is not None and new["workflow_run_id"] == run.workflow_run_id
    asked = run.cancel_requested and same
    values = {"attempts": run.attempts + 1, "heartbeat_at": now, "cancel_requested": asked, **new,
              **vars(ProcessIdentity.current())}  # fmt: skip
    if is_carried(run):  # set aside after a failure, which the run tells of until now
        _end_attempt(connection, run, Status.FAILED, run.heartbeat_at, run.error)
        values["error"] = ""
    else:
        error = f"its {whose(run)} ended without a result"
        _end_attempt(connection, run, Status.INTERRUPTED, run.heartbeat_at, error)
    if connection.execute(statement.values(attempt_started_at=now, **values)).rowcount != 1:
        raise LostTurnError(f"job {run.job} is being taken over by another process", where=f"run {run.run_id}")
    return replace(run, **values)


def _end_attempt(connection: sa.Connection, run: Run, status: Status, now: datetime, error: str) -> None:
    """Keep how the run's current attempt ended, before the run tells of the next one."""
    values = {"run_id": run.run_id, "number": run.attempts, "status": status, "finished_at": now, "error": error}
    connection.execute(_END_ATTEMPT, values | {"own_run": run.run_id})


def _set_aside(run: Run, carrier: str | None) -> bool:
    """Say whether the run waits for the carrier's next attempt."""
    return carrier is not None and is_carried(run) and run.machine == ProcessIdentity.of(carrier).machine


def _already_running(run: Run) -> AlreadyRunningError:
    return AlreadyRunningError(
        f"job {run.job} is already running: run {run.run_id}, {whose(run)}, "
        f"since {run.started_at:%Y-%m-%d %H:%M:%S} UTC",
        hint="Wait for it, or end that process; the next start then continues its run.",
    )
