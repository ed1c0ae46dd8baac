"""Workflow runs: begun once at a time and once for each cause, and ended, each with its event."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.errors import AlreadyRunningError, StoreError
from ematix_core.store import fencing, numbering, rows
from ematix_core.store.leases import living_lease
from ematix_core.store.part import LostTurnError, StorePart, new_id, utc_now
from ematix_core.store.process import ProcessIdentity, is_alive, whose
from ematix_core.store.records import SCHEDULER_LEASE, Event, EventKind, Status, WorkflowRun
from ematix_core.store.tables import events, messages, workflow_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ematix_core.store.database import Database

_COLUMNS = workflow_runs.c
_INSERT = sa.insert(workflow_runs)
_BY_ID = sa.select(workflow_runs).where(_COLUMNS.workflow_run_id == sa.bindparam("workflow_run_id"))
_BY_KEY = sa.select(workflow_runs).where(_COLUMNS.key_digest == sa.bindparam("key_digest"))
_OPEN = sa.select(workflow_runs).where(
    _COLUMNS.active == sa.bindparam("workflow"), _COLUMNS.slice == sa.bindparam("slice")
)
# Only as it was seen: another process may have ended or taken it over since.
_UPDATE_SEEN = sa.update(workflow_runs).where(
    _COLUMNS.workflow_run_id == sa.bindparam("seen_run"),
    _COLUMNS.status == Status.RUNNING,
    _COLUMNS.machine == sa.bindparam("seen_machine"),
    _COLUMNS.pid == sa.bindparam("seen_pid"),
    _COLUMNS.token.is_not_distinct_from(sa.bindparam("seen_token")),
)
_CONSUME = sa.update(messages).where(
    messages.c.unit == sa.bindparam("of_unit"), messages.c.position_digest == sa.bindparam("digest")
)
_LAST_STARTED = sa.select(sa.func.max(events.c.id)).where(
    events.c.kind == EventKind.STARTED, events.c.name == sa.bindparam("unit")
)
_END_EVENTS = {Status.SUCCEEDED: EventKind.SUCCEEDED, Status.CANCELLED: EventKind.CANCELLED}


class WorkflowRecords(StorePart):
    """The part of the store for workflow runs."""

    def __init__(self, database: Database, mask: Callable[[str], str], now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(database, mask, now)
        self._open_here: dict[str, WorkflowRun] = {}
        """What this object began or adopted and has not ended, so that it need not be read again."""

    def begin_workflow(
        self,
        workflow: str,
        *,
        trigger: str = "manual",
        unit: bool = False,
        key: str | None = None,
        tick: datetime | None = None,
        slice: str = "",  # noqa: A002 - the field's own word
        parameters: Mapping[str, Any] | None = None,
        cause: Sequence[str] = (),
        jobs: Sequence[str] = (),
        message: str | None = None,
        after: int | None = None,
        token: int | None = None,
        carrier: str | None = None,
    ) -> WorkflowRun:
        now = self._now()
        wanted = WorkflowRun(
            workflow_run_id="", workflow=workflow, trigger=trigger, status=Status.RUNNING, started_at=now,
            finished_at=None, error="", unit=unit, key=key, event=None, tick=tick, slice=slice,
            parameters=dict(parameters or {}), cause=tuple(map(self._mask, cause)), jobs=tuple(jobs), token=token,
            cancel_requested=False, heartbeat_at=now, **vars(ProcessIdentity.of(carrier)),
        )  # fmt: skip

        def insert(connection: sa.Connection) -> WorkflowRun:
            fencing.check(connection, token)
            return _insert(connection, replace(wanted, workflow_run_id=new_id(now)), message, after)

        def look_first(connection: sa.Connection) -> WorkflowRun:
            fencing.check(connection, token)
            numbering.lock(connection)
            if key is not None and (found := connection.execute(_BY_KEY, {"key_digest": digest(key)}).one_or_none()):
                raise _begun_already(rows.workflow_run_record(found))
            if found := connection.execute(_OPEN, {"workflow": workflow, "slice": slice}).one_or_none():
                self._make_way(connection, rows.workflow_run_record(found))
            return insert(connection)

        # A job's beginning waits for the disk, and for what was before it: see Database.transaction.
        run = self._write("store.begin_workflow", insert, otherwise=look_first, quick=token is not None)
        self._open_here[run.workflow_run_id] = run
        return run

    def finish_workflow(
        self, workflow_run_id: str, status: Status, *, error: str = "", carrier: str | None = None
    ) -> WorkflowRun:
        run = self._open_here.pop(workflow_run_id, None) or self._stored_workflow_run(workflow_run_id)
        me = ProcessIdentity.of(carrier)
        if (run.machine, run.pid) != (me.machine, me.pid):
            raise self._not_open_here(workflow_run_id)

        def record(connection: sa.Connection) -> WorkflowRun:
            fencing.check(connection, run.token)
            ended = end(connection, run, status, self._now(), self._mask(error))
            if ended is None:
                raise self._not_open_here(workflow_run_id)
            return ended

        return self._write("store.finish_workflow", record, quick=run.token is not None)

    def _stored_workflow_run(self, workflow_run_id: str) -> WorkflowRun:
        found = self._read(_BY_ID, {"workflow_run_id": workflow_run_id})
        if not found:
            raise StoreError(f"there is no workflow run {workflow_run_id!r}", where=self._database.where)
        return rows.workflow_run_record(found[0])

    def _not_open_here(self, workflow_run_id: str) -> StoreError:
        return StoreError(
            f"workflow run {workflow_run_id} is not open in this process: it has ended, or another process has taken "
            "it over",
            where=self._database.where,
            hint="Nothing was recorded. See: flow runs show " + workflow_run_id,
        )

    def _make_way(self, connection: sa.Connection, run: WorkflowRun) -> None:
        """Close the open run of a dead process. Raises AlreadyRunningError when it goes on, LostTurnError."""
        now = self._now()
        continued = run.token is not None and living_lease(connection, SCHEDULER_LEASE) is not None
        if continued or is_alive(run, run.heartbeat_at, now):
            raise _already_running(run)
        if end(connection, run, Status.INTERRUPTED, now, lost(run)) is None:
            raise LostTurnError(f"workflow {run.workflow} is being taken over by another process")


def digest(text: str) -> str:
    """Return what stands for a text of any length in an index."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def lost(run: WorkflowRun) -> str:
    """Return the error of a run whose process is dead."""
    return f"its {whose(run)} ended without a result"


def update_seen(connection: sa.Connection, run: WorkflowRun, **values: Any) -> bool:  # noqa: ANN401 - columns by name
    """Update an open run that is still as it was seen; return whether it is."""
    seen = {"seen_run": run.workflow_run_id, "seen_machine": run.machine, "seen_pid": run.pid, "seen_token": run.token}
    return connection.execute(_UPDATE_SEEN, values | seen).rowcount == 1


def end(connection: sa.Connection, run: WorkflowRun, status: Status, now: datetime, error: str) -> WorkflowRun | None:
    """Close a run as it was seen, with its event; None when it is not that any more: then undo the transaction."""
    tells = run.unit and not run.slice
    number = numbering.take(connection) if tells else 0
    if not update_seen(
        connection, run, status=status, active=None, finished_at=now, heartbeat_at=now, error=error
    ):  # fmt: skip
        return None
    if tells:
        kind = _END_EVENTS.get(status, EventKind.FAILED)
        numbering.write(connection, Event(
            number, kind, run.workflow, now, run.workflow_run_id, run.event, run.started_at, run.tick
        ))  # fmt: skip
    return replace(run, status=status, finished_at=now, heartbeat_at=now, error=error)


def _insert(connection: sa.Connection, run: WorkflowRun, message: str | None, after: int | None) -> WorkflowRun:
    """Write a new run with its event.

    Raises IntegrityError when one is open, or has its key; AlreadyRunningError when one has begun after that event.
    """
    tells = run.unit and not run.slice
    if tells:
        run = replace(run, event=numbering.take(connection))
    if after is not None:  # nobody can begin one from here on: the number is taken
        last = connection.execute(_LAST_STARTED, {"unit": run.workflow}).scalar()
        if last is not None and last > after:
            raise AlreadyRunningError(f"workflow {run.workflow} has had a run since this was decided: event {last}")
    connection.execute(_INSERT, vars(run) | {
        "active": run.workflow if run.unit or run.slice else None, "parameters": dict(run.parameters) or None,
        "cause": list(run.cause) or None, "jobs": list(run.jobs) or None,
        "key_digest": None if run.key is None else digest(run.key),
    })  # fmt: skip
    if message is not None:
        consumed = {"of_unit": run.workflow, "digest": digest(message), "workflow_run_id": run.workflow_run_id}
        connection.execute(_CONSUME, consumed)
    if run.event is not None:
        data = None if message is None else {"position": message}
        numbering.write(connection, Event(
            run.event, EventKind.STARTED, run.workflow, run.started_at, run.workflow_run_id,
            started_at=run.started_at, tick=run.tick, data=data,
        ))  # fmt: skip
    return run


def _already_running(run: WorkflowRun) -> AlreadyRunningError:
    part = f", slice {run.slice}," if run.slice else ""
    return AlreadyRunningError(
        f"workflow {run.workflow}{part} is already running: run {run.workflow_run_id}, {whose(run)}, "
        f"since {run.started_at:%Y-%m-%d %H:%M:%S} UTC",
        hint=f"Wait for it, or stop it: flow runs cancel {run.workflow_run_id}",
    )


def _begun_already(run: WorkflowRun) -> AlreadyRunningError:
    return AlreadyRunningError(
        f"workflow {run.workflow} has had its run for this: run {run.workflow_run_id}, {run.status}, "
        f"since {run.started_at:%Y-%m-%d %H:%M:%S} UTC"
    )
