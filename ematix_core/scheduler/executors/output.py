"""What a task's process prints, line by line, into the log of its run."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ematix_core.errors import StoreError
from ematix_core.store import LogLine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor as Threads

    from ematix_core.config.redact import Redactor
    from ematix_core.scheduler.protocols import Task
    from ematix_core.store import RunStore

_log = logging.getLogger(__name__)

SECONDS = 0.5
"""A line waits at most this long before it is written."""
_MANY = 2000
"""With so many lines unwritten nothing more is read: then the process has to wait when it prints."""
_LONG = 16_384
"""Bytes after which a line is cut."""
_SHOWN = 20
_FAREWELL = 2.0
"""Seconds to wait for the end of the output after the process ended: something may still hold the pipe."""

Line = tuple[datetime, str, str]
"""Time, level and text."""


class Output:
    """The output of one process; for the executor's event loop. `redactor` knows the run's secrets."""

    def __init__(self, task: Task, store: RunStore, threads: Threads, redactor: Redactor) -> None:
        self._task = task
        self._store = store
        self._threads = threads
        self._redactor = redactor
        self._run_id = ""
        self._lines: list[Line] = []
        self._reading: list[asyncio.Task[None]] = []
        self._writing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._ended = False
        self.pid = 0
        """The process, once it is known: its run is found by it."""

    def read(self, descriptors: Mapping[str, int]) -> None:
        """Begin to read pipes, given by the level that their lines get. They are closed here."""
        self._reading = [asyncio.create_task(self._read(pipe, level)) for level, pipe in descriptors.items()]

    async def finish(self) -> None:
        """Read and write what is left, after the process has ended."""
        self._ended = True
        self._hurry.set()
        await asyncio.wait(self._reading, timeout=_FAREWELL)
        for reading in self._reading:
            reading.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        if self._writing is not None:
            await self._writing
        if self._lines and not await self._write():
            shown = "\n".join(text for _, _, text in self._lines[-_SHOWN:])
            _log.warning("job %s printed this, which no run's log could take:\n%s", self._task.job, shown)

    async def _read(self, pipe: int, level: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
        )
        rest = b""
        try:
            while chunk := await reader.read(65_536):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONG:
                    lines, rest = [*lines, rest], b""
                await self._take(lines, level)
        finally:
            transport.close()
            await self._take([rest], level)

    async def _take(self, lines: Sequence[bytes], level: str) -> None:
        now = datetime.now(UTC)
        texts = (line[start : start + _LONG] for line in lines for start in range(0, len(line), _LONG))
        self._lines += [(now, level, text.decode(errors="replace").rstrip("\r")) for text in texts if text.strip()]
        if self._lines:
            self._write_soon()
        while len(self._lines) >= _MANY and not self._ended:
            self._hurry.set()
            await asyncio.wait([self._write_soon()])

    def _write_soon(self) -> asyncio.Task[None]:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_later())
        return self._writing

    async def _write_later(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), SECONDS)
        self._hurry.clear()
        if not await self._write() and not self._ended:
            await asyncio.sleep(SECONDS)

    async def _write(self) -> bool:
        lines, self._lines = self._lines, []
        written = await asyncio.get_running_loop().run_in_executor(self._threads, self._store_lines, lines)
        if not written:
            self._lines = lines + self._lines
        return written

    def _store_lines(self, lines: Sequence[Line]) -> bool:
        """Write lines to the run's log, in a thread; return False when there is no run yet, or no store."""
        try:
            self._run_id = self._run_id or self._find_run()
            if self._run_id:
                masked = (LogLine(self._run_id, at, level, self._redactor.mask(text)) for at, level, text in lines)
                self._store.log(masked)
        except StoreError as error:
            _log.warning("what job %s prints cannot be written to its log: %s", self._task.job, error)
            return False
        return bool(self._run_id)

    def _find_run(self) -> str:
        found = self._store.runs(job=self._task.job, workflow_run_id=self._task.workflow_run_id, limit=5)
        return next((run.run_id for run in found if run.pid == self.pid), "")
