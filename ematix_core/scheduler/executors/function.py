"""The executors of functions: a task is sent to one, which answers with the ending or lets the store tell it."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ematix_core.errors import ConfigError, StoreError
from ematix_core.scheduler.protocols import Ending
from ematix_core.store import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.scheduler.protocols import Running, Task
    from ematix_core.store import Run, RunStore

_log = logging.getLogger(__name__)

_ENDED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


class Function(Protocol):
    """A function somewhere else that carries out tasks, by `flow perform-task` or `perform`."""

    def call(self, task: Task, key: str) -> Ending | None:
        """Send the task, wait for the answer and return it; None when only the store can tell the end.

        `key` stands for this start of the task. Blocks; called from a thread of its own. Does not raise: a refusal is
        an ending without a status.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How long an executor of functions waits, in seconds."""

    start: float = 120.0
    """From a call that brought no answer to the begin of the run."""
    grace: float = 30.0
    """To roll back, after a task's time has passed."""
    poll: float = 2.0
    """Between two looks into the store."""


class FunctionExecutor:
    """Starts tasks in a function; implements `Executor`.

    `store`: asked for the end when the function does not tell it. `directory`: the project's folder where the function
    runs. `same_host`: whether it runs on this machine, so that the store may be a file.
    """

    def __init__(
        self, function: Function, *, store: RunStore, directory: str = "", waiting: Waiting | None = None,
        same_host: bool = False,
    ) -> None:  # fmt: skip
        self._function = function
        self._store = store
        self._directory = directory
        self._waiting = waiting or Waiting()
        self._out_of_reach = ("memory:",) if same_host else ("memory:", "sqlite:")
        self._calls: set[_Call] = set()

    def start(self, task: Task, ended: Callable[[Ending], None]) -> Running:
        """Call the function, in a thread. Raises ConfigError when it could not reach the store."""
        if task.store.startswith(self._out_of_reach):
            raise ConfigError(
                "the function cannot reach the store: it is a file, or in memory", where=f"job {task.job}",
                hint="Set EMATIX_STORE to a PostgreSQL or MySQL database.",
            )  # fmt: skip
        call = _Call(replace(task, directory=self._directory), self._function, self._store, self._waiting, ended)
        self._calls = {one for one in self._calls if one.open} | {call}
        call.begin()
        return call

    def reload(self) -> None:
        """Do nothing: the function loads the project that it was deployed with."""

    def close(self) -> None:
        """Ask what runs to stop, and wait for it no longer."""
        for call in self._calls:
            call.kill()


class _Call:
    """A task in a function; implements `Running`."""

    def __init__(
        self, task: Task, function: Function, store: RunStore, waiting: Waiting, ended: Callable[[Ending], None]
    ) -> None:
        self._task = task
        self._function = function
        self._store = store
        self._waiting = waiting
        self._ended = ended
        self._over = threading.Event()
        self._telling = threading.Lock()
        self._before: tuple[str, int] | None = None
        self._cancelling = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether nobody was told of an end yet."""
        return not self._over.is_set()

    def begin(self) -> None:
        """Make the call, in a thread."""
        threading.Thread(target=self._work, name=f"ematix-{self._task.job}", daemon=True).start()
        if self._task.timeout is not None:
            threading.Thread(target=self._limit, args=(self._task.timeout,), daemon=True).start()

    def cancel(self) -> None:
        """Mark the run as to be cancelled: it sees that by its next heartbeat."""
        threading.Thread(target=self._cancel, name="ematix-cancel", daemon=True).start()

    def kill(self) -> None:
        """Cancel, and wait no longer: nobody can end a function from outside."""
        if self.open:
            self.cancel()
            self._tell(Ending(None, "given up; the function may still be at work"))

    def _work(self) -> None:
        before = self._latest()
        self._before = (before.run_id, before.attempts) if before else None
        key = f"{self._task.workflow_run_id}/{self._task.job}/{uuid.uuid4()}"
        ending = Ending(None, "the call failed")
        try:
            ending = self._function.call(self._task, key) or self._told_by_store()
        finally:
            self._tell(ending)

    def _told_by_store(self) -> Ending:
        deadline = time.monotonic() + self._waiting.start
        while self.open:
            run = self._own_run()
            if run is None and time.monotonic() > deadline:
                return Ending(None, f"the function began no run within {self._waiting.start:g} s")
            if run is not None and run.status in _ENDED:
                return Ending(run.status, run.error)
            if run is not None and run.status is Status.INTERRUPTED:
                return Ending(None, "the function ended without a result")
            self._over.wait(self._waiting.poll)
        return Ending(None)  # somebody else told the end

    def _own_run(self) -> Run | None:
        """Return the run that this call brought about, once there is one: a new run, or a new attempt of a lost one."""
        run = self._latest()
        return run if run and (run.run_id, run.attempts) != self._before else None

    def _latest(self) -> Run | None:
        try:
            found = self._store.runs(job=self._task.job, workflow_run_id=self._task.workflow_run_id, limit=1)
        except StoreError as error:  # it may be back at the next look
            _log.warning("the store does not say what became of job %s: %s", self._task.job, error)
            return None
        return found[0] if found else None

    def _cancel(self) -> None:
        with self._cancelling:
            while self.open:
                run = self._own_run()
                if run is not None:
                    try:
                        self._store.cancel(run.run_id)
                    except StoreError as error:
                        _log.warning("job %s could not be cancelled: %s", self._task.job, error)
                    return
                self._over.wait(self._waiting.poll)

    def _limit(self, seconds: float) -> None:
        # The function stops itself after its time; this is for one that is stuck.
        if not self._over.wait(seconds + self._waiting.start + self._waiting.grace):
            self.cancel()
            self._tell(Ending(None, f"timeout of {seconds:g} s"))

    def _tell(self, ending: Ending) -> None:
        with self._telling:
            if not self.open:
                return
            self._over.set()
        self._ended(ending)
