"""Work in a thread of its own, so that Airflow can stop it while it is busy.

Airflow asks a task to stop by a signal, and Python lets a signal's handler wait until the main thread comes back from a
database's library. The main thread only waits here, so `on_kill` runs at once.
"""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from ematix_provider.failures import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.orchestration import Cancellation

T = TypeVar("T")


class Stoppable(Generic[T]):
    """One call that can be stopped: `run` returns or raises only when it is over, rolled back if need be."""

    def __init__(self, work: Callable[[Cancellation], T]) -> None:
        """`work` is called with the stop button that it has to look at."""
        from ematix_core.orchestration import Cancellation

        self._work = work
        self._cancellation = Cancellation()
        self._result: list[T] = []
        self._error: BaseException | None = None
        self.stopped = False
        """Whether Airflow has asked it to stop."""

    def run(self) -> T:
        """Do the work and return its result. Raises what it raises; what interrupts the wait, after it has ended."""
        # Connections that Airflow has set aside for this task are found by its context.
        thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._do,), name="ematix-task", daemon=True
        )
        thread.start()
        try:
            thread.join()
        except BaseException as interrupt:  # a time limit of Airflow's, or Ctrl-C of `airflow dags test`
            limit = not isinstance(interrupt, KeyboardInterrupt)
            reason = StoppedError("Airflow stopped the attempt and it was rolled back", hint=str(interrupt))
            self._cancellation.cancel(reason if limit else None)
            thread.join()
            raise
        if self._error is not None:
            raise self._error
        return self._result[0]

    def stop(self) -> None:
        """Have it roll back and end; returns at once. May be called from a signal's handler, and by any thread."""
        self.stopped = True
        self._cancellation.cancel()

    def _do(self) -> None:
        try:
            self._result.append(self._work(self._cancellation))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits; drivers panic in their own way
            self._error = error
