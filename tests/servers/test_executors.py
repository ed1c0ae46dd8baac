"""Jobs in processes of their own that load PostgreSQL and are recorded there: killed ones leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ematix_core.scheduler.executors.process import ProcessExecutor
from ematix_core.scheduler.protocols import Ending
from ematix_core.store import Status, open_store
from tests.servers.reach import database, execute
from tests.unit.scheduler.executors.harness import Place, is_gone, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIPELINES = """
import os, time
from pathlib import Path
import ematix_core as ematix
import pyarrow as pa

@ematix.connection
class shop:
    kind = "postgres"
    url = "${SHOP_URL}"

def rows(number):
    return pa.RecordBatch.from_pydict({"id": list(range(number, number + 20_000)), "text": ["x" * 100] * 20_000})

@ematix.job(target="orders", target_connection=shop)
def orders():
    for number in range(5):
        yield rows(number * 20_000)

@ematix.job(target="halfway", target_connection=shop)
def halfway():
    yield rows(0)
    yield rows(20_000)
    Path("halfway.pid").write_text(f"{os.getpid()} {os.getppid()}")
    time.sleep(60)

@ematix.job(source_connection=shop, target="slow", target_connection=shop)
def slow():
    Path("slow.pid").write_text(str(os.getpid()))
    return "SELECT 1 AS id FROM (SELECT pg_sleep(60)) AS asleep"
"""
SCHEDULER = """
import sys, time
from ematix_core.scheduler.executors.process import ProcessExecutor
from ematix_core.scheduler.protocols import Task
from ematix_core.store import open_store

executor = ProcessExecutor(store=open_store(sys.argv[1]))
task = Task(
    job="halfway", workflow_run_id="w", trigger="test", modules=("pipelines.py",), directory=".", store=sys.argv[1]
)
executor.start(task, print)
time.sleep(600)
"""


@pytest.fixture
def url() -> Iterator[str]:
    with database("postgres") as made:
        yield made


@pytest.fixture
def place(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("SHOP_URL", url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "pipelines.py").write_text(PIPELINES, encoding="utf-8")
    with open_store(url) as store:
        executor = ProcessExecutor(store=store, modules=["pipelines.py"], directory=str(tmp_path))
        yield Place(tmp_path, store, "${SHOP_URL}", executor)
        executor.close()


def sessions(url: str, text: str) -> int:
    """Return how many sessions of the database are at work on, or hold open, a statement like this."""
    found = execute(
        url,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        f"AND (query ILIKE '%{text}%' AND state <> 'idle')",
    )
    return int(str(found[0][0]))


def tables(url: str, name: str) -> int:
    """Return how many tables have this name."""
    return int(str(execute(url, f"SELECT count(*) FROM pg_tables WHERE tablename = '{name}'")[0][0]))


def test_jobs_of_forked_processes_load_the_server_side_by_side(place: Place, url: str) -> None:
    place.run("orders", slice="makes the table")
    started = [place.start("orders", slice=str(number)) for number in range(4)]
    assert [one.ending() for one in started] == [Ending(Status.SUCCEEDED)] * 4
    assert [place.record(one).inserted for one in started] == [100_000] * 4
    assert execute(url, "SELECT count(*) FROM orders") == [(500_000,)]


def test_cancel_interrupts_a_statement_that_the_server_is_busy_with(place: Place, url: str) -> None:
    started = place.start("slow")
    until(lambda: sessions(url, "pg_sleep(60)") > 0)
    started.running.cancel()
    assert started.ending(20).status is Status.CANCELLED
    assert place.record(started).status is Status.CANCELLED
    until(lambda: sessions(url, "pg_sleep(60)") == 0)


def test_killed_process_leaves_no_rows_and_no_session(place: Place, url: str) -> None:
    started = place.start("halfway")
    pid, _ = place.pids("halfway.pid")
    os.kill(pid, signal.SIGKILL)
    assert started.ending() == Ending(None, "killed by signal 9 (SIGKILL)")
    until(lambda: sessions(url, "halfway") == 0)
    assert tables(url, "halfway") == 0 or execute(url, "SELECT count(*) FROM halfway") == [(0,)]
    assert place.record(started).status is Status.INTERRUPTED


def test_killed_scheduler_takes_its_jobs_with_it_and_the_server_rolls_back(place: Place, url: str) -> None:
    scheduler = subprocess.Popen([sys.executable, "-c", SCHEDULER, url], cwd=place.folder)
    below = place.pids("halfway.pid")
    scheduler.kill()
    scheduler.wait()
    until(lambda: all(is_gone(pid) for pid in below), 5)
    until(lambda: sessions(url, "halfway") == 0)
    assert tables(url, "halfway") == 0 or execute(url, "SELECT count(*) FROM halfway") == [(0,)]
    (run,) = place.store.runs(job="halfway")
    assert run.status is Status.INTERRUPTED
