"""Schedulers, jobs and the database server killed at random moments: every trigger still gives one successful run."""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from tests.crash import tally
from tests.crash.fleet import Fleet
from tests.servers.own import own_server
from tests.servers.reach import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FULL = os.environ.get("EMATIX_CRASH") == "full"
SIZE, KILLS = (200, 50) if FULL else (12, 6)
HANDOVER_SECONDS = 120 if FULL else 12


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Yield a fleet over a database of its own, on the common server."""
    with database("postgres") as url:
        made = Fleet(tmp_path, url, SIZE)
        yield made
        made.stop()


@pytest.mark.timeout(1800)
def test_schedulers_and_jobs_that_are_killed_lose_and_double_nothing(fleet: Fleet) -> None:
    fleet.add_scheduler()
    fleet.add_scheduler()
    fleet.wait_for(lambda store: len(store.events()) >= SIZE, seconds=30, what="the workflows are seen")
    rounds = kills = 0
    recoveries: list[float] = []
    while kills < KILLS:
        rounds += 1
        fleet.set_off()
        while kills < KILLS:
            time.sleep(fleet.chance.uniform(0.2, 1.0))
            with fleet.store() as store:
                before = fleet.total(store)
            if before >= SIZE * rounds:
                break
            scheduler_killed = kills % 2 == 0
            if scheduler_killed:
                fleet.kill_scheduler()
                fleet.add_scheduler()
            elif not fleet.kill_job():
                continue
            kills += 1
            began = time.monotonic()
            fleet.wait_for_successes(before + 1, seconds=60, what="work goes on after a kill")
            if scheduler_killed:
                recoveries.append(time.monotonic() - began)
        fleet.wait_for_successes(SIZE * rounds, seconds=300, what=f"round {rounds} ends")
    time.sleep(1)  # a run too many would begin now
    fleet.judge(rounds)
    tally.note(
        f"schedulers and jobs over {SIZE} workflows, {rounds} rounds; work went on after a scheduler's death within "
        f"{max(recoveries):.1f} s (median {statistics.median(recoveries):.1f} s, lease {fleet.lease_seconds:g} s)",
        kills,
    )
    assert max(recoveries) < 10 + fleet.lease_seconds


@pytest.mark.timeout(1800)
def test_one_scheduler_of_two_killed_again_and_again_runs_nothing_twice(fleet: Fleet) -> None:
    fleet.add_scheduler()
    fleet.add_scheduler()
    fleet.wait_for(lambda store: len(store.events()) >= SIZE, seconds=30, what="the workflows are seen")
    rounds = kills = 0
    ends = time.monotonic() + HANDOVER_SECONDS
    while time.monotonic() < ends:
        rounds += 1
        fleet.set_off()
        next_kill = time.monotonic() + fleet.chance.uniform(1, 4)
        done = False
        while not done:
            if time.monotonic() >= next_kill and time.monotonic() < ends:
                fleet.kill_scheduler()
                fleet.add_scheduler()
                kills += 1
                next_kill = time.monotonic() + fleet.chance.uniform(2, 5)
            with fleet.store() as store:
                done = fleet.total(store) >= SIZE * rounds
            time.sleep(0.2)
    time.sleep(1)
    fleet.judge(rounds)
    assert kills > 0
    tally.note(f"one of two schedulers, for {HANDOVER_SECONDS} s, {rounds} rounds of {SIZE} workflows", kills)


@pytest.mark.timeout(1800)
def test_a_database_server_that_is_killed_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    times = 5 if FULL else 1
    with own_server("postgres") as server:
        fleet = Fleet(tmp_path, server.url, SIZE, lease_seconds=4.0)
        try:
            fleet.add_scheduler()
            fleet.wait_for(lambda store: len(store.events()) >= SIZE, seconds=30, what="the workflows are seen")
            for number in range(1, times + 1):
                fleet.set_off()
                time.sleep(fleet.chance.uniform(0.3, 1.5))
                server.kill()
                time.sleep(1)
                server.start()
                fleet.wait_for_successes(SIZE * number, seconds=300, what=f"round {number} ends")
            time.sleep(1)
            fleet.judge(times)
        finally:
            fleet.stop()
    tally.note(f"the database server under {SIZE} workflows", times)
