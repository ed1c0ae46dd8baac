"""The process that others are forked from: dies, is replaced, cannot be forked."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from ematix_core.scheduler.protocols import Ending
from ematix_core.store import Status
from tests.unit.scheduler.executors.harness import is_gone, until
from tests.unit.scheduler.executors.jobs import PIPELINES, write_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.unit.scheduler.executors.harness import Place


@pytest.fixture
def place(processes: Callable[..., AbstractContextManager[Place]]) -> Iterator[Place]:
    with processes() as made:
        yield made


def test_jobs_are_forked_from_one_template(place: Place) -> None:
    templates = set()
    for _ in range(2):
        started = place.start("family")
        job, template, _ = place.pids("family.pid")
        assert "ematix_core.scheduler.executors.template" in psutil.Process(job).cmdline()
        templates.add(template)
        started.running.kill()
        started.ending()
        (place.folder / "family.pid").unlink()
    assert len(templates) == 1


def test_dead_template_loses_its_jobs_and_is_replaced(place: Place) -> None:
    started = place.start("family")
    job, template, child = place.pids("family.pid")
    os.kill(template, signal.SIGKILL)
    ending = started.ending(10)
    assert ending == Ending(None, "the process that starts jobs was lost: killed by signal 9 (SIGKILL)")
    until(lambda: is_gone(job) and is_gone(child), 5)
    assert place.run("good").status is Status.SUCCEEDED


def test_template_heeds_no_signal_that_is_meant_for_the_scheduler(place: Place) -> None:
    started = place.start("family")
    _, template, _ = place.pids("family.pid")
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(template, number)
    started.running.kill()
    assert started.ending() == Ending(None, "killed by signal 9 (SIGKILL)")
    assert place.run("good").status is Status.SUCCEEDED
    assert not is_gone(template)


def test_reload_shows_the_changed_module_to_later_tasks_only(place: Place) -> None:
    at_work = place.start("asleep")
    place.pids("asleep.pid")
    write_project(place.folder, PIPELINES.replace("no such luck", "luck has changed"))
    assert "no such luck" in place.run("broken").reason
    place.executor.reload()
    assert "luck has changed" in place.run("broken").reason
    at_work.running.cancel()
    assert at_work.ending().status is Status.CANCELLED


def test_template_that_is_not_needed_any_more_ends(place: Place) -> None:
    started = place.start("family")
    _, template, _ = place.pids("family.pid")
    place.executor.reload()
    assert place.run("good").status is Status.SUCCEEDED
    assert not is_gone(template)
    started.running.kill()
    started.ending()
    until(lambda: is_gone(template), 10)


def test_module_that_ends_the_process_when_it_is_imported_is_told(place: Place) -> None:
    (place.folder / "fatal.py").write_text("import os\nos._exit(5)\n", encoding="utf-8")
    ending = place.run("good", modules=("fatal.py",))
    assert ending == Ending(None, "the process that starts jobs was lost: ended with exit code 5 without a result")
    assert place.run("good").status is Status.SUCCEEDED


def test_module_whose_import_comes_to_no_end_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ematix_core.scheduler.executors.templates.LOADING", 3.0)
    (place.folder / "endless.py").write_text("import time\ntime.sleep(600)\n", encoding="utf-8")
    ending = place.run("good", modules=("endless.py",))
    assert ending == Ending(None, "the project's modules were not imported within 3 s")


def test_task_that_is_killed_before_the_template_is_ready_ends_at_once(place: Place) -> None:
    (place.folder / "slow.py").write_text("import time\ntime.sleep(12)\nfrom pipelines import *\n", encoding="utf-8")
    started = place.start("family", modules=("slow.py",))
    started.running.kill()
    assert started.ending(9) == Ending(None, "ended before its process was there")
    assert place.run("good", modules=("slow.py",)).status is Status.SUCCEEDED
    assert not (place.folder / "family.pid").exists()


def test_one_broken_module_stops_no_job_of_the_others(place: Place) -> None:
    (place.folder / "bad.py").write_text("raise OSError('not today')\n", encoding="utf-8")
    modules = ("pipelines.py", "bad.py")
    assert place.run("good", modules=modules).status is Status.SUCCEEDED
    ending = place.run("missing", modules=modules)
    assert ending.status is None
    assert "not today" in ending.reason


def test_project_that_starts_threads_gets_fresh_interpreters(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    (place.folder / "threads.py").write_text(
        "import threading, time\nfrom pipelines import *\n"
        "threading.Thread(target=time.sleep, args=[600], daemon=True).start()\n",
        encoding="utf-8",
    )
    started = place.start("family", modules=("threads.py",))
    job, _, _ = place.pids("family.pid")
    assert "ematix_core.scheduler.executors.child" in psutil.Process(job).cmdline()
    assert "each job gets a fresh interpreter" in caplog.text
    started.running.kill()
    assert started.ending() == Ending(None, "killed by signal 9 (SIGKILL)")
