"""A real Airflow: `airflow standalone` in a home and on a port of its own, spoken to by its REST API."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BIN = Path(sys.executable).parent
_START_SECONDS = 300.0
_WAIT_SECONDS = 180.0
"""On a busy machine a task takes several times as long as at rest."""
_STOP_SECONDS = 3.0
_TRIES = 10
_SERVER_ERRORS = 500
_PARTS = ("scheduler", "triggerer", "dag_processor")
_OVER = frozenset({"success", "failed"})


def settings(home: Path, dags: Path, **more: str) -> dict[str, str]:
    """Return the environment of all commands of an Airflow that lives in `home`. `more`: `SECTION__KEY` of its own."""
    found = {
        "CORE__DAGS_FOLDER": str(dags), "CORE__EXECUTOR": "LocalExecutor", "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "CORE__PARALLELISM": "4",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True", "USAGE_DATA_COLLECTION__ENABLED": "False",
        "API__WORKERS": "1", "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2", "TRIGGERER__DEFAULT_CAPACITY": "50",
    } | more  # fmt: skip
    return {
        "HOME": str(home), "AIRFLOW_HOME": str(home), "PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8",
        **{f"AIRFLOW__{key}": value for key, value in found.items()},
    }  # fmt: skip


class Airflow:
    """A running Airflow."""

    def __init__(self, home: Path, url: str, env: Mapping[str, str]) -> None:
        self.home = home
        self.env = env
        self._url = url
        self._token = ""

    def get(self, path: str) -> Any:  # noqa: ANN401 - what JSON can hold
        return self.call("GET", path)

    def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - what JSON can hold
        """Return the answer of the API. Raises AssertionError with Airflow's words.

        Asks again when Airflow could not write to its database, a file that its other processes write to as well.
        """
        for attempt in range(_TRIES):
            try:
                return self._call(method, path, body)
            except HTTPError as error:
                text = error.read().decode()
                if error.code < _SERVER_ERRORS or attempt == _TRIES - 1:
                    raise AssertionError(f"{method} {path}: {error.code} {text}") from error
                time.sleep(1)
        return None

    def _call(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401 - what JSON can hold
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self._url}/api/v2/{path}", data=data, headers=headers, method=method)  # noqa: S310 - our own server, on loopback
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server, on loopback
            text = answer.read()
        return json.loads(text) if text else None

    def start(self, dag: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start the DAG by hand and return the id of the DagRun."""
        made = self.call("POST", f"dags/{dag}/dagRuns", {"logical_date": None, "conf": dict(conf or {})})
        return str(made["dag_run_id"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """Return the DagRuns in the order in which they came."""
        found: list[dict[str, Any]] = self.get(f"dags/{dag}/dagRuns?order_by=id&limit=100")["dag_runs"]
        return found

    def run(self, dag: str, conf: Mapping[str, Any] | None = None, *, seconds: float = _WAIT_SECONDS) -> dict[str, str]:
        """Start the DAG by hand, wait for its end, and return the states of its tasks."""
        return self.ended(dag, self.start(dag, conf), seconds=seconds)

    def ended(self, dag: str, run_id: str, *, seconds: float = _WAIT_SECONDS) -> dict[str, str]:
        """Wait until the DagRun has ended, and return the states of its tasks."""
        path = f"dags/{dag}/dagRuns/{quote(run_id)}"
        self.wait(lambda: self.get(path)["state"] in _OVER, f"{dag} {run_id} does not end", seconds=seconds)
        return self.states(dag, run_id)

    def states(self, dag: str, run_id: str) -> dict[str, str]:
        """Return the state of each task of a DagRun."""
        found = self.get(f"dags/{dag}/dagRuns/{quote(run_id)}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def log(self, dag: str, run_id: str, task: str, attempt: int = 1) -> str:
        """Return a task's log, with what its lines carry beside their text."""
        found = self.get(f"dags/{dag}/dagRuns/{quote(run_id)}/taskInstances/{task}/logs/{attempt}")
        return "\n".join(json.dumps(line, ensure_ascii=False) for line in found["content"])

    def result(self, dag: str, run_id: str, task: str) -> Any:  # noqa: ANN401 - what JSON can hold
        """Return what the task has left for others (XCom)."""
        path = f"dags/{dag}/dagRuns/{quote(run_id)}/taskInstances/{task}/xcomEntries/return_value?deserialize=true"
        return self.get(path)["value"]

    def wait(self, done: Callable[[], object], what: str, *, seconds: float = _WAIT_SECONDS) -> None:
        """Wait until something holds. Raises AssertionError with `what` and the end of Airflow's own log."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"{what} in {seconds:.0f} s; {self.tail()}"
            time.sleep(0.2)

    def tail(self) -> str:
        return (self.home / "standalone.log").read_text(errors="replace")[-3000:]

    def healthy(self) -> bool:
        with suppress(URLError, OSError, ValueError, AssertionError):
            if not self._token:
                with urlopen(f"{self._url}/auth/token", timeout=5) as answer:  # noqa: S310 - our own server, on loopback
                    self._token = json.load(answer)["access_token"]
            parts = self.get("monitor/health")
            return all(parts[part]["status"] == "healthy" for part in _PARTS)
        return False


@contextmanager
def standalone(home: Path, dags: Path, **more: str) -> Iterator[Airflow]:
    """Yield an Airflow that is healthy, and stop all of its processes afterwards."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    api = {"API__HOST": "127.0.0.1", "API__PORT": str(port), "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/"}
    env = settings(home, dags, **api, **more)
    with (home / "standalone.log").open("wb") as log:
        process = subprocess.Popen(
            [BIN / "airflow", "standalone"], cwd=home, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    airflow = Airflow(home, url, env)
    try:
        airflow.wait(
            lambda: airflow.healthy() or process.poll() is not None, "it is not healthy", seconds=_START_SECONDS
        )
        assert process.poll() is None, airflow.tail()
        yield airflow
    finally:
        _stop(process.pid)
        process.wait()
    assert not _members(process.pid), "a process of Airflow is left"


def _stop(session: int) -> None:
    """End all processes of the session. Nothing of theirs is kept, so none is given long to say good-bye."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _members(session):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while _members(session) and time.monotonic() < deadline:
            time.sleep(0.1)


def _members(session: int) -> list[int]:
    """Return the living processes of the session: a task has a process group of its own, but no session."""
    return [pid for pid in psutil.pids() if _is_member(pid, session)]


def _is_member(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
