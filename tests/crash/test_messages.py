"""A scheduler that is killed again and again while files and versions of a table come: one run for each."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from ematix_core.store import EventKind, Status, open_store
from tests.crash import tally

FULL = os.environ.get("EMATIX_CRASH") == "full"
MESSAGES, KILLS = (60, 30) if FULL else (10, 5)
PROJECT = Path(__file__).with_name("messages_project.py")
WAIT_SECONDS = 240


class Site:
    """The project's folder, its scheduler, and those who drop files and write the table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = f"sqlite:///{folder / 'store.db'}"
        (folder / "files" / "in").mkdir(parents=True)
        self.log = folder / "scheduler.log"
        self.scheduler: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        command = [
            sys.executable, "-m", "ematix_core", "scheduler", "--module", str(PROJECT), "--no-reload",
            "--lease-seconds", "1",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.scheduler = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | {"EMATIX_STORE": self.store}, stdout=log, stderr=log
            )

    def kill(self) -> None:
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()

    def end(self) -> None:
        assert self.scheduler is not None
        self.scheduler.terminate()
        try:
            self.scheduler.wait(20)
        except subprocess.TimeoutExpired:
            self.scheduler.kill()
            self.scheduler.wait()

    def write(self, number: int) -> None:
        """Drop a file and append to the table; from time to time its files are put together, which is no message."""
        half = self.folder / "files" / "in" / f"_{number}"
        half.write_text(f'{{"n": {number}}}')
        half.rename(half.with_name(f"{number:03}.json"))
        orders = str(self.folder / "lake" / "orders")
        write_deltalake(orders, pa.table({"id": [number]}), mode="append")
        if number % 4 == 3:
            DeltaTable(orders).optimize.compact()

    def changes(self) -> list[int]:
        """Return the versions of the table that added rows, as delta-rs tells them."""
        history = DeltaTable(str(self.folder / "lake" / "orders")).history()
        return sorted(entry["version"] for entry in history if entry["operation"] == "WRITE")

    def seen(self, table: str) -> list[object]:
        """Return what the loads noted."""
        with contextlib.closing(sqlite3.connect(self.folder / "seen.db")) as database:
            try:
                return [row[0] for row in database.execute(f"SELECT what FROM {table} ORDER BY what")]
            except sqlite3.OperationalError:  # nothing has been loaded yet
                return []

    def wait_for_runs(self, number: int) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            with open_store(self.store) as store:
                ended = [event for event in store.events() if event.kind is EventKind.SUCCEEDED]
            if len([event for event in ended if event.name in {"on_file", "on_version"}]) >= number:
                return
            time.sleep(0.3)
        raise AssertionError(f"not all of {number} runs within {WAIT_SECONDS} s\n{self.log.read_text()[-3000:]}")


@pytest.mark.timeout(1800)
def test_a_scheduler_that_is_killed_runs_once_for_each_file_and_version(tmp_path: Path) -> None:
    chance = random.Random(11)  # noqa: S311 - when it is killed
    site = Site(tmp_path)
    site.write(0)
    site.begin()
    try:
        for number in range(1, MESSAGES):
            site.write(number)
            if number * KILLS // MESSAGES != (number - 1) * KILLS // MESSAGES:
                time.sleep(chance.uniform(0.5, 4))
                site.kill()
                site.begin()
        site.wait_for_runs(2 * MESSAGES)
        time.sleep(3)  # a run too many would begin now
    finally:
        site.end()
    assert len(site.changes()) == MESSAGES
    assert site.seen("seen_versions") == site.changes()
    assert site.seen("seen_files") == [f"in/{number:03}.json" for number in range(MESSAGES)]
    with open_store(site.store) as store:
        runs = store.workflow_runs(limit=None)
        events = store.events()
    assert len(runs) == 2 * MESSAGES
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    positions = [str((event.data or {})["position"]) for event in events if event.kind is EventKind.STARTED]
    assert len(positions) == len(set(positions)) == 2 * MESSAGES
    tally.note(f"schedulers while {MESSAGES} files and as many versions of a table came", KILLS)
