"""Ctrl-C and SIGTERM during a long load: rolled back, said so, and free for the next run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOW = str(Path(sys.executable).with_name("flow"))
PIPELINES = """
import time

import pyarrow as pa

import ematix_core as ematix

warehouse = ematix.DuckDBConnection(name="warehouse", path="warehouse.duckdb")
scratch = ematix.DuckDBConnection(name="scratch", path="scratch.duckdb")


@ematix.job(target="quick", target_connection=warehouse)
def quick():
    return pa.table({"id": [1, 2, 3]})


@ematix.job(target="slow", target_connection=warehouse, depends_on=[quick])
def slow():
    for number in range(10_000):
        yield pa.record_batch({"id": pa.array(range(number * 1_000, number * 1_000 + 1_000))})
        time.sleep(0.02)


@ematix.job(target="after", target_connection=warehouse, depends_on=[slow])
def after():
    return pa.table({"id": [1]})


@ematix.job(target="deaf", target_connection=warehouse)
def deaf():
    time.sleep(600)  # in one piece, where nothing can stop it


@ematix.job(target="busy", target_connection=scratch)
def busy():
    # Keeps the database itself busy: no Python code runs until it is done.
    return "SELECT a.range + b.range AS id FROM range(400000) a, range(400000) b WHERE hash(a.range, b.range) = 1"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the test a project with a quick job and three that take minutes."""
    (tmp_path / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    duckdb.connect(str(tmp_path / "scratch.duckdb")).close()  # `busy` reads from it, and a source is never created
    (tmp_path / "ematix.toml").write_text('[project]\nmodules = ["pipelines.py"]\n', encoding="utf-8")
    return tmp_path


def _start(folder: Path, *names: str) -> subprocess.Popen[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("EMATIX_", "XDG_"))}
    return subprocess.Popen(
        [FLOW, "run", *names, "--verbose"],
        cwd=folder, env=kept | {"HOME": str(folder)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _until(process: subprocess.Popen[str], beginning: str) -> Iterator[str]:
    """Yield the lines of stderr up to the first that begins so."""
    assert process.stderr is not None
    for line in process.stderr:
        yield line
        if line.startswith(beginning):
            return
    pytest.fail(f"no line begins with {beginning!r}")


def _tables(file: Path) -> dict[str, int]:
    with duckdb.connect(str(file), read_only=True) as database:
        names = [row[0] for row in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {
            name: database.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0]
            for name in names
            if not name.startswith("_ematix")
        }


def _statuses(folder: Path) -> dict[str, str]:
    done = subprocess.run([FLOW, "runs", "--json"], cwd=folder, capture_output=True, text=True, check=True)
    return {run["job"]: run["status"] for run in json.loads(done.stdout)["runs"]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_rolls_back_and_says_so(number: signal.Signals, folder: Path) -> None:
    process = _start(folder, "quick+", "busy")
    list(_until(process, "slow: started"))
    time.sleep(1.0)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "cancelling: rolling back what is not committed" in err
    assert (
        err.splitlines()[-1]
        == "cancelled: slow, busy rolled back, nothing of it is in the target; quick had finished before"
    )
    assert [line.split()[:2] for line in out.splitlines()[1:5]] == [
        ["quick", "succeeded"],
        ["slow", "cancelled"],
        ["after", "cancelled"],
        ["busy", "cancelled"],
    ]
    assert _tables(folder / "warehouse.duckdb") == {"quick": 3}
    assert _statuses(folder) == {"quick": "succeeded", "slow": "cancelled", "busy": "cancelled"}


def test_cancelled_job_alone_leaves_nothing(folder: Path) -> None:
    process = _start(folder, "busy")
    list(_until(process, "busy: started"))
    time.sleep(2.0)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - begun < 10, "the database went on with its query"
    assert process.returncode == 130
    assert err.splitlines()[-1] == "cancelled: busy rolled back; nothing of this run is in the target"
    assert _tables(folder / "scratch.duckdb") == {}


def test_second_signal_leaves_at_once(folder: Path) -> None:
    process = _start(folder, "deaf")
    list(_until(process, "deaf: started"))
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    list(_until(process, "cancelling"))
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err.endswith("left at once: the databases roll back what was not committed\n")


def test_target_is_free_for_the_next_run(folder: Path) -> None:
    process = _start(folder, "slow")
    list(_until(process, "slow: started"))
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    done = _start(folder, "quick")
    _, err = done.communicate(timeout=60)
    assert done.returncode == 0, err
    assert "waits" not in err
