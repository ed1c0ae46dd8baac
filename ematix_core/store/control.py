"""Signs of life, requests to stop, and what becomes of the workflow runs of dead processes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.errors import StoreError
from ematix_core.store import fencing, numbering, rows
from ematix_core.store.process import ProcessIdentity, is_alive, whose
from ematix_core.store.records import Event, EventKind, Status, WorkflowRun
from ematix_core.store.tables import runs, workflow_runs
from ematix_core.store.workflow_records import WorkflowRecords, end, update_seen

if TYPE_CHECKING:
    from datetime import datetime

    from ematix_core.store.records import Run

_IDS = (runs.c.run_id, workflow_runs.c.workflow_run_id)
_BEATS = [
    sa.update(column.table).where(
        column == sa.bindparam("own"),
        column.table.c.status == Status.RUNNING,
        column.table.c.machine == sa.bindparam("own_machine"),
        column.table.c.pid == sa.bindparam("own_pid"),
    )
    for column in _IDS
]
_ASKED = sa.union_all(
    *(sa.select(column.table.c.cancel_requested).where(column == sa.bindparam("id")) for column in _IDS),
    sa.select(workflow_runs.c.cancel_requested)
    .join(runs, runs.c.workflow_run_id == workflow_runs.c.workflow_run_id)
    .where(runs.c.run_id == sa.bindparam("id")),
)


class Control(WorkflowRecords):
    """The part of the store by which processes learn of each other: alive, asked to stop, dead and taken over."""

    def heartbeat(self, run_id: str) -> bool:
        me = ProcessIdentity.current()
        own = {"own": run_id, "own_machine": me.machine, "own_pid": me.pid}

        def beat(connection: sa.Connection) -> bool:
            for statement in _BEATS:
                if connection.execute(statement, own | {"heartbeat_at": self._now()}).rowcount:
                    break
            return any(connection.execute(_ASKED, {"id": run_id}).scalars())

        return self._write(None, beat, quick=True)

    def cancel(self, run_id: str) -> bool:
        def ask(connection: sa.Connection) -> bool:
            numbering.lock(connection)
            now = self._now()
            for column in _IDS:
                found = connection.execute(sa.select(column.table).where(column == run_id)).one_or_none()
                if found is None or not _listens(_record(found, column), now):
                    continue
                is_open = (column == run_id, column.table.c.status == Status.RUNNING)
                asked = sa.update(column.table).where(*is_open).values(cancel_requested=True)
                if connection.execute(asked).rowcount:
                    event = Event(numbering.take(connection), EventKind.CANCEL, "", now, run_id)
                    numbering.write(connection, event)
                    return True
            return False

        return self._write("store.cancel", ask)

    def orphans(self, *, token: int) -> list[WorkflowRun]:
        statement = sa.select(workflow_runs).where(workflow_runs.c.status == Status.RUNNING)
        found = map(rows.workflow_run_record, self._read(statement.order_by(workflow_runs.c.started_at)))
        now = self._now()
        return [
            run for run in found
            if fencing.is_older(run.token, token) or (run.unit and run.token is None and not _lives(run, now))
        ]  # fmt: skip

    def adopt(self, workflow_run_id: str, *, token: int) -> WorkflowRun:
        run, now = self._stored_workflow_run(workflow_run_id), self._now()
        values = {"token": token, "heartbeat_at": now, **vars(ProcessIdentity.current())}

        def take(connection: sa.Connection) -> None:
            fencing.check(connection, token)
            if not fencing.is_older(run.token, token) or not update_seen(connection, run, **values):
                raise StoreError(
                    f"workflow run {workflow_run_id} is not one that an earlier scheduler has left open",
                    where=self._database.where,
                    hint=f"See: flow runs show {workflow_run_id}",
                )

        self._write("store.adopt", take)
        self._open_here[workflow_run_id] = adopted = replace(run, **values)
        return adopted

    def abandon(self, workflow_run_id: str, error: str, *, token: int | None = None) -> None:
        run, now = self._stored_workflow_run(workflow_run_id), self._now()

        def close(connection: sa.Connection) -> None:
            fencing.check(connection, token)
            if run.status is not Status.RUNNING:
                return
            if _lives(run, now) and not fencing.is_older(run.token, token):
                raise StoreError(
                    f"workflow run {workflow_run_id} goes on: {whose(run)} lives",
                    where=self._database.where,
                    hint=f"Stop it: flow runs cancel {workflow_run_id}",
                )
            if end(connection, run, Status.INTERRUPTED, now, self._mask(error)) is None:
                raise _EndedMeanwhileError

        with suppress(_EndedMeanwhileError):
            self._write("store.abandon", close)


class _EndedMeanwhileError(Exception):
    """Undoes the transaction: the run was ended by its own process, or made way for the next one."""


def _record(row: sa.Row[Any], column: sa.Column[Any]) -> Run | WorkflowRun:
    return rows.run_record(row) if column.table is runs else rows.workflow_run_record(row)


def _lives(run: Run | WorkflowRun, now: datetime) -> bool:
    return is_alive(run, run.heartbeat_at, now)


def _listens(run: Run | WorkflowRun, now: datetime) -> bool:
    """Say whether there is somebody to ask: a process, or the next scheduler, which carries the run on."""
    return run.status is Status.RUNNING and (run.token is not None or _lives(run, now))
