"""Carrying out one task: what its run's outcome is told as."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from ematix_core.config.redact import Redactor
from ematix_core.engine.cancel import Cancellation
from ematix_core.scheduler.executors.perform import perform, settings_of
from ematix_core.scheduler.protocols import Ending, Task
from ematix_core.store import Status, open_store

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def task(job: str, **options: object) -> Task:
    """Return a task of the project in the current folder."""
    data = {"job": job, "workflow_run_id": "w", "trigger": "test", "modules": ["pipelines.py"], **options}
    return Task.from_dict(data)


def test_task_and_ending_survive_as_plain_data() -> None:
    given = task("good", parameters={"n": 1}, token=7, timeout=3.5)
    assert Task.from_dict(given.to_dict()) == given
    for ending in (Ending(None, "lost"), Ending(Status.CANCELLED, "stopped"), Ending(Status.SUCCEEDED)):
        assert Ending.from_dict(ending.to_dict()) == ending


def test_store_of_the_task_goes_before_that_of_the_settings(folder: Path, url: str) -> None:
    assert settings_of(task("good", store=url)).store == url
    assert settings_of(task("good")).store == f"sqlite:///{folder}/.ematix/runs.db"


def test_task_is_carried_out_with_nothing_given(url: str) -> None:
    assert perform(task("good", store=url)) == Ending(Status.SUCCEEDED)
    with open_store(url) as store:
        assert [run.workflow_run_id for run in store.runs(job="good")] == ["w"]


def test_task_without_modules_is_told(url: str) -> None:
    ending = perform(task("good", store=url, modules=[]))
    assert ending.status is None
    assert "the task names no modules" in ending.reason


def test_store_that_cannot_be_opened_is_told(folder: Path) -> None:
    (folder / "file").write_text("", encoding="utf-8")
    ending = perform(task("good", store=f"sqlite:///{folder}/file/runs.db"))
    assert ending.status is None
    assert "folder" in ending.reason


def test_run_that_was_cancelled_before_it_began_is_recorded_so(url: str) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    assert perform(task("good", store=url), cancellation=cancellation).status is Status.CANCELLED
    with open_store(url) as store:
        assert store.runs()[0].status is Status.CANCELLED


def test_time_of_a_run_counts_all_its_attempts(url: str, folder: Path) -> None:
    (folder / "retried.py").write_text(
        "import pipelines, ematix_core as ematix\nfrom ematix_core.errors import ConnectError\n"
        "@ematix.job(target='t', target_connection=pipelines.lake, retries=ematix.Retry(99, delay=0.1))\n"
        "def retried():\n    raise ConnectError('nobody there')\n",
        encoding="utf-8",
    )
    began = time.monotonic()
    ending = perform(task("retried", store=url, modules=["retried.py"], timeout=1.0))
    assert time.monotonic() - began < 20
    assert ending.status is Status.FAILED


def test_redactor_learns_the_secrets_of_the_run(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_PASSWORD", "hunter2-hunter2")
    redactor = Redactor()
    perform(task("tells", store=url), redactor=redactor)
    assert redactor.mask("it is hunter2-hunter2") == "it is ***"


def test_signal_that_comes_while_the_engine_works_lets_it_roll_back(url: str, folder: Path) -> None:
    code = (
        "from ematix_core.scheduler.executors.stopping import stoppable\n"
        "from ematix_core.engine.cancel import Cancellation\n"
        "from ematix_core.scheduler.executors.perform import perform\n"
        "from ematix_core.scheduler.protocols import Task\n"
        f"task = Task(job='slow', workflow_run_id='w', trigger='t', modules=('slow.py',), store={url!r})\n"
        "button = Cancellation()\n"
        "with stoppable(button):\n    done = perform(task, cancellation=button)\n"
        "print('cancelled' if done.status == 'cancelled' else done, flush=True)\n"
    )
    (folder / "slow.py").write_text(
        "import pipelines, ematix_core as ematix\nfrom pathlib import Path\n"
        "duck = ematix.DuckDBConnection('duck', path='duck.db')\n"
        "@ematix.job(target='slow', target_connection=duck)\n"
        "def slow():\n    Path('slow.pid').touch()\n"
        "    return 'SELECT sum(a.range * b.range) AS n FROM range(10_000_000) a, range(10_000_000) b'\n",
        encoding="utf-8",
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    while not (folder / "slow.pid").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert said.strip() == "cancelled"
