"""When the scheduler is killed, nothing that it started goes on."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.unit.scheduler.executors.harness import is_gone, until

if TYPE_CHECKING:
    from pathlib import Path

SCHEDULER = """
import sys, time
from ematix_core.scheduler.executors.process import ProcessExecutor
from ematix_core.scheduler.protocols import Task
from ematix_core.store import open_store

url, job, fork = sys.argv[1:]
executor = ProcessExecutor(store=open_store(url), fork=fork == "fork")
task = Task(job=job, workflow_run_id="w", trigger="test", modules=("pipelines.py",), directory=".", store=url)
executor.start(task, print)
time.sleep(600)
"""


def start_scheduler(folder: Path, url: str, job: str, fork: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start a scheduler with one job, and return it with the processes below it, once the job is at work."""
    scheduler = subprocess.Popen([sys.executable, "-c", SCHEDULER, url, job, fork], cwd=folder)
    written = folder / f"{job}.pid"
    until(lambda: written.exists() and written.read_text(encoding="utf-8") != "")
    return scheduler, [process.pid for process in psutil.Process(scheduler.pid).children(recursive=True)]


@pytest.mark.parametrize("fork", ["fork", "fresh"])
@pytest.mark.parametrize("job", ["family", "stubborn"])
def test_everything_ends_with_the_scheduler(folder: Path, url: str, job: str, fork: str) -> None:
    scheduler, below = start_scheduler(folder, url, job, fork)
    assert len(below) == (3 if job == "family" else 2)
    scheduler.kill()
    scheduler.wait()
    until(lambda: all(is_gone(pid) for pid in below), 5)
