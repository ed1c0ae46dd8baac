"""Keeps a run's heartbeat going while it runs, so that other hosts know that it is alive."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.store.protocol import RunStore

_log = logging.getLogger(__name__)


@contextmanager
def beating(store: RunStore, run_id: str, *, every: float = 10.0) -> Iterator[None]:
    """Send a heartbeat for the run (or workflow run) each `every` seconds, from a thread, until the block ends.

    A heartbeat that fails is logged and tried again: the store may be back before anybody misses it.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            try:
                store.heartbeat(run_id)
            except StoreError as error:
                _log.warning("no heartbeat for run %s: %s", run_id, error)

    thread = threading.Thread(target=beat, name=f"heartbeat {run_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
