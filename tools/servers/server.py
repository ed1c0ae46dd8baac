"""What all servers have in common: a folder, a port, a process that is started, asked, stopped or killed."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import psutil
from filelock import FileLock

from tools.servers.system import ServerError, owned_folder, run, spawn

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tools.servers.tls import Tls

READY_SECONDS = 90
STOP_SECONDS = 30
_LOG_LINES = 25
_PORT_TRIES = 5
_PORTS = range(20_000, 32_000)


class Server(ABC):
    """A server of one kind, in the folder `home/<name>/<instance>`; `options` are added to its command line.

    A new kind is a file with a subclass: where its programs come from (`packages`, `install`), how a data folder begins
    (`initialise`), how it is started (`command`) and asked (`url`, `ask`), and which users it gets (`accounts`).
    """

    name: ClassVar[str]
    default_port: ClassVar[int]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    on_request: ClassVar[bool] = False
    """Whether it is started only when it is named: for tests that are no part of the gate."""

    def __init__(self, home: Path, tls: Tls, *, instance: str = "main", options: Sequence[str] = ()) -> None:
        self.kind_folder = home / self.name
        self.folder = self.kind_folder / instance
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.tls = tls
        self.options = tuple(options)
        self.prefix: list[str] = []
        """What the command line begins with: a program that prepares something and then becomes the server."""
        self._child: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def packages(self) -> list[str]:
        """Return the Debian packages that it needs, beyond what is there by other means."""

    @abstractmethod
    def install(self) -> None:
        """Put programs in place that come from elsewhere. Called before every start; does nothing the second time."""

    @abstractmethod
    def initialise(self, data: Path) -> None:
        """Make an empty data folder. Called once for all instances: they begin as copies."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground, on `port` of 127.0.0.1."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL of an administrator who needs no password."""

    @abstractmethod
    def ask(self) -> None:
        """Return if the server answers the administrator; raise anything if not."""

    @abstractmethod
    def accounts(self, url: str) -> dict[str, str]:
        """Make the users of the tests through this administrator, and return their URLs by their role."""

    @property
    def port(self) -> int:
        """The port that it has, or had when it last ran."""
        return int((self.folder / "port").read_text())

    @property
    def running(self) -> bool:
        """Whether its process is there, by number and start: numbers come round again."""
        return self._process() is not None

    @property
    def answers(self) -> bool:
        """Whether it is there and answers."""
        if not self.running:
            return False
        try:
            self.ask()
        except Exception:  # noqa: BLE001 - each driver has errors of its own, and all mean no
            return False
        return True

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServerError with the end of its log."""
        self.install()
        self._make_data()
        for left in reversed(range(_PORT_TRIES)):
            (self.folder / "port").write_text(f"{self._free_port()}\n")
            started = self.log.stat().st_size if self.log.exists() else 0
            self._child = spawn(self.prefix + self.command(), folder=self.folder, log=self.log)
            process = psutil.Process(self._child.pid)
            (self.folder / "pid").write_text(f"{process.pid} {process.create_time()}\n")
            if self._wait_until_ready():
                return
            said = self.log.read_text(errors="replace")[started:]
            # Somebody else was faster between the look at the port and the start.
            if not left or "already in use" not in said:
                raise ServerError(f"{self.name} did not start. The end of {self.log}:\n{_tail(said)}")

    def stop(self) -> None:
        """Stop it in an orderly way, or kill it if that takes too long."""
        if process := self._process():
            process.send_signal(self.stop_signal)
            try:
                self._wait_for_end(process, STOP_SECONDS)
            except psutil.TimeoutExpired:
                self.kill()
        (self.folder / "pid").unlink(missing_ok=True)

    def kill(self) -> None:
        """End the process and those that it started by `kill -9`, as a crash would."""
        if process := self._process():
            family = [process, *process.children(recursive=True)]
            for member in family:
                if member.is_running():
                    member.kill()
            for member in family:
                self._wait_for_end(member, STOP_SECONDS)

    def _process(self) -> psutil.Process | None:
        if self._child:
            self._child.poll()  # takes note of its end, or it would stay as a zombie
        try:
            pid, created = (self.folder / "pid").read_text().split()
            process = psutil.Process(int(pid))
            alive = process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - float(created)) < 1
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None
        return process if alive else None

    def _wait_for_end(self, process: psutil.Process, seconds: float) -> None:
        if self._child and process.pid == self._child.pid:
            self._child.wait(seconds)
        else:
            process.wait(seconds)

    def _wait_until_ready(self) -> bool:
        """Return whether it answers; false as soon as the process has ended."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.running:
            if self.answers:
                return True
            time.sleep(0.05)
        if self.running:
            self.kill()
        return False

    def _make_data(self) -> None:
        owned_folder(self.kind_folder)
        owned_folder(self.folder)
        if self.data.exists():
            return
        template = self.kind_folder / "template"
        with FileLock(self.kind_folder / "lock"):
            if not template.exists():
                _in_one_step(template, self.initialise)
        _in_one_step(self.data, lambda data: run(["cp", "-a", "--sparse=always", str(template), str(data)]))

    def _free_port(self) -> int:
        """Return the port of last time, else the default one, else any that is free."""
        return free_port(self.port if (self.folder / "port").exists() else self.default_port)


def free_port(wanted: int | None = None) -> int:
    """Return this port if it is free, else one below those that the kernel gives to clients.

    A client that asks for the port of a dead server would get just that port for itself, sooner or later, and the
    server could not come back to it. https://docs.kernel.org/networking/ip-sysctl.html (ip_local_port_range)
    """
    for port in (wanted, *random.sample(_PORTS, 100)):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: after a kill -9
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError("no port is free")


def _in_one_step(folder: Path, make: Callable[[Path], object]) -> None:
    """Let `make` fill a folder that appears under its name only when it is complete."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    make(partial)
    partial.rename(folder)


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-_LOG_LINES:])
