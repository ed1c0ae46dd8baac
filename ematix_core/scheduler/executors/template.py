"""The template process: it has imported the engine and the project, and forks a process for each task.

`ProcessExecutor` starts it in the project's folder, as `python -m ematix_core.scheduler.executors.template` with the
descriptor of its channel, the scheduler's process id, `fork` or `fresh`, the store's drivers, and the modules. A fork
takes milliseconds where a fresh interpreter takes half a second. It is sound as long as this process has one thread and
no connection. Where the project's modules start threads when they are imported, and where the system's own libraries do
(macOS), each task gets a fresh interpreter instead, through the same protocol.

A request is eight bytes, the task's number, with three descriptors: its control channel, stdout and stderr. Answers are
lines of JSON: `{"task": 1, "pid": 4711}`, `{"task": 1, "status": 9}` as from waitpid, `{"task": 1, "error": "..."}`,
and once `{"ready": true, "note": "..."}`. When the channel closes, this process ends and kills what it started.
"""

from __future__ import annotations

import errno
import faulthandler
import gc
import json
import logging
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ematix_core.errors import EmatixError
from ematix_core.model.project import Project
from ematix_core.scheduler.executors.child import carry_out, guarded
from ematix_core.scheduler.executors.family import command, die_with, kill_group, see_to_the_end
from ematix_core.scheduler.executors.warming import LIBRARIES, import_drivers, import_libraries, run_nothing

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBER = struct.Struct("!Q")
"""How a request is written."""
_DESCRIPTORS = 3
_HARMLESS = {"jemalloc_bg_thd", "polars-ooc-clea"}
"""Threads that libraries start when they are imported and that a forked process starts anew or does without."""


def main() -> None:
    """Load everything, then serve requests until the channel closes."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    parent, kind, drivers, modules = int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:]
    die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the scheduler, which tells this process
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    logging.getLogger().setLevel(logging.INFO)  # what a run logs is kept with it
    note, project = "", None
    if kind == "fork":
        import_libraries([*LIBRARIES, *filter(None, drivers.split(","))])
        before = _threads()
        run_nothing()
        project = _load(modules)
        if started := _started_threads(before):
            note = f"the project's modules start threads when they are imported ({', '.join(started)})"
    gc.collect()
    gc.freeze()  # pages that the collector does not touch stay shared with the forks
    see_to_the_end()
    server = _Server(channel, project, fork=kind == "fork" and not note)
    server.tell({"ready": True, "note": note})
    server.serve()
    os._exit(0)  # taking everything apart would take time, and libraries complain about what the collector left out


class _Server:
    """Starts processes on request and tells when they end."""

    def __init__(self, channel: socket.socket, project: Project | None, *, fork: bool) -> None:
        self._channel = channel
        self._project = project
        self._fork = fork
        self._children: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._deaths, self._death = socket.socketpair()
        for one in (self._deaths, self._death):
            one.settimeout(0)

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._death.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._channel, selectors.EVENT_READ)
        self._selector.register(self._deaths, selectors.EVENT_READ)
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.fileobj is self._deaths:
                        self._reap()
                    elif not self._answer():
                        return
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            for pid in self._children:
                kill_group(pid)

    def tell(self, message: dict[str, Any]) -> None:
        self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _answer(self) -> bool:
        """Start what is asked for; return whether anybody still asks."""
        # Descriptors keep requests apart: one that has some is never joined to the next.
        request, descriptors, _, _ = socket.recv_fds(self._channel, NUMBER.size, _DESCRIPTORS)
        if len(request) != NUMBER.size:
            return False
        (number,) = NUMBER.unpack(request)
        try:
            pid = self._start(descriptors)
        except OSError as error:  # no room for another process
            self.tell({"task": number, "error": f"no process could be started: {error.strerror}"})
            return True
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._children[pid] = number
        self.tell({"task": number, "pid": pid})
        return True

    def _start(self, descriptors: Sequence[int]) -> int:
        if len(descriptors) != _DESCRIPTORS:  # the system drops what goes beyond the limit
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self._forked(descriptors) if self._fork else self._started(descriptors)

    def _forked(self, descriptors: Sequence[int]) -> int:
        template = os.getpid()
        pid = os.fork()
        if pid == 0:
            guarded(lambda: self._become_child(descriptors, template))
        return pid

    def _become_child(self, descriptors: Sequence[int], template: int) -> NoReturn:
        """Leave behind what is the template's. `random`, `logging` and `threading` renew themselves after a fork."""
        control, *outputs = descriptors
        for number, descriptor in enumerate(outputs, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for own in (self._selector, self._channel, self._deaths, self._death):
            own.close()
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed()  # else all jobs would draw the same numbers
        carry_out(control, template, self._project)

    def _started(self, descriptors: Sequence[int]) -> int:
        control, out, err = descriptors
        process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
            command("child", control, os.getpid()), stdout=out, stderr=err, pass_fds=[control]
        )
        process.returncode = 0  # it is reaped here, not by the object
        return process.pid

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            while self._deaths.recv(512):
                pass
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                if (number := self._children.pop(ended[0], None)) is not None:
                    self.tell({"task": number, "status": ended[1]})


def _load(modules: Sequence[str]) -> Project | None:
    """Load the project; None when part of it is broken, which a task then finds out and says."""
    try:
        project, problems = Project.load_good(*modules)
        import_drivers(project)
    except EmatixError:
        return None
    return None if problems else project


def _started_threads(before: Counter[str]) -> Counter[str]:
    """Return the threads that have been started since, after a moment for those that are about to end.

    A DuckDB in memory ends its threads when the last reference to it is gone.
    """
    deadline = time.monotonic() + 1.0
    while (started := _threads() - before) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    return started


def _threads() -> Counter[str]:
    """Return the names of this process's threads, those of libraries included, each with how many there are."""
    names = (path.read_text(encoding="utf-8").strip() for path in Path("/proc/self/task").glob("*/comm"))
    return Counter(name for name in names if name not in _HARMLESS)


if __name__ == "__main__":
    main()
