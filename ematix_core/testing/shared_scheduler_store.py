"""SharedSchedulerConformance: several processes and threads that write events, want a lease, die, and take over."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import AlreadyRunningError
from ematix_core.store import SCHEDULER_LEASE, EventKind, Status
from ematix_core.testing.scheduler_store import lead, told
from ematix_core.testing.store import SharedFixtures, line

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable

    from ematix_core.store import Event, Lease, SchedulerStore
    from ematix_core.testing.store import Start

_PROCESSES = 3
_SECONDS = 120
"""So long another process may take on a busy machine before a test fails."""

_THREADS = """
import os, random
from concurrent.futures import ThreadPoolExecutor
from ematix_core.errors import AlreadyRunningError

def everywhere(work):
    with ThreadPoolExecutor(2) as pool:
        print(sum(pool.map(work, range(2))), flush=True)
"""
# Each cause sets off one run, whoever of six comes first; who has the unit makes a file that only one can make.
_SAME_CAUSES = """
def work(thread):
    begun = 0
    for number in range(8):
        while True:
            try:
                run = store.begin_workflow('nightly', unit=True, key=f'cause {number}')
            except AlreadyRunningError as error:
                if 'has had its run' in str(error):
                    break
                continue
            os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
            os.remove(sys.argv[2])
            store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
            begun += 1
            break
    return begun

everywhere(work)
"""
_RANDOM_WRITES = """
def work(thread):
    chance = random.Random(f'{sys.argv[3]} {thread}')
    for number in range(25):
        unit = chance.choice('abcd')
        try:
            match chance.randrange(5):
                case 0:
                    run = store.begin_workflow(unit, unit=True)
                    if chance.random() < 0.3:
                        store.cancel(run.workflow_run_id)
                    status = chance.choice([Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
                    store.finish_workflow(run.workflow_run_id, status)
                case 1:
                    run = store.begin(unit)
                    store.finish(run.run_id, chance.choice([Status.SUCCEEDED, Status.FAILED]), seconds=0)
                case 2:
                    store.pause(unit)
                case 3:
                    store.resume(unit)
                case 4:
                    run = store.begin_workflow(unit, unit=True, slice=str(chance.randrange(3)))
                    store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED)
        except AlreadyRunningError:
            pass
    return 1

everywhere(work)
"""
_TAKE_TURNS = """
import os, time
taken = []
while len(taken) < 8:
    if (lease := store.acquire_lease('x', str(os.getpid()), 60)) is not None:
        os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
        os.remove(sys.argv[2])
        taken.append(lease.token)
        store.release_lease(lease)
print(*taken, flush=True)
"""
_LEAD = """
import threading, time
lease = store.acquire_lease(SCHEDULER_LEASE, 'first', float(sys.argv[3]))
run = store.begin_workflow('nightly', unit=True, token=lease.token)
job = store.begin('orders', workflow_run_id=run.workflow_run_id, token=lease.token)

def renew():
    while store.renew_lease(lease, float(sys.argv[3])):
        time.sleep(float(sys.argv[3]) / 4)

if sys.argv[4] == 'renew':
    threading.Thread(target=renew, daemon=True).start()
print(run.workflow_run_id, job.run_id, flush=True)
sys.stdin.readline()
for write in (
    lambda: store.begin_workflow('hourly', unit=True, token=lease.token),
    lambda: store.finish(job.run_id, Status.SUCCEEDED, seconds=0),
    lambda: store.finish_workflow(run.workflow_run_id, Status.SUCCEEDED),
):
    try:
        write()
    except Exception as error:
        print(type(error).__name__, flush=True)
"""
_BEGIN_UNIT = "print(store.begin_workflow('nightly', unit=True).workflow_run_id, flush=True)\nsys.stdin.read()\n"


class SharedSchedulerConformance(SharedFixtures):
    """A store that several schedulers and commands share."""

    def test_of_all_who_see_a_cause_one_begins_the_run(self, store: SchedulerStore, start: Start) -> None:
        processes = [start(_THREADS + _SAME_CAUSES) for _ in range(_PROCESSES)]
        seen = _watch(store, processes)
        assert sum(int(line(process)) for process in processes) == 8
        assert {run.key for run in store.workflow_runs()} == {f"cause {number}" for number in range(8)}
        assert told(seen) == [(EventKind.STARTED, "nightly"), (EventKind.SUCCEEDED, "nightly")] * 8

    def test_events_of_all_writers_count_up_as_they_become_visible(self, store: SchedulerStore, start: Start) -> None:
        processes = [start(_THREADS + _RANDOM_WRITES, number) for number in range(_PROCESSES)]
        seen = _watch(store, processes)
        assert [line(process) for process in processes] == ["2"] * _PROCESSES
        _assert_consistent(seen)

    def test_lease_passes_from_hand_to_hand(self, store: SchedulerStore, start: Start) -> None:
        processes = [start(_TAKE_TURNS) for _ in range(_PROCESSES)]
        tokens = [int(token) for process in processes for token in line(process).split()]
        assert sorted(tokens) == list(range(1, 8 * _PROCESSES + 1))
        assert store.lease("x") is None

    def test_a_killed_scheduler_is_followed_by_the_next(self, store: SchedulerStore, start: Start) -> None:
        process = start(_LEAD, 2.0, "renew")
        run_id, job_id = line(process).split()
        assert store.acquire_lease(SCHEDULER_LEASE, "second", 60) is None
        killed = time.monotonic()
        process.kill()
        process.wait()
        held = store.lease(SCHEDULER_LEASE)
        lease = _acquired(store)
        assert time.monotonic() - killed < 10
        assert held is not None
        assert lease.previous is not None
        assert (lease.token, lease.previous < held.expires_at) == (2, True)
        assert [run.workflow_run_id for run in store.orphans(token=2)] == [run_id]
        assert store.adopt(run_id, token=2).token == 2
        job = store.begin("orders", workflow_run_id=run_id, token=2)
        assert (job.run_id, job.attempts) == (job_id, 2)
        store.finish(job_id, Status.SUCCEEDED, seconds=0)
        assert store.finish_workflow(run_id, Status.SUCCEEDED).status is Status.SUCCEEDED
        kinds = [event.kind for event in store.events()]
        assert kinds == [EventKind.STARTED, EventKind.JOB_SUCCEEDED, EventKind.SUCCEEDED]

    def test_a_scheduler_that_slept_while_another_took_over_writes_nothing(
        self, store: SchedulerStore, start: Start
    ) -> None:
        process = start(_LEAD, 2.0, "sleep")
        run_id, job_id = line(process).split()
        process.send_signal(signal.SIGSTOP)
        token = _acquired(store).token
        process.send_signal(signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert [line(process) for _ in range(3)] == ["LeaseLostError"] * 3
        assert told(store.events()) == [(EventKind.STARTED, "nightly")]
        assert store.adopt(run_id, token=token).token == token
        # The process lives; it belongs to a scheduler that is not at work any more.
        assert store.begin("orders", workflow_run_id=run_id, token=token).run_id == job_id

    def test_the_unit_of_a_killed_command_makes_way(self, store: SchedulerStore, start: Start) -> None:
        run_id = _killed(start(_BEGIN_UNIT))
        assert store.workflow_run(run_id).status is Status.INTERRUPTED
        assert [run.workflow_run_id for run in store.workflow_runs(status=Status.INTERRUPTED)] == [run_id]
        run = store.begin_workflow("nightly", unit=True)
        old = store.workflow_run(run_id)
        assert (old.status, old.finished_at is None) == (Status.INTERRUPTED, False)
        assert "ended without a result" in old.error
        started, failed, again = store.events()
        assert (started.kind, failed.kind, again.kind) == (EventKind.STARTED, EventKind.FAILED, EventKind.STARTED)
        assert (failed.run_id, failed.since, again.run_id) == (run_id, started.id, run.workflow_run_id)

    def test_the_unit_of_a_killed_command_is_closed_by_the_scheduler(self, store: SchedulerStore, start: Start) -> None:
        token = lead(store)
        run_id = _killed(start(_BEGIN_UNIT))
        assert not store.cancel(run_id)
        assert [run.workflow_run_id for run in store.orphans(token=token)] == [run_id]
        store.abandon(run_id, "its process is gone", token=token)
        assert told(store.events()) == [(EventKind.STARTED, "nightly"), (EventKind.FAILED, "nightly")]
        assert store.orphans(token=token) == []

    def test_the_unit_of_a_killed_scheduler_waits_for_the_next_one(self, store: SchedulerStore, start: Start) -> None:
        run_id = _killed(start(_LEAD, 60, "sleep")).split()[0]
        with pytest.raises(AlreadyRunningError, match=run_id):
            store.begin_workflow("nightly", unit=True)
        assert store.cancel(run_id)  # the next scheduler will hear of it
        lease = store.lease(SCHEDULER_LEASE)
        assert lease is not None
        store.release_lease(lease)
        # Without a scheduler nobody would carry it on.
        assert store.begin_workflow("nightly", unit=True).workflow_run_id != run_id
        assert store.workflow_run(run_id).status is Status.INTERRUPTED


def _watch(store: SchedulerStore, processes: Iterable[subprocess.Popen[str]]) -> list[Event]:
    """Read events while the processes write them; return all, in the order in which they became visible."""
    seen: list[Event] = []
    end = time.monotonic() + _SECONDS
    running = list(processes)
    while running:
        assert time.monotonic() < end
        running = [process for process in running if process.poll() is None]
        last = store.last_event()
        seen += store.events(after=len(seen))
        assert [event.id for event in seen] == list(range(1, len(seen) + 1))
        assert len(seen) >= last
    assert store.events() == seen
    return seen


def _assert_consistent(seen: Iterable[Event]) -> None:
    """Assert of each name that starts and ends alternate, as do pauses, and that ends refer to their starts."""
    histories = defaultdict(list)
    for event in seen:
        histories[event.name].append(event)
    histories.pop("", None)
    for history in histories.values():
        last_start, last_pause = None, EventKind.RESUMED
        for event in history:
            match event.kind:
                case EventKind.STARTED:
                    assert last_start is None
                    last_start = event
                case EventKind.SUCCEEDED | EventKind.FAILED | EventKind.CANCELLED:
                    assert last_start is not None
                    assert (event.since, event.run_id) == (last_start.id, last_start.run_id)
                    last_start = None
                case EventKind.PAUSED | EventKind.RESUMED:
                    assert event.kind is not last_pause
                    last_pause = event.kind
                case EventKind.JOB_SUCCEEDED:
                    assert event.since is not None
                    assert event.since < event.id
        assert last_start is None


def _acquired(store: SchedulerStore) -> Lease:
    end = time.monotonic() + _SECONDS
    while (lease := store.acquire_lease(SCHEDULER_LEASE, "second", 60)) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return lease


def _killed(process: subprocess.Popen[str]) -> str:
    """Return what the process printed, after killing it."""
    printed = line(process)
    process.kill()
    process.wait()
    return printed
