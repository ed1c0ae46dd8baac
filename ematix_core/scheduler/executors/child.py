"""A process that runs one task: forked by the template, or a fresh interpreter that the template starts.

Through its control channel it gets the task and perhaps a wish to stop, and tells each secret that it resolves (so that
the scheduler hides it in what this process prints) and how the task ended. Lines of JSON both ways. The scheduler alone
holds the other end: when that closes, it is dead, and so is this process and whatever it started.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from ematix_core.config.redact import Redactor
from ematix_core.engine.cancel import Cancellation
from ematix_core.errors import EmatixError
from ematix_core.scheduler.executors.family import die_with
from ematix_core.scheduler.executors.perform import load, perform
from ematix_core.scheduler.executors.stopping import stoppable
from ematix_core.scheduler.protocols import Task
from ematix_core.store.log_handler import current_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.model.project import Project

_OOM_SCORE = "500"
"""Of 1000: when the machine runs out of memory, the system ends a job before the scheduler or a database."""


def carry_out(channel: int, template: int, project: Project | None = None) -> NoReturn:
    """Run the task that comes through the channel (a descriptor), tell how it ended, and end this process.

    `template`: the process that started this one, without which it does not go on.
    """
    with suppress(PermissionError):  # the leader of a session has a group of its own already
        os.setpgid(0, 0)
    die_with(template)
    with suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    control = socket.socket(fileno=channel)
    control.set_inheritable(False)
    lines = control.makefile("r", encoding="utf-8")
    first = lines.readline()
    if not first:
        os._exit(1)
    task = Task.from_dict(json.loads(first))
    with suppress(EmatixError):  # `perform` tries again, and tells what is wrong
        project = project or load(task)
    _print_no_record_twice()
    cancellation = Cancellation()
    threading.Thread(target=_listen, args=(lines, cancellation), name="ematix-control", daemon=True).start()
    redactor = _TellingRedactor(control)
    with stoppable(cancellation):
        ending = perform(task, project=project, cancellation=cancellation, redactor=redactor)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    redactor.tell({"ending": ending.to_dict()})
    os._exit(0)


def _print_no_record_twice() -> None:
    """Have the project's handlers on the terminal pass over what the run's log has anyway: prints get there, too."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler and handler.stream in {sys.stdout, sys.stderr}:
            handler.addFilter(lambda _record: current_run.get() is None)


class _TellingRedactor(Redactor):
    """Passes on what it learns through the channel."""

    def __init__(self, control: socket.socket) -> None:
        super().__init__()
        self._control = control
        self._sending = threading.Lock()

    def learn(self, secret: str) -> None:
        """Mask this value from now on, here and in the scheduler."""
        super().learn(secret)
        self.tell({"secret": secret})

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to the scheduler."""
        with self._sending:
            self._control.sendall(json.dumps(message).encode() + b"\n")


def _listen(lines: TextIO, cancellation: Cancellation) -> None:
    with suppress(OSError):
        for line in lines:
            if "cancel" in json.loads(line):
                cancellation.cancel()
    os.killpg(os.getpgrp(), signal.SIGKILL)


def guarded(run: Callable[[], NoReturn]) -> NoReturn:
    """End the process with a traceback and code 1 when anything is raised, and as `sys.exit` says for that."""
    code = 1
    try:
        run()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        sys.excepthook(*sys.exc_info())
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


def main() -> NoReturn:
    """Run a task in a fresh interpreter: `python -m ... CONTROL TEMPLATE`, a descriptor and a process id."""
    faulthandler.enable()
    logging.getLogger().setLevel(logging.INFO)
    control, template = (int(argument) for argument in sys.argv[1:])
    guarded(lambda: carry_out(control, template))


if __name__ == "__main__":
    main()
