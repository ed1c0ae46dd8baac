"""`flow perform-task`, which images and functions run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from ematix_core.cli.root import flow
from ematix_core.store import Status, open_store

if TYPE_CHECKING:
    from click.testing import Result

FLOW = str(Path(sys.executable).with_name("flow"))
PIPELINES = """
import time
from pathlib import Path
import ematix_core as ematix
import pyarrow as pa

lake = ematix.SQLiteConnection("lake", path="lake.db")

@ematix.job(target="good", target_connection=lake)
def good():
    print("at work")
    return pa.table({"id": [1]})

@ematix.job(target="asleep", target_connection=lake)
def asleep():
    Path("asleep").touch()
    time.sleep(60)
"""


@pytest.fixture
def here(folder: Path) -> Path:
    (folder / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    return folder


def task(job: str, **options: Any) -> str:  # noqa: ANN401 - fields of Task
    """Return a task as JSON."""
    return json.dumps({"job": job, "workflow_run_id": "w", "trigger": "test", "modules": ["pipelines.py"], **options})


def perform(*arguments: str, **options: Any) -> Result:  # noqa: ANN401 - of CliRunner.invoke
    """Run the command without a process of its own."""
    return CliRunner().invoke(flow, ["perform-task", *arguments], **options)


@pytest.mark.usefixtures("here")
def test_ending_is_the_last_line_and_the_exit_code() -> None:
    done = perform(task("good"))
    assert (done.exit_code, done.stdout) == (0, 'at work\n{"status": "succeeded", "reason": ""}\n')
    lost = perform(task("god"))
    assert lost.exit_code == 1
    ending = json.loads(lost.stdout)
    assert ending["status"] is None
    assert "Did you mean 'good'?" in ending["reason"]


@pytest.mark.usefixtures("here")
def test_task_comes_from_the_environment_or_standard_input() -> None:
    assert perform(env={"EMATIX_TASK": task("good")}).exit_code == 0
    assert perform(input=task("good"), env={"EMATIX_TASK": None}).exit_code == 0


def test_ending_is_written_to_the_file_that_is_named(here: Path) -> None:
    file = here / "ending.json"
    perform(task("good"), env={"EMATIX_ENDING": str(file)})
    assert json.loads(file.read_text(encoding="utf-8")) == {"status": "succeeded", "reason": ""}
    perform(task("good", modules=["\u20ac" * 3000 + ".py"]), env={"EMATIX_ENDING": str(file)})
    assert len(file.read_bytes()) < 4096
    assert json.loads(file.read_text(encoding="utf-8"))["status"] is None


def test_task_is_carried_out_in_its_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert perform(task("good", directory=str(here))).exit_code == 0
    missing = perform(task("good", directory=str(here / "nowhere")))
    assert missing.exit_code == 2
    assert "cannot be entered" in missing.stderr


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"job": "good"}'])
def test_what_is_no_task_is_refused(text: str) -> None:
    done = perform(text)
    assert done.exit_code == 2
    assert "This is no task" in done.stderr


def test_sigterm_rolls_back_and_the_run_is_recorded_as_cancelled(here: Path) -> None:
    environment = {**os.environ, "EMATIX_TASK": task("asleep")}
    process = subprocess.Popen([FLOW, "perform-task"], env=environment, stdout=subprocess.PIPE, text=True)
    while not (here / "asleep").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert json.loads(said)["status"] == "cancelled"
    with open_store(f"sqlite:///{here}/.ematix/runs.db") as store:
        assert store.runs()[0].status is Status.CANCELLED


def test_command_is_in_no_list() -> None:
    assert "perform-task" not in CliRunner().invoke(flow, ["--help"]).stdout
    assert "perform-task" in CliRunner().invoke(flow, ["perform-task", "--help"]).stdout
