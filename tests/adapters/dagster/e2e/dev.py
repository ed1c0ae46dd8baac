"""A real `dagster dev` on a port and a home of its own, and what its pages ask for, by GraphQL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

LOCATION = "definitions.py"
_INSTANCE = """
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 8
"""
_LOOK_SECONDS = 0.25
_START_SECONDS = 240.0
_WAIT_SECONDS = 180.0
"""On a busy machine a run takes several times as long as at rest."""


@dataclass
class Dev:
    """`dagster dev` in `folder`, whose `definitions.py` it loads; its home is the folder `home` there."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    left: list[psutil.Process] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """DAGSTER_HOME."""
        return self.folder / "home"

    @property
    def log(self) -> Path:
        """What all its processes have printed."""
        return self.folder / "dev.log"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for commands of Dagster that are to see the same instance."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("EMATIX_", "DAGSTER_"))}
        commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return kept | {"DAGSTER_HOME": str(self.home), "PATH": commands, "NO_COLOR": "1"}

    def start(self) -> None:
        """Start it, and return when the code location is loaded."""
        self.home.mkdir(exist_ok=True)
        (self.home / "dagster.yaml").write_text(_INSTANCE)
        self.port = self.port or _free_port()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["dagster", "dev", "-f", LOCATION, "-h", "127.0.0.1", "-p", str(self.port)],
                cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.wait_for(self._is_up, seconds=_START_SECONDS, what="dagster dev is up")

    def stop(self) -> None:
        """End it, as Ctrl-C does, and whatever is left of it: code servers stay for the runs that they have."""
        found = self.processes()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
        for one in (*found, *self.left):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        if self.process is not None:
            self.process.wait(15)

    def kill_daemon(self) -> None:
        """`kill -9` the daemon: `dagster dev` leaves when it sees that, and runs that were started go on."""
        assert self.process is not None
        found = self.processes()
        (daemon,) = [one for one in found if "dagster._daemon" in one.cmdline()]
        daemon.kill()
        self.process.wait(30)
        self.left += found

    def processes(self) -> list[psutil.Process]:
        """Return `dagster dev` and all that it has started."""
        if self.process is None:
            return []
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]
        return []

    def query(self, text: str, **variables: Any) -> Any:  # noqa: ANN401 - whatever the query asks for
        """Return the data of a GraphQL query; fail with its errors."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            data=json.dumps({"query": text, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own server
            said = json.load(answer)
        assert "errors" not in said, said["errors"]
        return said["data"]

    def wait_for(self, done: Callable[[], object], *, seconds: float = _WAIT_SECONDS, what: str) -> Any:  # noqa: ANN401 - what `done` returns
        """Return the first true answer of `done`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if answer := done():
                return answer
            time.sleep(_LOOK_SECONDS)
        raise AssertionError(f"not within {seconds:g} s: {what}\n{self.log.read_text()[-6000:]}")

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with suppress(OSError, HTTPException, TimeoutError):
            (one,) = self.query(_LOCATIONS)["workspaceOrError"]["locationEntries"]
            return bool(one["loadStatus"] == "LOADED")
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


_LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
