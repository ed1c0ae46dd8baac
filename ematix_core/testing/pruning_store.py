"""PruneConformance: what the control database forgets, and what it must not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ematix_core.store import EventKind, LogLine, Status
from ematix_core.testing.scheduler_store import lead
from ematix_core.testing.store import StoreFixtures

if TYPE_CHECKING:
    from ematix_core.store import SchedulerStore

_TICK = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)
_LATER = timedelta(days=1)


class PruneConformance(StoreFixtures):
    """What goes with old runs, and what stays because decisions rest on it."""

    def test_old_runs_go_with_all_that_is_theirs(self, store: SchedulerStore) -> None:
        workflow = store.begin_workflow("nightly", unit=True)
        old = store.begin("orders", workflow_run_id=workflow.workflow_run_id)
        store.attempt_failed(old.run_id, "again")
        store.log([LogLine(old.run_id, old.started_at, "INFO", "x")])
        store.finish(old.run_id, Status.SUCCEEDED, seconds=0)
        store.skip("late", "no", workflow_run_id=workflow.workflow_run_id)
        store.finish_workflow(workflow.workflow_run_id, Status.SUCCEEDED)
        limit = datetime.now(UTC)
        new = store.begin("orders")
        store.finish(new.run_id, Status.SUCCEEDED, seconds=0)
        is_open = store.begin("customers")
        assert store.prune(limit) == 2
        assert {run.run_id for run in store.runs()} == {new.run_id, is_open.run_id}
        assert not store.workflow_runs()
        assert not store.attempts(old.run_id)
        assert not store.logs(old.run_id)
        assert store.prune(limit) == 0

    def test_jobs_of_a_workflow_run_stay_as_long_as_it(self, store: SchedulerStore) -> None:
        workflow = store.begin_workflow("nightly", unit=True)
        job = store.begin("orders", workflow_run_id=workflow.workflow_run_id)
        store.finish(job.run_id, Status.SUCCEEDED, seconds=0)
        assert store.prune(datetime.now(UTC) + _LATER) == 0
        store.finish_workflow(workflow.workflow_run_id, Status.SUCCEEDED)
        assert store.prune(datetime.now(UTC) + _LATER) == 1

    def test_events_stay_as_long_as_decisions_rest_on_them(self, store: SchedulerStore) -> None:
        token = lead(store)
        store.see(["a", "b"], token=token)
        store.gap(_TICK, token=token)
        for unit, status, tick in (
            ("a", Status.SUCCEEDED, _TICK), ("a", Status.SUCCEEDED, _TICK - _LATER),
            ("a", Status.FAILED, _TICK + _LATER), ("a", Status.SUCCEEDED, None), ("b", Status.CANCELLED, None),
            ("a", Status.SUCCEEDED, None),
        ):  # fmt: skip
            run = store.begin_workflow(unit, unit=True, tick=tick, token=token)
            store.finish_workflow(run.workflow_run_id, status)
        for position in ("1", "2"):
            store.add_message("a", position, None, token=token)
        for message in ("1", None):
            run = store.begin_workflow("a", unit=True, token=token, message=message)
            store.finish_workflow(run.workflow_run_id, Status.FAILED)
        for _ in range(2):
            store.finish(store.begin("orders").run_id, Status.SUCCEEDED, seconds=0)
            store.pause("a")
            store.resume("a")
        before = store.events()
        store.prune(datetime.now(UTC) + _LATER)
        kept = store.events()
        assert [event for event in before if event in kept] == kept
        lost = {event.id for event in before} - {event.id for event in kept}
        last = {(event.kind, event.name): event.id for event in before}
        of_tick = next(e.id for e in before if e.kind is EventKind.SUCCEEDED and e.tick == _TICK)
        assert not lost & {*last.values(), of_tick}
        # Of what was expendable: two starts and ends of `a` each, the message that was consumed, a job's success.
        stay = {EventKind.SEEN, EventKind.GAP, EventKind.PAUSED, EventKind.RESUMED}
        expendable = {e.id for e in before if e.kind not in stay and e.id not in {*last.values(), of_tick}}
        unread = next(e.id for e in before if e.data == {"position": "2", "payload": None})
        assert lost == expendable - {unread}
        assert not store.add_message("a", "1", None, token=token)
        assert store.last_event() == before[-1].id
        store.pause("c")
        assert store.events()[-1].id == before[-1].id + 1
