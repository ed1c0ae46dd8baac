"""A store in a SQLite file, and processes that work on it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ematix_core.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ematix_core.store import SchedulerStore


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/.ematix/runs.db"


@pytest.fixture
def store(url: str) -> Iterator[SchedulerStore]:
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def start(url: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python code in another process, with `store` open; what it prints can be read."""
    processes = []
    head = f"from ematix_core.store import *\nimport sys, time\nstore = open_store({url!r})\n"

    def start_code(code: str, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", head + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )
        processes.append(process)
        return process

    yield start_code
    for process in processes:
        process.kill()
        process.communicate()
