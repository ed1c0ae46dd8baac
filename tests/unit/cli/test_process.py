"""What the end of a `flow` process still does although the interpreter does not take its objects apart."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ematix_core.cli.process import collect_again

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PROJECT = """
import atexit, threading, time
import ematix_core as ematix
from ematix_core import {connection}
{module}
db = {connection}(name="db", path="db")

@ematix.job(target="numbers", target_connection=db)
def numbers():
    {body}
    return "SELECT 1 AS number"
"""


def _flow(
    folder: Path, module: str = "", body: str = "pass", connection: str = "DuckDBConnection"
) -> subprocess.CompletedProcess[str]:
    project = PROJECT.format(module=module, body=body, connection=connection)
    (folder / "pipelines.py").write_text(project, encoding="utf-8")
    command = [sys.executable, "-m", "ematix_core", "run", "pipelines.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("connection", ["DuckDBConnection", "DeltaConnection"])
def test_a_run_leaves_at_once_and_says_all(tmp_path: Path, connection: str) -> None:
    end = "class End:\n    def __del__(self):\n        print('taken apart')\nend = End()"
    done = _flow(tmp_path, end, connection=connection)
    assert done.returncode == 0
    assert "1 succeeded" in done.stdout
    assert "taken apart" not in done.stdout
    assert done.stderr == ""


def test_functions_registered_for_the_end_are_called(tmp_path: Path) -> None:
    assert _flow(tmp_path, "atexit.register(print, 'called')").stdout.splitlines()[-1] == "called"


def test_a_file_that_a_module_keeps_open_is_written_to_its_end(tmp_path: Path) -> None:
    done = _flow(tmp_path, "journal = open('journal', 'w')", "journal.write('a line')")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "journal").read_text(encoding="utf-8") == "a line"


def test_a_thread_that_still_works_is_waited_for(tmp_path: Path) -> None:
    work = "threading.Thread(target=lambda: (time.sleep(1), print('worked'))).start()"
    assert "worked" in _flow(tmp_path, body=work).stdout


def test_the_exit_code_of_a_failed_run_stays(tmp_path: Path) -> None:
    assert _flow(tmp_path, body="raise ValueError").returncode == 1


@pytest.mark.usefixtures("_collecting")
def test_collecting_begins_again_once() -> None:
    gc.disable()
    collect_again()
    assert gc.isenabled()
    frozen = gc.get_freeze_count()
    assert frozen > 0
    collect_again()
    assert gc.get_freeze_count() == frozen


@pytest.fixture
def _collecting() -> object:
    yield
    gc.unfreeze()
    gc.enable()
