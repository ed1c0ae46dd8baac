"""Suites for what a scheduler asks of the control database: units and their events, the lease."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.errors import AlreadyRunningError, LeaseLostError, StoreError
from ematix_core.model.names import joined
from ematix_core.store import SCHEDULER_LEASE, EventKind, Status
from ematix_core.testing.store import StoreFixtures

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.store import Event, SchedulerStore

_TICK = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)


def lead(store: SchedulerStore, holder: str = "scheduler") -> int:
    """Take the scheduler's lease from whoever has it, and return its token."""
    if (held := store.lease(SCHEDULER_LEASE)) is not None:
        store.release_lease(held)
    lease = store.acquire_lease(SCHEDULER_LEASE, holder, 60)
    assert lease is not None
    return lease.token


def told(events: list[Event]) -> list[tuple[EventKind, str]]:
    """Return kind and name of each event."""
    return [(event.kind, event.name) for event in events]


class WorkflowConformance(StoreFixtures):
    """Workflow runs: one at a time, one for each cause, and events that tell of them."""

    def test_unit_runs_once_at_a_time(self, store: SchedulerStore) -> None:
        run = store.begin_workflow("nightly", unit=True)
        with pytest.raises(AlreadyRunningError, match=f"nightly is already running: run {run.workflow_run_id}"):
            store.begin_workflow("nightly", unit=True)
        store.begin_workflow("hourly", unit=True)
        store.begin_workflow("nightly")  # jobs of a command line whose names happen to read so: no unit
        store.finish_workflow(run.workflow_run_id, Status.FAILED)
        assert store.begin_workflow("nightly", unit=True).status is Status.RUNNING

    def test_workflow_run_keeps_why_and_for_what_it_runs(self, store: SchedulerStore) -> None:
        values = {"größe": [2**70, 0.1, None, True], "b": {"z": 1, "a": "\0'\\ 🚲"}}
        token = lead(store)
        run = store.begin_workflow(
            "nightly", trigger="schedule", unit=True, key="nightly@2", tick=_TICK, parameters=values,
            cause=["tick of 2:00", "orders succeeded"], token=token,
        )  # fmt: skip
        assert run == store.workflow_run(run.workflow_run_id[:-1]) == store.workflow_runs()[0]
        assert (run.key, run.tick, run.cause, run.token) == (
            "nightly@2", _TICK, ("tick of 2:00", "orders succeeded"), token,
        )  # fmt: skip
        assert run.parameters == values
        assert list(run.parameters["b"]) == ["z", "a"]
        done = store.finish_workflow(run.workflow_run_id, Status.FAILED, error="no")
        assert done == store.workflow_run(run.workflow_run_id)
        assert (done.status, done.error, done.cause) == (Status.FAILED, "no", run.cause)

    def test_a_run_of_many_jobs_keeps_all_their_names(self, store: SchedulerStore) -> None:
        jobs = tuple(f"größe_{number:03}" for number in range(300))
        name = joined(jobs)
        run = store.begin_workflow(name, jobs=jobs)
        assert store.workflow_runs(workflow=name)[0] == run
        assert store.workflow_run(run.workflow_run_id).jobs == jobs
        assert store.workflow_run(store.begin_workflow("nightly", unit=True).workflow_run_id).jobs == ()

    def test_the_same_cause_sets_off_one_run_ever(self, store: SchedulerStore) -> None:
        key = "orders succeeded " * 100  # longer than an index of any database takes
        run = store.begin_workflow("nightly", unit=True, key=key)
        store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
        for _ in range(2):
            with pytest.raises(AlreadyRunningError, match=f"run {run.workflow_run_id}, succeeded"):
                store.begin_workflow("nightly", unit=True, key=key)
        assert store.begin_workflow("nightly", unit=True, key=key + "!").key == key + "!"
        assert [event.id for event in store.events()] == [1, 2, 3]

    def test_start_and_end_of_a_unit_are_events(self, store: SchedulerStore) -> None:
        for status, kind in (
            (Status.SUCCEEDED, EventKind.SUCCEEDED), (Status.FAILED, EventKind.FAILED),
            (Status.CANCELLED, EventKind.CANCELLED), (Status.INTERRUPTED, EventKind.FAILED),
        ):  # fmt: skip
            run = store.begin_workflow("nightly", unit=True, tick=_TICK)
            store.finish_workflow(run.workflow_run_id, status)
            begun, ended = store.events(after=store.last_event() - 2)
            assert (begun.kind, ended.kind) == (EventKind.STARTED, kind)
            for event in (begun, ended):
                assert (event.name, event.run_id, event.started_at, event.tick) == (
                    "nightly", run.workflow_run_id, run.started_at, _TICK,
                )  # fmt: skip
            assert begun.id == run.event == ended.since

    def test_workflow_run_ends_once(self, store: SchedulerStore) -> None:
        run = store.begin_workflow("nightly", unit=True)
        store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
        with pytest.raises(StoreError, match="not open in this process"):
            store.finish_workflow(run.workflow_run_id, Status.FAILED)
        with pytest.raises(StoreError, match="no workflow run 'nightly'"):
            store.finish_workflow("nightly", Status.FAILED)
        assert told(store.events()) == [(EventKind.STARTED, "nightly"), (EventKind.SUCCEEDED, "nightly")]

    def test_slices_run_side_by_side_and_set_nothing_off(self, store: SchedulerStore) -> None:
        store.begin_workflow("nightly", unit=True)
        slices = {day: store.begin_workflow("nightly", unit=True, slice=day) for day in ("1", "2", "3")}
        with pytest.raises(AlreadyRunningError, match="slice 2, is already running"):
            store.begin_workflow("nightly", unit=True, slice="2")
        jobs = [store.begin("orders", slice=day, workflow_run_id=run.workflow_run_id) for day, run in slices.items()]
        jobs.append(store.begin("orders"))
        with pytest.raises(AlreadyRunningError, match="orders"):
            store.begin("orders", slice="1")
        assert [job.slice for job in jobs] == ["1", "2", "3", ""]
        for job in jobs[:3]:
            assert store.finish(job.run_id, Status.SUCCEEDED, seconds=0).slice == job.slice
        store.finish_workflow(slices["1"].workflow_run_id, Status.SUCCEEDED)
        store.finish_workflow(slices["2"].workflow_run_id, Status.FAILED)
        assert store.slices("nightly") == {"1": Status.SUCCEEDED, "2": Status.FAILED, "3": Status.RUNNING}
        again = store.begin_workflow("nightly", unit=True, slice="2")
        assert store.slices("nightly")["2"] is Status.RUNNING
        store.finish_workflow(again.workflow_run_id, Status.SUCCEEDED)
        assert store.slices("nightly")["2"] is Status.SUCCEEDED
        assert store.slices("hourly") == {}
        assert told(store.events()) == [(EventKind.STARTED, "nightly")]

    def test_success_of_a_job_is_an_event(self, store: SchedulerStore) -> None:
        store.pause("before")
        run = store.begin("orders")
        store.pause("meanwhile")
        store.finish(run.run_id, Status.SUCCEEDED, seconds=0)
        store.finish(store.begin("orders").run_id, Status.FAILED, seconds=0)
        store.skip("late", "orders failed")
        event = store.events()[-1]
        assert (event.id, event.kind, event.name) == (3, EventKind.JOB_SUCCEEDED, "orders")
        assert (event.run_id, event.since, event.started_at) == (run.run_id, 1, run.started_at)

    def test_workflow_runs_are_chosen_by_name_state_and_time(self, store: SchedulerStore) -> None:
        runs = [store.begin_workflow(name, unit=True) for name in ("a", "b", "c")]
        store.finish_workflow(runs[0].workflow_run_id, Status.SUCCEEDED)
        store.finish_workflow(runs[1].workflow_run_id, Status.INTERRUPTED)
        chosen: list[tuple[dict[str, Any], str]] = [
            ({}, "cba"), ({"limit": 1}, "c"), ({"workflow": "b"}, "b"), ({"status": Status.SUCCEEDED}, "a"),
            ({"status": Status.INTERRUPTED}, "b"), ({"status": Status.RUNNING}, "c"),
            ({"since": runs[1].started_at}, "cb"), ({"until": runs[1].started_at}, "a"),
        ]  # fmt: skip
        for options, names in chosen:
            assert "".join(run.workflow for run in store.workflow_runs(**options)) == names, options

    def test_cancelling_is_told_to_whoever_runs_it(self, store: SchedulerStore) -> None:
        workflow = store.begin_workflow("nightly", unit=True)
        inside = store.begin("orders", workflow_run_id=workflow.workflow_run_id)
        alone = store.begin("customers")
        ids = (workflow.workflow_run_id, inside.run_id, alone.run_id)
        assert [store.heartbeat(one) for one in ids] == [False] * 3
        assert store.cancel(workflow.workflow_run_id)
        assert [store.heartbeat(one) for one in ids] == [True, True, False]
        assert store.cancel(alone.run_id)
        assert store.heartbeat(alone.run_id)
        assert store.run(alone.run_id).cancel_requested
        assert not store.run(inside.run_id).cancel_requested
        assert store.workflow_run(workflow.workflow_run_id).cancel_requested
        store.finish(alone.run_id, Status.CANCELLED, seconds=0)
        assert not store.cancel(alone.run_id)
        assert not store.cancel("no such run")
        cancels = [event for event in store.events() if event.kind is EventKind.CANCEL]
        assert [(event.name, event.run_id) for event in cancels] == [("", ids[0]), ("", ids[2])]


class EventConformance(StoreFixtures):
    """Events that people and schedulers write, and the numbers of all."""

    def test_events_are_read_from_any_point(self, store: SchedulerStore) -> None:
        assert (store.events(), store.last_event()) == ([], 0)
        for name in "abc":
            store.pause(name)
        assert [event.name for event in store.events(after=1)] == ["b", "c"]
        assert [event.name for event in store.events(limit=2)] == ["a", "b"]
        assert store.events(after=3) == []
        assert store.last_event() == 3

    def test_what_is_refused_takes_no_number(self, store: SchedulerStore) -> None:
        token = lead(store)
        run = store.begin_workflow("nightly", unit=True, key="k")
        for _ in range(3):
            for key in ("k", "other"):
                with suppress(AlreadyRunningError):
                    store.begin_workflow("nightly", unit=True, key=key)
            with suppress(LeaseLostError):
                store.begin_workflow("hourly", unit=True, token=token - 1)
            with suppress(StoreError):
                store.finish("no such run", Status.SUCCEEDED, seconds=0)
            store.cancel("no such run")
            store.resume("nightly")
        store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
        assert [event.id for event in store.events()] == [1, 2]

    def test_pausing_twice_changes_nothing(self, store: SchedulerStore) -> None:
        answers = [store.resume("a"), store.pause("a"), store.pause("a"), store.pause("b"), store.resume("a")]
        assert answers == [False, True, False, True, True]
        assert [store.resume("a"), store.pause("a")] == [False, True]
        assert told(store.events()) == [
            (EventKind.PAUSED, "a"), (EventKind.PAUSED, "b"), (EventKind.RESUMED, "a"), (EventKind.PAUSED, "a"),
        ]  # fmt: skip

    def test_unit_is_met_once(self, store: SchedulerStore) -> None:
        token = lead(store)
        assert store.see(["a", "b", "a"], token=token) == ["a", "b"]
        assert store.see(["b", "c"], token=lead(store)) == ["c"]
        assert store.see([], token=token + 1) == store.see(["a"], token=token + 1) == []
        assert told(store.events()) == [(EventKind.SEEN, name) for name in "abc"]

    def test_gap_lasts_until_now(self, store: SchedulerStore) -> None:
        before = datetime.now(UTC)
        store.gap(_TICK, token=lead(store))
        (event,) = store.events()
        assert (event.kind, event.name, event.started_at) == (EventKind.GAP, "", _TICK)
        assert before <= event.at <= datetime.now(UTC)

    def test_message_comes_once(self, store: SchedulerStore) -> None:
        token, path = lead(store), "inbox/größe/" + "x" * 5000 + ".json"
        payload = {"id": 2**60 + 1, "text": "\0 🚲 'x'", "list": [1.5, None, {}]}
        assert store.add_message("nightly", path, payload, token=token)
        assert not store.add_message("nightly", path, "other", token=token)
        assert store.add_message("hourly", path, None, token=token)
        assert store.add_message("nightly", path + "2", [], token=token)
        found = [(event.name, event.data) for event in store.events()]
        assert found == [
            ("nightly", {"position": path, "payload": payload}), ("hourly", {"position": path, "payload": None}),
            ("nightly", {"position": path + "2", "payload": []}),
        ]  # fmt: skip
        run = store.begin_workflow("nightly", unit=True, message=path, token=token)
        assert run.event is not None
        assert store.events(after=run.event - 1)[0].data == {"position": path}


class LeaseConformance(StoreFixtures):
    """The lease, and the token that fences off who has lost it."""

    def test_lease_has_one_holder_at_a_time(self, store: SchedulerStore) -> None:
        later = datetime.now(UTC) + timedelta(days=1)
        assert store.lease("x") is None
        assert store.downtime("x", later) is None
        first = store.acquire_lease("x", "a", 60)
        assert first is not None
        assert store.downtime("x", later) is None
        assert store.lease("x") == first
        assert (first.holder, first.token, first.previous) == ("a", 1, None)
        assert store.acquire_lease("x", "b", 60) is None
        assert store.acquire_lease("x", "a", 60) is None
        other = store.acquire_lease("y", "b", 60)
        assert other is not None
        renewed = store.renew_lease(first, 90)
        assert renewed is not None
        assert renewed.expires_at > first.expires_at
        store.release_lease(renewed)
        assert store.lease("x") is None
        assert store.renew_lease(renewed, 60) is None
        second = store.acquire_lease("x", "b", 60)
        assert second is not None
        assert second.token == 2
        store.release_lease(renewed)  # it is another's by now
        assert store.lease("x") == second

    def test_lease_that_is_not_renewed_is_free_for_others(self, store: SchedulerStore) -> None:
        first = store.acquire_lease("x", "a", 0.3)
        assert first is not None
        renewed = store.renew_lease(first, 0.5)
        assert renewed is not None
        time.sleep(0.6)
        assert store.lease("x") is None
        idle = store.downtime("x", renewed.expires_at + timedelta(seconds=60))
        assert idle is not None
        assert idle < renewed.expires_at
        assert store.downtime("x", idle + timedelta(seconds=60)) is None
        assert store.renew_lease(renewed, 0.1) is not None  # nobody has taken it
        time.sleep(0.2)
        second = store.acquire_lease("x", "b", 60)
        assert second is not None
        assert second.previous is not None
        assert first.expires_at - timedelta(seconds=0.3) < second.previous < second.expires_at - timedelta(seconds=60)
        assert store.renew_lease(renewed, 60) is None
        assert store.lease("x") == second

    def test_a_holder_says_how_long_nobody_may_be_at_work(self, store: SchedulerStore) -> None:
        first = store.acquire_lease("x", "a", 60, absence=3600)
        assert first is not None
        assert store.lease("x") == first
        store.release_lease(first)
        second = store.acquire_lease("x", "b", 60)
        assert second is not None
        left = second.previous
        assert left is not None
        assert second.downtime(left + timedelta(minutes=59)) is None
        assert second.downtime(left + timedelta(minutes=61)) == left
        store.release_lease(second)
        assert store.downtime("x", left + timedelta(hours=1)) is not None

    def test_writes_of_a_lost_lease_are_refused_and_leave_nothing(self, store: SchedulerStore) -> None:
        old = lead(store, "a")
        run = store.begin_workflow("nightly", unit=True, token=old)
        job = store.begin("orders", workflow_run_id=run.workflow_run_id, token=old)
        new = lead(store, "b")
        assert new == old + 1
        before = (store.events(), store.runs(), store.workflow_runs())
        writes: list[Callable[[], Any]] = [
            lambda: store.begin("customers", token=old),
            lambda: store.finish(job.run_id, Status.SUCCEEDED, seconds=0),
            lambda: store.begin_workflow("hourly", unit=True, token=old),
            lambda: store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED),
            lambda: store.see(["hourly"], token=old),
            lambda: store.gap(_TICK, token=old),
            lambda: store.add_message("nightly", "p", None, token=old),
            lambda: store.adopt(run.workflow_run_id, token=old),
            lambda: store.abandon(run.workflow_run_id, "gone", token=old),
        ]
        for write in writes:
            with pytest.raises(LeaseLostError, match=rf"token {old}\) is another's by now \(token {new}\)"):
                write()
        assert (store.events(), store.runs(), store.workflow_runs()) == before

    def test_a_token_that_never_was_is_refused(self, store: SchedulerStore) -> None:
        with pytest.raises(LeaseLostError, match="token 1"):
            store.begin("orders", token=1)
        assert store.runs() == []

    def test_what_an_earlier_scheduler_left_is_carried_on(self, store: SchedulerStore) -> None:
        old = lead(store, "a")
        left = store.begin_workflow("nightly", unit=True, token=old)
        job = store.begin("orders", workflow_run_id=left.workflow_run_id, token=old)
        mine = store.begin_workflow("by hand", unit=True)
        new = lead(store, "b")
        own = store.begin_workflow("hourly", unit=True, token=new)
        assert [run.workflow for run in store.orphans(token=new)] == ["nightly"]
        adopted = store.adopt(left.workflow_run_id, token=new)
        assert adopted == store.workflow_run(left.workflow_run_id)
        assert adopted.token == new
        assert store.orphans(token=new) == []
        again = store.begin("orders", workflow_run_id=left.workflow_run_id, token=new)
        assert (again.run_id, again.load_id, again.attempts, again.token) == (job.run_id, job.load_id, 2, new)
        with pytest.raises(AlreadyRunningError):
            store.begin("orders", token=new)
        store.finish(job.run_id, Status.SUCCEEDED, seconds=0)
        for run in (left, mine, own):
            store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
        with pytest.raises(StoreError, match="has left open"):
            store.adopt(left.workflow_run_id, token=new)

    def test_what_nobody_can_carry_on_is_closed(self, store: SchedulerStore) -> None:
        left = store.begin_workflow("nightly", unit=True, token=lead(store, "a"))
        new = lead(store, "b")
        for _ in range(2):  # the second time it is closed already
            store.abandon(left.workflow_run_id, "no longer declared", token=new)
        run = store.workflow_run(left.workflow_run_id)
        assert (run.status, run.error) == (Status.INTERRUPTED, "no longer declared")
        own = store.begin_workflow("nightly", unit=True, token=new)
        with pytest.raises(StoreError, match="goes on"):
            store.abandon(own.workflow_run_id, "gone", token=new)
        assert told(store.events()) == [
            (kind, "nightly") for kind in (EventKind.STARTED, EventKind.FAILED, EventKind.STARTED)
        ]
