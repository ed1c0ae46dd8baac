"""The executor `thread`: each task in a thread of this process. The fastest, and without any isolation."""

from __future__ import annotations

import logging
import sys
import sysconfig
import threading
import time
from typing import TYPE_CHECKING

from ematix_core.engine.cancel import Cancellation
from ematix_core.errors import EmatixError
from ematix_core.scheduler.executors.perform import load, perform, settings_of
from ematix_core.scheduler.protocols import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.config.settings import Settings
    from ematix_core.model.project import Project
    from ematix_core.scheduler.protocols import Running, Task
    from ematix_core.store import RunStore

_log = logging.getLogger(__name__)

_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class ThreadExecutor:
    """Starts tasks in threads of this process; implements `Executor`.

    `store`: where runs are recorded. `project`: loaded from the first task's modules unless given; then relative names
    count from the current folder. `grace`: seconds to roll back after a task's time has passed, or at the end.
    """

    def __init__(self, *, store: RunStore, project: Project | None = None, grace: float = 10.0) -> None:
        self._store = store
        self._given = project
        self._grace = grace
        self._loaded = _Loaded()
        self._running: set[_ThreadTask] = set()

    def start(self, task: Task, ended: Callable[[Ending], None]) -> Running:
        """Start the task in a thread of its own."""
        running = _ThreadTask(task, ended, self._perform, self._grace)
        self._running = {one for one in self._running if one.at_work} | {running}
        running.start()
        return running

    def reload(self) -> None:
        """Import the project's modules anew for the next task, unless the project was given."""
        self._loaded = _Loaded(forget=self._loaded.modules)

    def close(self) -> None:
        """Cancel what runs; wait for it as long as the grace lasts, and no longer."""
        running = [one for one in self._running if one.at_work]
        for one in running:
            one.cancel()
        deadline = time.monotonic() + self._grace
        for one in running:
            one.wait(deadline - time.monotonic())
            one.kill()

    def _perform(self, task: Task, cancellation: Cancellation) -> Ending:
        try:
            project, settings = self._loaded.get(task, self._given)
        except EmatixError as error:
            return Ending(None, str(error))
        return perform(task, project=project, settings=settings, store=self._store, cancellation=cancellation)


class _Loaded:
    """The project and the settings, loaded when the first task needs them."""

    def __init__(self, forget: frozenset[str] = frozenset()) -> None:
        self.modules: frozenset[str] = forget
        """The project's own modules, by name."""
        self._lock = threading.Lock()
        self._found: tuple[Project, Settings] | None = None

    def get(self, task: Task, given: Project | None) -> tuple[Project, Settings]:
        """Return both. Raises EmatixError, and tries again for the next task."""
        with self._lock:
            if self._found is None:
                self._found = given or self._load(task), settings_of(task)
            return self._found

    def _load(self, task: Task) -> Project:
        for name in self.modules:
            sys.modules.pop(name, None)
        before = set(sys.modules)
        try:
            return load(task)
        finally:
            self.modules = frozenset(name for name in set(sys.modules) - before if _is_own(name))


def _is_own(name: str) -> bool:
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and not file.startswith(_INSTALLED)


class _ThreadTask:
    """A task in a thread; implements `Running`."""

    def __init__(
        self, task: Task, ended: Callable[[Ending], None], run: Callable[[Task, Cancellation], Ending], grace: float
    ) -> None:
        self._task = task
        self._ended = ended
        self._run = run
        self._cancellation = Cancellation()
        self._telling = threading.Lock()
        self._told = False
        # A daemon: a function that cannot be stopped must not keep the scheduler's process from ending.
        self._thread = threading.Thread(target=self._work, name=f"ematix-{task.job}", daemon=True)
        self._timer: threading.Timer | None = None
        if task.timeout is not None:
            self._timer = threading.Timer(task.timeout + grace, self._give_up, [f"timeout of {task.timeout:g} s"])
            self._timer.daemon = True

    @property
    def at_work(self) -> bool:
        """Whether nobody was told of an end yet."""
        return not self._told

    def start(self) -> None:
        self._thread.start()
        if self._timer is not None:
            self._timer.start()

    def wait(self, seconds: float) -> None:
        self._thread.join(max(0.0, seconds))

    def cancel(self) -> None:
        """Press the run's stop button."""
        # Pressing it interrupts databases, which may take a moment.
        threading.Thread(target=self._cancellation.cancel, name="ematix-cancel", daemon=True).start()

    def kill(self) -> None:
        """Cancel, and wait no longer: a thread cannot be ended from outside."""
        if self.at_work:
            self._give_up("given up")

    def _give_up(self, reason: str) -> None:
        self.cancel()
        self._tell(Ending(None, f"{reason}; its thread may still be at work"))

    def _work(self) -> None:
        ending = Ending(None, "its thread ended without a result")
        try:
            ending = self._run(self._task, self._cancellation)
        finally:
            self._tell(ending)
            if self._timer is not None:
                self._timer.cancel()

    def _tell(self, ending: Ending) -> None:
        with self._telling:
            if self._told:
                return
            self._told = True
        self._ended(ending)
