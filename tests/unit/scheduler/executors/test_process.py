"""Each task in a process of its own: how it ends, and that nothing else does."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from ematix_core.errors import ConfigError
from ematix_core.scheduler.protocols import Ending
from ematix_core.store import Status
from tests.unit.scheduler.executors.harness import is_gone, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.unit.scheduler.executors.harness import Place

    Processes = Callable[..., AbstractContextManager[Place]]


def test_job_that_succeeds_leaves_its_record_and_ends_so(place: Place) -> None:
    started = place.start("good")
    assert started.ending() == Ending(Status.SUCCEEDED)
    run = place.record(started)
    assert (run.status, run.rows_read, run.trigger) == (Status.SUCCEEDED, 3, "test")
    assert run.pid != os.getpid()


def test_slice_and_parameters_reach_the_job(place: Place) -> None:
    assert place.run("parameters", slice="2026-01-01", parameters={"slice_start": "2026-01-01", "n": 1}).status
    written = (place.folder / "parameters.txt").read_text(encoding="utf-8")
    assert written == "2026-01-01 {'slice_start': '2026-01-01', 'n': 1}"


def test_failure_is_told_as_it_is_recorded(place: Place) -> None:
    started = place.start("broken")
    ending = started.ending()
    assert ending.status is Status.FAILED
    assert "no such luck" in ending.reason
    assert place.record(started).status is Status.FAILED


def test_sys_exit_in_a_job_is_a_failure_of_the_job(place: Place) -> None:
    ending = place.run("leaves")
    assert ending.status is Status.FAILED
    assert "SystemExit: 3" in ending.reason


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ("exits", "ended with exit code 3 without a result"),
        ("killed", "killed by signal 9 (SIGKILL)"),
        ("crashes", "segmentation fault (signal 11)"),
    ],
)
def test_lost_process_is_named_and_hurts_no_other(place: Place, job: str, reason: str) -> None:
    other, lost = place.start("good"), place.start(job)
    assert lost.ending() == Ending(None, reason)
    assert other.ending().status is Status.SUCCEEDED
    assert place.record(lost).status is Status.INTERRUPTED
    assert place.run("good").status is Status.SUCCEEDED


def test_unknown_job_and_broken_project_are_told(place: Place) -> None:
    ending = place.run("goood")
    assert ending.status is None
    assert "Did you mean 'good'?" in ending.reason
    (place.folder / "other.py").write_text("import nothing_such\n", encoding="utf-8")
    ending = place.run("good", modules=("other.py",))
    assert ending.status is None
    assert "nothing_such" in ending.reason


def test_run_that_is_at_work_already_is_not_begun_twice(place: Place) -> None:
    first = place.start("asleep")
    place.pids("asleep.pid")
    ending = place.run("asleep")
    assert ending.status is None
    assert "already running" in ending.reason
    first.running.kill()
    assert first.ending() == Ending(None, "killed by signal 9 (SIGKILL)")


@pytest.mark.parametrize("job", ["asleep", "rolls_back"])
def test_cancelled_job_rolls_back_and_is_recorded_as_cancelled(place: Place, job: str) -> None:
    started = place.start(job)
    place.pids(f"{job}.pid")
    started.running.cancel()
    assert started.ending(20).status is Status.CANCELLED
    assert place.record(started).status is Status.CANCELLED


def test_task_that_is_cancelled_before_its_process_is_there_does_not_run(place: Place) -> None:
    started = place.start("asleep")
    started.running.cancel()
    assert started.ending(30).status is Status.CANCELLED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_the_process_cancels_too(place: Place, number: signal.Signals) -> None:
    started = place.start("asleep")
    os.kill(place.pids("asleep.pid")[0], number)
    assert started.ending(20).status is Status.CANCELLED


def test_job_past_its_time_rolls_back_and_has_failed(place: Place) -> None:
    started = place.start("asleep", timeout=1.0)
    ending = started.ending(20)
    assert ending.status is Status.FAILED
    assert "stopped after its limit of 1 s" in ending.reason
    assert place.record(started).status is Status.FAILED


@pytest.mark.parametrize("job", ["stubborn", "stuck"])
def test_job_that_does_not_stop_is_killed_after_the_grace(processes: Processes, job: str) -> None:
    with processes(grace=1.0) as place:
        place.run("good")
        began = time.monotonic()
        assert place.run(job, timeout=1.0) == Ending(None, "timeout of 1 s")
        assert 2.0 <= time.monotonic() - began < 10.0


def test_cancelled_job_that_does_not_stop_is_killed_after_the_grace(processes: Processes) -> None:
    with processes(grace=1.0) as place:
        started = place.start("stubborn")
        place.pids("stubborn.pid")
        started.running.cancel()
        assert started.ending(20) == Ending(None, "cancelled, and killed as it did not stop within 1 s")


@pytest.mark.parametrize("job", ["hungry", "feeds"])
def test_job_above_the_memory_limit_is_killed_and_the_amounts_are_told(processes: Processes, job: str) -> None:
    with processes(memory=200 << 20) as place:
        other, hungry = place.start("good"), place.start(job)
        ending = hungry.ending()
        assert ending.status is None
        assert re.fullmatch(r"out of memory: [2-9]\d\d MiB of 200 MiB allowed", ending.reason)
        assert other.ending().status is Status.SUCCEEDED


def test_processes_that_a_job_leaves_behind_are_ended(place: Place) -> None:
    assert place.run("leaves_a_child").status is Status.SUCCEEDED
    (child,) = place.pids("child.pid")
    until(lambda: is_gone(child))


def test_jobs_draw_different_random_numbers(place: Place) -> None:
    for _ in range(3):
        place.run("draws")
    lines = (place.folder / "draws.txt").read_text(encoding="utf-8").splitlines()
    assert len({number for line in lines for number in line.split()}) == 6


def test_many_jobs_at_once_end_once_each(place: Place) -> None:
    started = [place.start("good", slice=str(number)) for number in range(12)]
    statuses = [one.ending().status for one in started]
    assert statuses == [Status.SUCCEEDED] * 12
    assert [len(one.ends) for one in started] == [1] * 12


def test_closing_kills_what_runs_and_tells_so(processes: Processes) -> None:
    with processes() as place:
        started = place.start("family")
        pids = place.pids("family.pid")
    assert started.ends == [Ending(None, "killed by signal 9 (SIGKILL)")]
    until(lambda: all(is_gone(pid) for pid in pids))


def test_store_in_memory_is_refused(place: Place) -> None:
    with pytest.raises(ConfigError, match="a store in memory cannot be shared by processes"):
        place.start("good", store="memory:")


def test_fresh_interpreters_do_the_same_where_nothing_can_be_forked(processes: Processes) -> None:
    with processes(fork=False) as place:
        good, crash = place.start("good"), place.start("crashes")
        assert good.ending().status is Status.SUCCEEDED
        assert crash.ending() == Ending(None, "segmentation fault (signal 11)")
        sleeper = place.start("asleep")
        place.pids("asleep.pid")
        sleeper.running.cancel()
        assert sleeper.ending(20).status is Status.CANCELLED
        assert "about to crash" in [line.message for line in place.log(crash)]
