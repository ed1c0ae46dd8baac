"""Runs under way, from another terminal: watched, followed, cancelled; and a backfill that is stopped and goes on."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FLOW = str(Path(sys.executable).with_name("flow"))
PIPELINES = """
import logging
import time

import pyarrow as pa

import ematix_core as ematix

warehouse = ematix.DuckDBConnection(name="warehouse", path="warehouse.duckdb")
archive = ematix.DuckDBConnection(name="archive", path="archive.duckdb")


@ematix.job(target="quick", target_connection=warehouse)
def quick():
    return pa.table({"id": [1, 2, 3]})


@ematix.job(target="slow", target_connection=warehouse, depends_on=[quick])
def slow():
    logging.getLogger(__name__).info("slow has begun")
    for number in range(10_000):
        yield pa.record_batch({"id": pa.array(range(number * 1_000, number * 1_000 + 1_000))})
        time.sleep(0.02)


@ematix.job(target="after", target_connection=warehouse, depends_on=[slow])
def after():
    return pa.table({"id": [1]})


@ematix.job(target="days", target_connection=archive)
def days(run):
    for number in range(4):
        yield pa.record_batch({"day": [run.parameters["slice_start"][:10]], "number": [number]})
        time.sleep(0.1)


nightly = ematix.workflow("nightly", jobs=[quick, slow, after], schedule="0 2 * * *")
"""
WEEK = ("days", "--from", "2026-01-01", "--to", "2026-01-08")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the test a project with a job of minutes, and one for each day."""
    (tmp_path / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    (tmp_path / "ematix.toml").write_text('[project]\nmodules = ["pipelines.py"]\n', encoding="utf-8")
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `flow`; what is still running at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start_flow(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [FLOW, *arguments], cwd=folder, env=_environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start_flow
    for process in started:
        process.kill()
        process.communicate()


def _environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("EMATIX_", "XDG_", "NO_COLOR"))}
    return kept | {"HOME": str(folder), "PYTHONUNBUFFERED": "1"}


def _flow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FLOW, *arguments], cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False
    )


def _until(process: subprocess.Popen[str], text: str, stream: str = "stderr") -> list[str]:
    """Return the lines up to the first that has this text."""
    lines = []
    for line in getattr(process, stream):
        lines.append(line.rstrip("\n"))
        if text in line:
            return lines
    pytest.fail(f"no line has {text!r}: {lines}")


def _days(folder: Path) -> dict[str, int]:
    with duckdb.connect(str(folder / "archive.duckdb"), read_only=True) as database:
        return dict(database.execute("SELECT day, count(*) FROM days GROUP BY day ORDER BY day").fetchall())


def test_a_run_is_watched_followed_and_cancelled_from_elsewhere(
    folder: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run = start("run", "nightly", "--verbose")
    _until(run, "slow: started")
    watch = start("runs", "watch", "nightly")
    follow = start("logs", "nightly", "--follow")
    seen = _until(watch, "nightly/slow: running", "stdout")
    assert any("nightly/quick: succeeded, 3 rows read in " in line for line in seen)
    _until(follow, "slow: slow has begun", "stdout")
    begun = time.monotonic()
    asked = _flow(folder, "runs", "cancel", "nightly")
    assert asked.returncode == 0, asked.stderr
    assert "of nightly is asked to stop: within seconds it rolls back" in asked.stdout
    _, err = run.communicate(timeout=60)
    assert time.monotonic() - begun < 20
    assert run.returncode == 130
    assert "slow rolled back, nothing of it is in the target; quick had finished before" in err
    out, _ = watch.communicate(timeout=20)
    assert watch.returncode == 1
    lines = [line.split(" ", 1)[1] for line in out.splitlines()]
    assert any(line.startswith("nightly: running, asked to stop") for line in lines)
    assert any(line.startswith("nightly/slow: cancelled") for line in lines)
    assert any(line.startswith("nightly: cancelled") for line in lines)
    out, err = follow.communicate(timeout=20)
    assert follow.returncode == 0
    assert "of nightly: cancelled" in err
    assert "was cancelled and rolled back" in out


@pytest.mark.parametrize("command", [["runs", "watch"], ["logs", "slow", "--follow"]])
def test_ctrl_c_stops_only_the_watching(
    command: list[str], folder: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    run = start("run", "slow", "--verbose")
    _until(run, "slow: started")
    time.sleep(1.5)  # a log line is there after a second
    looking = start(*command)
    _until(looking, "slow" if command[0] == "runs" else "attempt 1", "stdout")
    looking.send_signal(signal.SIGINT)
    _, err = looking.communicate(timeout=20)
    assert looking.returncode == 130
    assert "no longer " in err
    assert run.poll() is None
    runs = json.loads(_flow(folder, "runs", "--json").stdout)["runs"]
    assert [(one["job"], one["status"]) for one in runs] == [("slow", "running")]


def test_a_stopped_backfill_rolls_back_and_goes_on(folder: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    filling = start("backfill", *WEEK)
    _until(filling, "2026-01-02: succeeded, 4 rows read, 4 inserted in ")
    time.sleep(0.2)
    filling.send_signal(signal.SIGINT)
    out, err = filling.communicate(timeout=30)
    assert filling.returncode == 130, err
    assert "cancelling: rolling back what is not committed" in err
    assert err.endswith(
        "stopped, and what had not been committed is rolled back: the same command goes on with what is left\n"
    )
    assert "succeeded, " in out.splitlines()[-1]
    done = _days(folder)
    assert set(done.values()) == {4}
    again = _flow(folder, "backfill", *WEEK)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1].startswith(f"{7 - len(done)} succeeded, {len(done)} done before of 7 slices")
    assert _days(folder) == {f"2026-01-0{day}": 4 for day in range(1, 8)}


def test_a_killed_backfill_goes_on_without_doubles(folder: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    filling = start("backfill", *WEEK)
    _until(filling, "2026-01-02: succeeded")
    time.sleep(0.2)
    filling.kill()
    filling.communicate()
    dry = json.loads(_flow(folder, "backfill", *WEEK, "--dry-run", "--json").stdout)["slices"]
    assert next(one["status"] for one in dry if one["due"]) == "interrupted"
    again = _flow(folder, "backfill", *WEEK)
    assert again.returncode == 0, again.stderr
    assert _days(folder) == {f"2026-01-0{day}": 4 for day in range(1, 8)}


def _on_terminal(folder: Path, *arguments: str) -> str:
    """Run `flow` with all its streams on a terminal and return what was drawn."""
    leader, follower = pty.openpty()
    environment = _environment(folder) | {"TERM": "xterm-256color", "COLUMNS": "140"}
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
    process.wait(timeout=60)
    return drawn.decode()


def test_a_terminal_shows_how_far_a_backfill_is(folder: Path) -> None:
    drawn = _on_terminal(folder, "backfill", *WEEK)
    assert "2026-01-01 days" in drawn
    assert "3 of 7 slices" in drawn
    assert "7 succeeded of 7 slices · 28 rows read in " in drawn


def test_a_terminal_shows_a_table_of_what_runs(folder: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    run = start("run", "nightly", "--verbose")
    _until(run, "slow: started")
    stopping = threading.Timer(4, run.send_signal, [signal.SIGINT])
    stopping.start()
    drawn = _on_terminal(folder, "runs", "watch")
    stopping.join()
    run.communicate(timeout=30)
    assert "\x1b[" in drawn
    assert "running" in drawn
    assert "3 rows read in " in drawn
    assert "cancelled" in drawn.rpartition("started")[2]
