"""Work in a thread of its own, so that Dagster can stop it while it is busy.

Dagster stops a step by a signal, and Python lets a signal's handler wait until the main thread comes back from a
database's library. The main thread only waits here, and does now and then what is asked of it.
"""

from __future__ import annotations

import contextvars
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from ematix_core.orchestration import Cancellation

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def stoppable(
    work: Callable[[Cancellation], T],
    *,
    meanwhile: Callable[[], None] = lambda: None,
    every: float | None = None,
) -> T:
    """Return what `work` returns, which is given the stop button to look at.

    `meanwhile` is called in this thread, each `every` seconds. Raises what the work raises; what `meanwhile` raises or
    else interrupts the wait, once the work has ended and is rolled back.
    """
    button = Cancellation()
    with ThreadPoolExecutor(1, "ematix-job") as threads:
        future = threads.submit(contextvars.copy_context().run, work, button)
        try:
            while wait([future], timeout=every).not_done:
                meanwhile()
            return future.result()
        except BaseException:
            if not future.done():  # it is the wait that has ended: Dagster terminates the run, or Ctrl-C
                button.cancel()
                wait([future])
            raise
