"""Each task in a thread of this process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ematix_core.model.project import Project
from ematix_core.scheduler.executors.thread import ThreadExecutor
from ematix_core.scheduler.protocols import Ending
from ematix_core.store import Status
from tests.unit.scheduler.executors.harness import Place
from tests.unit.scheduler.executors.jobs import PIPELINES, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.store import RunStore


@pytest.fixture
def place(folder: Path, store: RunStore, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    sys.modules.pop("pipelines", None)
    executor = ThreadExecutor(store=store, grace=1.0)
    yield Place(folder, store, url, executor)
    executor.close()
    sys.modules.pop("pipelines", None)


def test_job_that_succeeds_is_recorded_in_the_store_that_was_given(place: Place) -> None:
    started = place.start("good", store="sqlite:////nowhere/at/all.db")
    assert started.ending() == Ending(Status.SUCCEEDED)
    assert place.record(started).rows_read == 3


@pytest.mark.parametrize(("job", "reason"), [("broken", "no such luck"), ("leaves", "SystemExit: 3")])
def test_failure_is_told_as_it_is_recorded(place: Place, job: str, reason: str) -> None:
    started = place.start(job)
    assert started.ending().status is Status.FAILED
    assert reason in started.ends[0].reason
    assert place.record(started).status is Status.FAILED


def test_run_that_is_at_work_already_is_not_begun_twice(place: Place) -> None:
    place.store.begin("good")
    ending = place.run("good")
    assert ending.status is None
    assert "already running" in ending.reason


def test_project_that_was_given_is_the_one_that_runs(place: Place, store: RunStore) -> None:
    project = Project.load(place.folder / "pipelines.py")
    write_project(place.folder, "")
    place.executor = ThreadExecutor(store=store, project=project)
    assert place.run("good", modules=()).status is Status.SUCCEEDED
    place.executor.reload()
    assert place.run("good", modules=()).status is Status.SUCCEEDED


def test_reload_shows_the_changed_module_to_later_tasks(place: Place) -> None:
    assert "no such luck" in place.run("broken").reason
    write_project(place.folder, PIPELINES.replace("no such luck", "luck has changed"))
    assert "no such luck" in place.run("broken").reason
    place.executor.reload()
    assert "luck has changed" in place.run("broken").reason


def test_broken_project_is_told_and_loaded_again_for_the_next_task(place: Place) -> None:
    write_project(place.folder, "raise OSError('not today')")
    ending = place.run("good")
    assert ending.status is None
    assert "not today" in ending.reason
    write_project(place.folder)
    assert place.run("good").status is Status.SUCCEEDED


def test_cancelled_job_stops_at_its_next_rows_and_rolls_back(place: Place) -> None:
    write_project(
        place.folder,
        PIPELINES
        + "\n@ematix.job(target='drips', **sleeps)\ndef drips():\n"
        + "    for _ in range(1_000):\n        yield ROWS\n        Path('drips.pid').write_text('1')\n"
        + "        time.sleep(0.05)\n",
    )
    started = place.start("drips")
    place.pids("drips.pid")
    started.running.cancel()
    assert started.ending(10).status is Status.CANCELLED
    assert place.record(started).status is Status.CANCELLED


def test_thread_that_does_not_stop_is_given_up_when_it_is_killed(place: Place) -> None:
    write_project(place.folder, PIPELINES.replace("time.sleep(60)", "time.sleep(3)"))
    started = place.start("asleep")
    place.pids("asleep.pid")
    started.running.kill()
    started.running.kill()
    assert started.ends == [Ending(None, "given up; its thread may still be at work")]


def test_thread_past_its_time_and_the_grace_is_given_up(place: Place) -> None:
    write_project(place.folder, PIPELINES.replace("time.sleep(60)", "time.sleep(4)"))
    ending = place.run("asleep", timeout=0.5)
    assert ending == Ending(None, "timeout of 0.5 s; its thread may still be at work")
