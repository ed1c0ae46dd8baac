"""What has been recorded, for those who look: runs, attempts, log lines, workflow runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.store import rows
from ematix_core.store.part import StorePart
from ematix_core.store.process import ProcessIdentity
from ematix_core.store.records import Attempt, LogLine, Run, Status, WorkflowRun
from ematix_core.store.tables import attempts, log_lines, runs, workflow_runs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_LINE = sa.insert(log_lines)


class History(StorePart):
    """The part of the store that reads runs, and keeps their log lines."""

    def log(self, lines: Iterable[LogLine]) -> None:
        values = [vars(line) | {"message": self._mask(line.message)} for line in lines]
        if values:
            self._write(None, lambda connection: connection.execute(_LINE, values), quick=True)

    def logs(self, run_id: str, *, skip: int = 0) -> list[LogLine]:
        statement = sa.select(log_lines).where(log_lines.c.run_id == run_id).order_by(log_lines.c.id)
        if skip:
            statement = statement.offset(skip)
        return [rows.log_line_record(row) for row in self._read(statement)]

    def attempts(self, run_id: str) -> list[Attempt]:
        of_run = sa.select(attempts).where(attempts.c.run_id == run_id).order_by(attempts.c.number)
        found = [rows.attempt_record(row) for row in self._read(of_run)]
        for row in self._read(sa.select(runs).where(runs.c.run_id == run_id)):
            run = rows.as_seen(rows.run_record(row), self._now())
            if len(found) < run.attempts:
                began = row.attempt_started_at or run.started_at
                found.append(Attempt(run_id, run.attempts, run.status, began, run.finished_at, run.error))
        return found

    def run(self, run_id: str) -> Run:
        return self._one("run", runs.c.run_id, run_id, self._runs)

    def workflow_run(self, workflow_run_id: str) -> WorkflowRun:
        return self._one("workflow run", workflow_runs.c.workflow_run_id, workflow_run_id, self._workflow_runs)

    def latest(self, job: str) -> Run | None:
        return next(iter(self.runs(job=job, limit=1)), None)

    def runs(
        self,
        *,
        job: str | None = None,
        status: Status | None = None,
        workflow_run_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = 50,
    ) -> list[Run]:
        statement = _between(runs, since, until).order_by(runs.c.started_at.desc(), runs.c.run_id.desc())
        if job is not None:
            statement = statement.where(runs.c.job == job)
        if workflow_run_id is not None:
            statement = statement.where(runs.c.workflow_run_id == workflow_run_id)
        if status in {Status.RUNNING, Status.INTERRUPTED}:
            # Which of the two an open run is, its process tells. There is at most one of them for each job and slice.
            statement = statement.where(runs.c.active_job.is_not(None))
            return [run for run in self._runs(statement) if run.status is status][:limit]
        if status is not None:
            statement = statement.where(runs.c.status == status)
        return self._runs(statement.limit(limit))

    def workflow_runs(
        self,
        *,
        workflow: str | None = None,
        status: Status | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        carrier: str | None = None,
        limit: int | None = 50,
    ) -> list[WorkflowRun]:
        table = workflow_runs
        statement = _between(table, since, until).order_by(table.c.started_at.desc(), table.c.workflow_run_id.desc())
        if workflow is not None:
            statement = statement.where(table.c.workflow == workflow)
        if carrier is not None:
            statement = statement.where(table.c.machine == ProcessIdentity.of(carrier).machine)
        if status in {Status.RUNNING, Status.INTERRUPTED}:
            # Which of the two an open one is, its process tells; one that was closed as interrupted says so itself.
            statement = statement.where(table.c.status.in_([Status.RUNNING, status]))
            return [run for run in self._workflow_runs(statement) if run.status is status][:limit]
        if status is not None:
            statement = statement.where(table.c.status == status)
        return self._workflow_runs(statement.limit(limit))

    def slices(self, workflow: str) -> dict[str, Status]:
        table = workflow_runs
        statement = sa.select(table).where(table.c.workflow == workflow, table.c.slice != "")
        latest_last = statement.order_by(table.c.started_at, table.c.workflow_run_id)
        return {run.slice: run.status for run in self._workflow_runs(latest_last)}

    def _runs(self, statement: sa.Select[Any]) -> list[Run]:
        now = self._now()
        return [rows.as_seen(rows.run_record(row), now) for row in self._read(statement)]

    def _workflow_runs(self, statement: sa.Select[Any]) -> list[WorkflowRun]:
        now = self._now()
        return [rows.as_seen(rows.workflow_run_record(row), now) for row in self._read(statement)]


def _between(table: sa.Table, since: datetime | None, until: datetime | None) -> sa.Select[Any]:
    statement = sa.select(table)
    if since is not None:
        statement = statement.where(table.c.started_at >= since)
    if until is not None:
        statement = statement.where(table.c.started_at < until)
    return statement
