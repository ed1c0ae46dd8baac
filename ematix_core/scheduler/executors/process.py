"""The executor `process`: each task in a process of its own, so that whatever happens to one happens to no other.

One thread has an event loop with everything in it: template processes, the tasks' processes, what they print.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from ematix_core.config.redact import Redactor
from ematix_core.errors import ConfigError, UnsupportedError
from ematix_core.scheduler.executors.output import Output
from ematix_core.scheduler.executors.supervision import Limits, Supervision
from ematix_core.scheduler.executors.templates import Template
from ematix_core.scheduler.protocols import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ematix_core.scheduler.protocols import Running, Task
    from ematix_core.store import RunStore

_log = logging.getLogger(__name__)

_WRITERS = 4
"""Threads that write what the processes print."""

Place = tuple[tuple[str, ...], str]
"""Modules and folder of a project."""


class ProcessExecutor:
    """Starts tasks in processes of their own; implements `Executor`.

    `store`: where what they print is written. `modules` and `directory`: the project that is loaded ahead, so that the
    first task starts as fast as the others. `memory`: bytes that a task may take. `grace`: seconds to roll back after a
    cancel and when a task's time has passed. `fork`: whether processes are forked from one that has loaded everything;
    default on Linux.
    """

    def __init__(
        self,
        *,
        store: RunStore,
        modules: Sequence[str] = (),
        directory: str = "",
        memory: int | None = None,
        grace: float = 10.0,
        fork: bool | None = None,
    ) -> None:
        if sys.platform == "win32":
            raise UnsupportedError("the executor 'process' needs a POSIX system", hint="Use the executor 'thread'.")
        self._store = store
        self._limits = Limits(memory=memory, grace=grace)
        self._fork = sys.platform == "linux" if fork is None else fork
        self._templates: dict[Place, Template] = {}
        self._retired: list[Template] = []
        self._running: dict[asyncio.Task[None], Supervision] = {}
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="ematix-output")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ematix-processes", daemon=True)
        self._thread.start()
        if modules:
            self._loop.call_soon_threadsafe(self._loop.create_task, self._prepare((tuple(modules), directory)))

    def start(self, task: Task, ended: Callable[[Ending], None]) -> Running:
        """Start the task in a process. Raises ConfigError when a process could not reach the store."""
        if task.store.startswith("memory:"):
            raise ConfigError(
                "a store in memory cannot be shared by processes", where=f"job {task.job}",
                hint="Set EMATIX_STORE to a database, or use the executor 'thread'.",
            )  # fmt: skip
        redactor = Redactor()
        supervision = Supervision(task, self._limits, Output(task, self._store, self._writers, redactor), redactor)
        self._loop.call_soon_threadsafe(self._begin, task, supervision, ended)
        return _ProcessTask(self._loop, supervision)

    def reload(self) -> None:
        """Load the project anew for the tasks to come; those at work stay as they are."""
        self._loop.call_soon_threadsafe(self._renew)

    def close(self) -> None:
        """Kill what runs, and end all processes and threads."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._writers.shutdown()

    def _begin(self, task: Task, supervision: Supervision, ended: Callable[[Ending], None]) -> None:
        running = self._loop.create_task(self._carry_out(task, supervision, ended))
        self._running[running] = supervision
        running.add_done_callback(lambda done: self._running.pop(done, None))

    async def _carry_out(self, task: Task, supervision: Supervision, ended: Callable[[Ending], None]) -> None:
        try:
            ending = await supervision.carry_out(self._template((task.modules, task.directory)))
        except Exception as error:  # noqa: BLE001 - whoever waits for the ending must get one; it is logged
            _log.exception("job %s could not be started or watched", task.job)
            supervision.force()
            ending = Ending(None, f"{type(error).__name__}: {error}")
        ended(ending)

    def _template(self, place: Place) -> Template:
        found = self._templates.get(place)
        if found is None or found.over:
            found = self._templates[place] = Template(*place, fork=self._fork)
        return found

    async def _prepare(self, place: Place) -> None:
        with suppress(OSError):  # the first task says what is wrong
            self._template(place)

    def _renew(self) -> None:
        self._retired = [template for template in self._retired if not template.over]
        for place, template in self._templates.items():
            if not template.over:
                template.retire()
                self._retired.append(template)
            self._templates[place] = Template(*place, fork=self._fork)

    async def _end(self) -> None:
        for supervision in self._running.values():
            supervision.force()
        if self._running:
            await asyncio.wait(self._running)
        templates = [template for template in (*self._templates.values(), *self._retired) if not template.over]
        for template in templates:
            template.retire()
        await asyncio.gather(*(template.ended() for template in templates))
        await self._loop.shutdown_default_executor()


class _ProcessTask:
    """Implements `Running`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, supervision: Supervision) -> None:
        self._loop = loop
        self._supervision = supervision

    def cancel(self) -> None:
        """Ask the process to stop and roll back."""
        self._loop.call_soon_threadsafe(self._supervision.cancel)

    def kill(self) -> None:
        """Kill the process and all that it started."""
        self._loop.call_soon_threadsafe(self._supervision.force)
