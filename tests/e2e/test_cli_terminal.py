"""`flow` on a real (pseudo) terminal: bars while it runs, colours, and none of both where they do not belong."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

FLOW = str(Path(sys.executable).with_name("flow"))
PIPELINES = """
import time

import pyarrow as pa

import ematix_core as ematix

warehouse = ematix.DuckDBConnection(name="warehouse", path="warehouse.duckdb")


@ematix.job(target="orders", target_connection=warehouse)
def orders():
    for number in range(20):
        yield pa.record_batch({"id": pa.array(range(1_000))})
        time.sleep(0.1)
"""
ESCAPE = "\x1b["


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the test a project with a job of two seconds."""
    (tmp_path / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    return tmp_path


def _on_terminal(folder: Path, *arguments: str, **variables: str) -> str:
    """Run `flow` with all its streams on a terminal and return what was drawn."""
    leader, follower = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("EMATIX_", "NO_COLOR"))}
    environment = kept | {"TERM": "xterm-256color", "COLUMNS": "140", "HOME": str(folder)} | variables
    process = subprocess.Popen(
        [FLOW, *arguments], cwd=folder, env=environment, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    drawn = b""
    while True:
        try:
            chunk = os.read(leader, 65_536)
        except OSError:  # Linux says EIO when the last writer has left
            break
        if not chunk:
            break
        drawn += chunk
    os.close(leader)
    assert process.wait(timeout=60) == 0, drawn.decode()
    return drawn.decode()


def test_bars_show_rows_and_rate_while_a_job_runs(folder: Path) -> None:
    drawn = _on_terminal(folder, "run", "pipelines.py")
    assert " rows/s" in drawn
    assert "000 rows " in drawn
    before_summary, _, _ = drawn.partition("rows read")
    assert "orders" in before_summary
    assert drawn.rstrip().splitlines()[-1].startswith("1 succeeded in ")


def test_no_color_keeps_the_bars_and_drops_the_colours(folder: Path) -> None:
    coloured = _on_terminal(folder, "run", "pipelines.py")
    plain = _on_terminal(folder, "run", "pipelines.py", NO_COLOR="1")
    assert f"{ESCAPE}32msucceeded" in coloured
    assert f"{ESCAPE}32m" not in plain
    assert " rows/s" in plain


def test_verbose_prints_lines_instead_of_bars(folder: Path) -> None:
    drawn = _on_terminal(folder, "run", "pipelines.py", "--verbose")
    assert "orders: started" in drawn
    assert "?25l" not in drawn  # the cursor is hidden only to draw bars


def test_pipe_gets_neither_bars_nor_colours(folder: Path) -> None:
    done = subprocess.run([FLOW, "run", "pipelines.py"], cwd=folder, capture_output=True, text=True, check=True)
    assert ESCAPE not in done.stdout + done.stderr
    assert not done.stderr
