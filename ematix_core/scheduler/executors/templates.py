"""A template process, seen from the scheduler: started, asked for processes, ended. See `template`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ematix_core.scheduler.executors import exits
from ematix_core.scheduler.executors.family import command
from ematix_core.scheduler.executors.template import NUMBER
from ematix_core.scheduler.executors.warming import STORE_DRIVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = logging.getLogger(__name__)

LOADING = 120.0
"""Seconds that the project's modules may take to be imported."""
_ENDING = 5.0


class Template:
    """One template process; for the executor's event loop, in whose thread it has to be made.

    On Linux the process dies with the thread that started it, so that thread must live as long as the executor.
    """

    def __init__(self, modules: Sequence[str], directory: str, *, fork: bool) -> None:
        """Start it. Raises OSError."""
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(0)
        kind = "fork" if fork else "fresh"
        drivers = ",".join(name for name in STORE_DRIVERS if name in sys.modules)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
                command("template", theirs.fileno(), os.getpid(), kind, drivers, *modules), cwd=directory or None,
                stdin=subprocess.DEVNULL, stdout=2, pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        self._numbers = 0
        self._started: dict[int, Callable[[int], None]] = {}
        self._ends: dict[int, asyncio.Future[str]] = {}
        self._retired = False
        self._gave_up = ""
        self.over = False
        """Whether nothing can be asked of it any more."""
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(LOADING, self._give_up)
        self._listening = loop.create_task(self._listen())

    def request(self, descriptors: Sequence[int], started: Callable[[int], None]) -> asyncio.Future[str]:
        """Ask for a process with these descriptors: control channel, stdout, stderr.

        `started` is called with its process id. What is returned says how it ended, in words.
        """
        self._numbers += 1
        ended = self._ends[self._numbers] = asyncio.get_running_loop().create_future()
        self._started[self._numbers] = started
        try:
            socket.send_fds(self._channel, [NUMBER.pack(self._numbers)], descriptors)
        except OSError as error:
            self._end(self._numbers, f"no process could be started: {error.strerror}")
        return ended

    def retire(self) -> None:
        """Let it end as soon as no process of it runs."""
        self._retired = True
        self._end_if_idle()

    async def ended(self) -> None:
        """Wait until the process has ended, after it was retired."""
        _, pending = await asyncio.wait([self._listening], timeout=_ENDING)
        if pending:
            self._process.kill()
            await self._listening

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        rest = b""
        with suppress(ConnectionResetError):
            while received := await loop.sock_recv(self._channel, 65_536):
                *lines, rest = (rest + received).split(b"\n")
                for line in lines:
                    self._note(json.loads(line))
        self.over = True
        self._patience.cancel()
        self._channel.close()
        code = await loop.run_in_executor(None, self._process.wait)
        how = self._gave_up or f"the process that starts jobs was lost: {exits.reason_of_code(code)}"
        for number in list(self._ends):
            self._end(number, how)

    def _note(self, message: dict[str, Any]) -> None:
        match message:
            case {"task": int(number), "pid": int(pid)}:
                self._started.pop(number)(pid)
            case {"task": int(number), "status": int(status)}:
                self._end(number, exits.reason(status))
            case {"task": int(number), "error": str(text)}:
                self._end(number, text)
            case {"note": note}:
                self._patience.cancel()
                if note:
                    _log.warning("%s: each job gets a fresh interpreter, which takes longer to start", note)

    def _end(self, number: int, how: str) -> None:
        self._started.pop(number, None)
        ended = self._ends.pop(number)
        if not ended.done():
            ended.set_result(how)
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._retired and not self._ends and not self.over:
            with suppress(OSError):  # it has ended this very moment
                self._channel.shutdown(socket.SHUT_WR)

    def _give_up(self) -> None:
        self._gave_up = f"the project's modules were not imported within {LOADING:g} s"
        self._process.kill()
