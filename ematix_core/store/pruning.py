"""What is deleted of old runs, and what has to stay because triggers still look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ematix_core.store.part import StorePart
from ematix_core.store.records import EventKind
from ematix_core.store.tables import attempts, events, log_lines, messages, runs, workflow_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_BATCH = 500
"""So many are deleted in one transaction: others write in between."""
_OF_RUNS = (
    EventKind.STARTED, EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED, EventKind.JOB_SUCCEEDED,
    EventKind.CANCEL,
)  # fmt: skip
"""Events that speak of a run and go with it. The others are few, and stay; messages go with the run they set off."""
_SUCCEEDED = events.c.kind == EventKind.SUCCEEDED


class Pruning(StorePart):
    """The part of the store that forgets."""

    def prune(self, before: datetime) -> int:
        deleted = self._delete(_ended_runs(before), runs.c.run_id, [attempts.c.run_id, log_lines.c.run_id])
        ended = sa.select(workflow_runs.c.workflow_run_id).where(workflow_runs.c.finished_at < before)
        ended = ended.where(~sa.exists().where(runs.c.workflow_run_id == workflow_runs.c.workflow_run_id))
        self._delete(ended, workflow_runs.c.workflow_run_id, [])
        self._delete(_consumed_messages(), events.c.id, [])
        for numbers in self._forgotten_events(before):
            self._delete_batch(events.c.id, numbers, [])
        return deleted

    def _delete(self, statement: sa.Select[Any], column: sa.Column[Any], dependent: list[sa.Column[Any]]) -> int:
        """Delete what the statement finds, with the rows that refer to it; return how many there were."""
        deleted = 0
        while found := [row[0] for row in self._read(statement.limit(_BATCH))]:
            self._delete_batch(column, found, dependent)
            deleted += len(found)
        return deleted

    def _delete_batch(self, column: sa.Column[Any], values: list[Any], dependent: list[sa.Column[Any]]) -> None:
        def delete(connection: sa.Connection) -> None:
            for one in (*dependent, column):
                connection.execute(sa.delete(one.table).where(one.in_(values)))

        self._write("store.prune", delete, quick=True)

    def _forgotten_events(self, before: datetime) -> Iterator[list[int]]:
        """Yield the numbers of events of before then whose run is gone, but for those that decisions rest on."""
        kept = self._last_ones()
        gone = ~sa.exists().where(runs.c.run_id == events.c.run_id)
        gone &= ~sa.exists().where(workflow_runs.c.workflow_run_id == events.c.run_id)
        old = sa.select(events.c.id).where(events.c.kind.in_(_OF_RUNS), events.c.at < before, gone)
        last = 0
        while found := [
            row.id for row in self._read(old.where(events.c.id > last).order_by(events.c.id).limit(_BATCH))
        ]:
            last = found[-1]
            if numbers := [number for number in found if number not in kept]:
                yield numbers

    def _last_ones(self) -> set[int]:
        """Return the last event of each kind for each name, and its success for the latest tick."""
        last = sa.select(sa.func.max(events.c.id).label("id")).group_by(events.c.kind, events.c.name)
        of_ticks = sa.select(events.c.name, sa.func.max(events.c.tick).label("tick")).where(_SUCCEEDED)
        latest = of_ticks.group_by(events.c.name).subquery()
        of_latest = last.where(_SUCCEEDED).join(
            latest, sa.and_(latest.c.name == events.c.name, latest.c.tick == events.c.tick)
        )
        return {row.id for statement in (last, of_latest) for row in self._read(statement)}


def _ended_runs(before: datetime) -> sa.Select[Any]:
    """Select runs that ended before then: those of a workflow run with it, as it is carried on from what they did."""
    kept = sa.exists().where(
        workflow_runs.c.workflow_run_id == runs.c.workflow_run_id,
        sa.or_(workflow_runs.c.finished_at.is_(None), workflow_runs.c.finished_at >= before),
    )
    return sa.select(runs.c.run_id).where(runs.c.finished_at < before, ~kept)


def _consumed_messages() -> sa.Select[Any]:
    """Select the events of messages whose run is gone."""
    gone = ~sa.exists().where(workflow_runs.c.workflow_run_id == messages.c.workflow_run_id)
    return (
        sa.select(events.c.id)
        .join(messages, messages.c.event == events.c.id)
        .where(messages.c.workflow_run_id.is_not(None), gone)
    )
