"""Runs and real processes: one wins, a dead one's run is continued, a live one's is not touched."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import StoreError
from ematix_core.store import Status, open_store
from ematix_core.store.database import Database
from ematix_core.store.process import ProcessIdentity, is_alive
from ematix_core.store.sql_store import SqlStore
from ematix_core.store.tables import runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.store import RunStore

    Start = Callable[..., subprocess.Popen[str]]

BEGIN = "print(store.begin('orders').run_id, flush=True)\n"
STAY = "sys.stdin.read()\n"


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_killed_run_is_continued_by_the_next_start(store: RunStore, start: Start) -> None:
    process = start("w = store.begin_workflow('nightly')\n" + BEGIN + STAY)
    run_id = line(process)
    assert store.run(run_id).status is Status.RUNNING
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert store.workflow_runs()[0].status is Status.INTERRUPTED
    assert store.run(run_id).status is Status.INTERRUPTED
    assert [run.run_id for run in store.runs(status=Status.INTERRUPTED)] == [run_id]

    again = store.begin("orders", workflow_run_id="w2")
    assert (again.run_id, again.load_id, again.attempts) == (run_id, run_id, 2)
    assert (again.status, again.pid, again.workflow_run_id) == (Status.RUNNING, os.getpid(), "w2")
    store.finish(run_id, Status.SUCCEEDED, seconds=0)
    first, second = store.attempts(run_id)
    assert (first.status, second.status) == (Status.INTERRUPTED, Status.SUCCEEDED)
    assert f"process {process.pid}" in first.error
    assert store.begin("orders").run_id != run_id


@pytest.mark.parametrize(
    ("point", "begun", "finished"),
    [
        ("store.begin.before", False, False),
        ("store.begin.after", True, False),
        ("store.finish.before", True, False),
        ("store.finish.after", True, True),
    ],
)
def test_a_kill_at_each_effect_leaves_a_known_state(
    store: RunStore, start: Start, point: str, *, begun: bool, finished: bool
) -> None:
    code = "run = store.begin('orders')\nstore.finish(run.run_id, Status.SUCCEEDED, seconds=0)"
    assert start(code, EMATIX_FAILPOINT=point).wait() == -signal.SIGKILL
    before = store.latest("orders")
    assert (before is not None) == begun
    after = store.begin("orders")
    assert after.attempts == (2 if begun and not finished else 1)
    if before:
        assert (after.load_id == before.load_id) == (not finished)


def test_a_live_run_of_another_process_is_not_touched(store: RunStore, start: Start) -> None:
    process = start(BEGIN + STAY + "store.finish(store.runs()[0].run_id, Status.SUCCEEDED, seconds=0)")
    run_id = line(process)
    with pytest.raises(StoreError, match=f"already running: run {run_id}, process {process.pid}"):
        store.begin("orders")
    with pytest.raises(StoreError, match="not open in this process"):
        store.finish(run_id, Status.FAILED, seconds=0)
    process.communicate()
    assert store.run(run_id).status is Status.SUCCEEDED


@pytest.mark.parametrize("after_crash", [False, True])
def test_of_many_processes_at_one_instant_one_wins(store: RunStore, start: Start, *, after_crash: bool) -> None:
    if after_crash:
        start("store.begin('orders')").wait()
    race = (
        "print('ready', flush=True)\nsys.stdin.readline()\n"
        "try:\n    print(store.begin('orders').attempts, flush=True)\n"
        "except Exception as error:\n    print(error, flush=True)\n" + STAY
    )
    processes = [start(race) for _ in range(6)]
    for process in processes:
        assert line(process) == "ready"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = sorted(line(process) for process in processes)
    assert answers[0] == ("2" if after_crash else "1")
    assert all(answer.startswith("job orders is already running") for answer in answers[1:]), answers
    assert len(store.runs()) == 1


def test_many_processes_open_a_new_store_together(start: Start, url: str) -> None:
    processes = [start(f"store.begin('job{i}')") for i in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    with open_store(url) as store:
        assert len(store.runs()) == 6


def test_a_silent_run_of_another_host_is_taken_over_and_a_beating_one_is_not(url: str, store: RunStore) -> None:
    run = store.begin("orders")
    now = datetime.now(UTC)
    with closing(Database(url)) as database:
        with database.engine.begin() as connection:
            connection.execute(runs.update().values(machine="elsewhere", host="worker-7"))
        later = SqlStore(database, str, now=lambda: now + timedelta(seconds=59))
        with pytest.raises(StoreError, match="on worker-7"):
            later.begin("orders")
        silent = SqlStore(database, str, now=lambda: now + timedelta(seconds=62))
        assert silent.run(run.run_id).status is Status.INTERRUPTED
        assert silent.begin("orders").attempts == 2


def test_a_process_that_lost_its_run_cannot_finish_it(url: str, store: RunStore) -> None:
    run = store.begin("orders")
    with closing(Database(url)) as database, database.engine.begin() as connection:
        connection.execute(runs.update().values(machine="elsewhere"))
    with pytest.raises(StoreError, match="another process has taken it over"):
        store.finish(run.run_id, Status.SUCCEEDED, seconds=0)
    assert store.run(run.run_id).status is Status.RUNNING


def test_a_process_number_that_came_round_again_is_another_process() -> None:
    me, now = ProcessIdentity.current(), datetime.now(UTC)
    assert is_alive(me, now - timedelta(days=1), now)
    assert not is_alive(ProcessIdentity(me.host, me.machine, me.pid, me.process_started - 60), now, now)


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen(["sleep", "60"])
    me, now = ProcessIdentity.current(), datetime.now(UTC)
    identity = ProcessIdentity(me.host, me.machine, process.pid, me.process_started)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(identity, now, now)
    process.wait()
