"""One task in a process of its own, seen from the scheduler: told what to do, watched, ended when it must be."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.scheduler.executors import memory
from ematix_core.scheduler.executors.family import kill_group, kill_rest
from ematix_core.scheduler.protocols import Ending

if TYPE_CHECKING:
    from ematix_core.config.redact import Redactor
    from ematix_core.scheduler.executors.output import Output
    from ematix_core.scheduler.executors.templates import Template
    from ematix_core.scheduler.protocols import Task

_LOOK_SECONDS = 0.1
_LINGER = 5.0
"""Seconds that a process may take to end after it has told its result."""
_LONGEST = 1 << 24
"""Bytes of the longest message of a process: an error may hold a statement."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a process may take: bytes of memory, and seconds to roll back after a cancel or when its time has passed."""

    memory: int | None = None
    grace: float = 10.0


class Supervision:
    """The process of one task; for the executor's event loop."""

    def __init__(self, task: Task, limits: Limits, output: Output, redactor: Redactor) -> None:
        self._task = task
        self._limits = limits
        self._output = output
        self._redactor = redactor
        self._control: asyncio.StreamWriter | None = None
        self._pid = 0
        self._over: asyncio.Future[str] | None = None
        self._ending: Ending | None = None
        self._forced = ""
        self._doomed = False
        self._cancelled = False

    async def carry_out(self, template: Template) -> Ending:
        """Have the template start the process, and return how the task ended."""
        if self._doomed:
            return Ending(None, "ended before its process was there")
        ours = self._start(template)
        assert self._over is not None  # noqa: S101 - set by _start
        loop = asyncio.get_running_loop()
        reader, self._control = await asyncio.open_unix_connection(sock=ours, limit=_LONGEST)
        self._control.write(json.dumps(self._task.to_dict()).encode() + b"\n")
        if self._cancelled:
            self._tell_to_stop()
        listening = loop.create_task(self._listen(reader))
        watching = loop.create_task(self._watch_memory())
        limit = self._task.timeout
        timer = limit and loop.call_later(limit + self._limits.grace, self.force, f"timeout of {limit:g} s")
        try:
            how = await self._over
            if self._pid:
                kill_rest(self._pid)
            await asyncio.wait([listening], timeout=_LINGER)
        finally:
            for each in (listening, watching, timer):
                if each:
                    each.cancel()
            self._control.close()
        await self._output.finish()
        return self._ending or Ending(None, self._forced or how)

    def cancel(self) -> None:
        """Ask the process to stop, and end it when it has not within the grace."""
        if not self._cancelled:
            reason = f"cancelled, and killed as it did not stop within {self._limits.grace:g} s"
            asyncio.get_running_loop().call_later(self._limits.grace, self.force, reason)
        self._cancelled = True
        self._tell_to_stop()

    def _tell_to_stop(self) -> None:
        if self._control is not None and not self._control.is_closing():
            self._control.write(b'{"cancel": true}\n')

    def force(self, reason: str = "") -> None:
        """End the process at once. The reason, if it is not the signal alone."""
        self._doomed = True
        if self._over is None or self._over.done():
            return
        self._forced = self._forced or reason
        if self._pid:
            kill_group(self._pid)
        else:  # it is not there yet; if it comes after all, it finds its channel closed
            self._over.set_result(reason or "ended before its process was there")

    def _start(self, template: Template) -> socket.socket:
        ours, theirs = socket.socketpair()
        pipes = {"INFO": os.pipe(), "WARNING": os.pipe()}
        with theirs:
            written = [end for _, end in pipes.values()]
            self._over = template.request([theirs.fileno(), *written], self._note_start)
            for end in written:
                os.close(end)
        self._output.read({level: end for level, (end, _) in pipes.items()})
        return ours

    def _note_start(self, pid: int) -> None:
        self._pid = self._output.pid = pid
        if self._over is not None and self._over.done():
            kill_group(pid)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionResetError):
            while line := await reader.readline():
                match json.loads(line):
                    case {"secret": str(secret)}:
                        self._redactor.learn(secret)
                    case {"ending": dict(ending)}:
                        self._ending = Ending.from_dict(ending)
                        asyncio.get_running_loop().call_later(_LINGER, self.force)

    async def _watch_memory(self) -> None:
        if self._limits.memory is None:
            return
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            used = memory.above(self._pid, self._limits.memory) if self._pid else None
            if used is not None:
                allowed = memory.in_words(self._limits.memory)
                self.force(f"out of memory: {memory.in_words(used)} of {allowed} allowed")
                return
