"""What a process prints is in the log of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ematix_core.scheduler.protocols import Ending
from ematix_core.store import Status
from tests.unit.scheduler.executors.harness import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.unit.scheduler.executors.harness import Place, Started

    Processes = Callable[..., AbstractContextManager[Place]]


def printed(place: Place, started: Started, level: str) -> list[str]:
    """Return the log's lines of a level that came from the process's output."""
    return [line.message for line in place.log(started) if line.level == level]


def test_lines_of_python_libraries_and_descendants_are_in_the_log(place: Place) -> None:
    started = place.start("prints")
    assert started.ending().status is Status.SUCCEEDED
    info = printed(place, started, "INFO")
    assert {"to stdout", "past Python \ufffd", "from a process of its own"} <= set(info)
    assert [len(line) for line in info if line.startswith("x")] == [16_384, 16_384, 7_232]
    assert printed(place, started, "WARNING") == ["to stderr"]


@pytest.mark.parametrize(
    ("job", "level", "last"),
    [
        ("exits", "INFO", "the last words, without a line's end"),
        ("crashes", "INFO", "about to crash"),
        ("crashes", "WARNING", "Fatal Python error: Segmentation fault"),
    ],
)
def test_last_words_of_a_dying_process_are_there(place: Place, job: str, level: str, last: str) -> None:
    started = place.start(job)
    started.ending()
    assert last in printed(place, started, level)


def test_place_of_a_crash_in_the_users_code_is_there(place: Place) -> None:
    started = place.start("crashes")
    started.ending()
    assert any("pipelines.py" in line and "in crashes" in line for line in printed(place, started, "WARNING"))


def test_record_that_a_handler_of_the_project_prints_is_in_the_log_once(place: Place) -> None:
    (place.folder / "logs.py").write_text(
        "import logging, pipelines, ematix_core as ematix\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "@ematix.job(target='logs', target_connection=pipelines.lake)\n"
        "def logs():\n    logging.getLogger('mine').warning('once and for all')\n    return pipelines.ROWS\n",
        encoding="utf-8",
    )
    started = place.start("logs", modules=("logs.py",))
    assert started.ending().status is Status.SUCCEEDED
    assert [line.message for line in place.log(started) if "once and for all" in line.message] == ["once and for all"]


def test_all_lines_of_a_job_that_prints_much_are_there_in_order(place: Place) -> None:
    started = place.start("talks")
    assert started.ending().status is Status.SUCCEEDED
    lines = [line for line in printed(place, started, "INFO") if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(20_000)]


def test_lines_are_there_while_the_job_still_runs(place: Place) -> None:
    (place.folder / "slow.py").write_text(
        "import time, pipelines, ematix_core as ematix\n"
        "@ematix.job(target='slow', target_connection=pipelines.lake)\n"
        "def slow():\n    print('at work')\n    time.sleep(60)\n",
        encoding="utf-8",
    )
    started = place.start("slow", modules=("slow.py",))
    until(lambda: bool(place.store.runs(workflow_run_id=started.task.workflow_run_id)))
    until(lambda: "at work" in printed(place, started, "INFO"))
    assert not started.over.is_set()


def test_secrets_that_the_run_resolved_are_masked(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_PASSWORD", "hunter2-hunter2")
    with processes() as place:
        started = place.start("tells")
        assert started.ending().status is Status.SUCCEEDED
        assert "the password is ***" in printed(place, started, "INFO")


def test_output_that_belongs_to_no_run_is_in_the_schedulers_own_log(
    processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    with processes(fork=False) as place:  # the module is imported by the task's process itself
        (place.folder / "loud.py").write_text("import os\nprint('a loud word')\nos._exit(5)\n", encoding="utf-8")
        ending = place.run("loud", modules=("loud.py",))
    assert ending == Ending(None, "ended with exit code 5 without a result")
    assert "job loud printed this, which no run's log could take:\na loud word" in caplog.text
