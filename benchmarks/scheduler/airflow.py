"""Airflow's figures: `airflow standalone` in a home of its own, its times read from its own database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.places import HERE, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INSTALL_SECONDS = 600.0
_START_SECONDS = 240.0
_RUN_SECONDS = 600.0
_STOP_SECONDS = 15.0
_DAGS = 2


class AirflowFailedError(Exception):
    """Airflow could not be measured; the message says why."""


@dataclass(frozen=True)
class Peer:
    """What Airflow took, a value for each round."""

    parallelism: str
    task_to_task: list[float] = field(default_factory=list)
    """Medians in ms."""
    tasks_a_second: list[float] = field(default_factory=list)
    task_seconds: list[float] = field(default_factory=list)
    """Medians of what a task of the chain took from its own start to its own end."""


def folder() -> Path:
    """Return Airflow's environment, made on first use. Raises AirflowFailedError."""
    try:
        return environment("airflow.txt", "airflow", patience=INSTALL_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        message = f"it could not be installed: {error}"
        raise AirflowFailedError(message) from error


def version(place: Path) -> str:
    """Return which Airflow that is."""
    script = "from importlib.metadata import version; print(version('apache-airflow'))"
    command = [str(place / "bin" / "python"), "-c", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def measure(place: Path, parallelism: int | None, rounds: int) -> Peer:
    """Start Airflow, run both DAGs so often, and stop it. Raises AirflowFailedError."""
    found = Peer(str(parallelism or "default"))
    with Airflow.started(place, parallelism) as airflow:
        airflow.run("chain")  # the first run imports
        for _ in range(rounds):
            tasks = airflow.run("chain").tasks
            found.task_to_task.append(median(_seconds(a.ended, b.started) for a, b in pairwise(tasks)) * 1000)
            found.task_seconds.append(median(_seconds(task.started, task.ended) for task in tasks))
            wide = airflow.run("wide")
            found.tasks_a_second.append(len(wide.tasks) / _seconds(wide.begun, max(task.ended for task in wide.tasks)))
    return found


@dataclass(frozen=True)
class _Task:
    started: datetime
    ended: datetime


@dataclass(frozen=True)
class _Run:
    begun: datetime
    tasks: list[_Task]
    """In the order of their starts."""


class Airflow:
    """A running Airflow."""

    def __init__(self, place: Path, home: Path, env: dict[str, str]) -> None:
        self._command = str(place / "bin" / "airflow")
        self._home = home
        self._env = env

    @classmethod
    @contextmanager
    def started(cls, place: Path, parallelism: int | None) -> Iterator[Airflow]:
        """Yield one that is healthy, and stop all of its processes afterwards."""
        with TemporaryDirectory(prefix="bench-airflow-", ignore_cleanup_errors=True) as folder:
            home, port = Path(folder), _free_port()
            (home / "dags").mkdir()
            shutil.copy(HERE / "peers" / "airflow_dags.py", home / "dags")
            airflow = cls(place, home, _environment(place, home, port, parallelism))
            with (home / "standalone.log").open("wb") as log:
                process = subprocess.Popen(
                    [airflow._command, "standalone"], cwd=home, env=airflow._env, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, start_new_session=True,
                )  # fmt: skip
            try:
                airflow._wait(lambda: airflow._healthy(port), process, _START_SECONDS, "it was not healthy in time")
                yield airflow
            finally:
                _stop(process)

    def run(self, dag: str) -> _Run:
        """Run the DAG and return what its database has of that. Raises AirflowFailedError."""
        before = len(self._rows("SELECT 1 FROM dag_run WHERE state = 'success'"))
        trigger = [self._command, "dags", "trigger", dag]
        done = subprocess.run(trigger, cwd=self._home, env=self._env, check=False, capture_output=True, text=True)
        if done.returncode:
            raise AirflowFailedError(done.stderr.strip()[-500:])
        self._wait(
            lambda: len(self._rows("SELECT 1 FROM dag_run WHERE state = 'success'")) > before, None, _RUN_SECONDS,
            f"{dag} did not succeed in time",
        )  # fmt: skip
        run_id, begun = self._rows("SELECT run_id, start_date FROM dag_run ORDER BY id DESC LIMIT 1")[0]
        rows = self._rows(f"SELECT start_date, end_date FROM task_instance WHERE run_id = '{run_id}' ORDER BY 1")
        return _Run(datetime.fromisoformat(begun), [_Task(*map(datetime.fromisoformat, row)) for row in rows])

    def _healthy(self, port: int) -> bool:
        with suppress(URLError, OSError, ValueError), suppress(sqlite3.Error):
            with urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as answer:
                parts = json.load(answer)
            known = self._rows("SELECT 1 FROM dag WHERE NOT is_stale")
            return parts["scheduler"]["status"] == "healthy" and len(known) == _DAGS
        return False

    def _wait(
        self, done: Callable[[], bool], process: subprocess.Popen[bytes] | None, seconds: float, what: str
    ) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline or (process and process.poll() is not None):
                log = (self._home / "standalone.log").read_text(errors="replace")[-500:]
                message = f"{what}: {log}"
                raise AirflowFailedError(message)
            time.sleep(1)

    def _rows(self, statement: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._home}/airflow.db?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(statement).fetchall()


def _environment(place: Path, home: Path, port: int, parallelism: int | None) -> dict[str, str]:
    found = {
        "HOME": str(home), "PATH": f"{place / 'bin'}:/usr/bin:/bin", "LANG": "C.UTF-8", "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
    }  # fmt: skip
    return found | ({"AIRFLOW__CORE__PARALLELISM": str(parallelism)} if parallelism else {})


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the session that was started here: all of Airflow's processes are in its group."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while _alive(process) and time.monotonic() < deadline:
            time.sleep(0.2)


def _alive(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 0)
        return True
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _seconds(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()
