"""Keeps a run's heartbeat going while it runs, so that other hosts know that it is alive."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ematix_core.store.protocol import RunStore

_log = logging.getLogger(__name__)


@contextmanager
def beating(
    store: RunStore, run_id: str, *, every: float = 10.0, cancelled: Callable[[], None] | None = None
) -> Iterator[None]:
    """Send a heartbeat for the run (or workflow run) each `every` seconds, from a thread, until the block ends.

    `cancelled` is called once, from that thread, when somebody has asked for the run to be cancelled. A heartbeat that
    fails is logged and tried again: the store may be back before anybody misses it.
    """
    done = threading.Event()
    under_way = threading.Lock()
    tell = cancelled

    def beat() -> None:
        nonlocal tell
        while not done.wait(every):
            with under_way:
                if done.is_set():
                    return
                asked = _beat(store, run_id)
            if asked and tell is not None:
                tell()
                tell = None

    threading.Thread(target=beat, name=f"heartbeat {run_id}", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        # The thread ends by itself; only a heartbeat that is under way is waited for.
        with under_way:
            pass


def _beat(store: RunStore, run_id: str) -> bool:
    try:
        return store.heartbeat(run_id)
    except StoreError as error:
        _log.warning("no heartbeat for run %s: %s", run_id, error)
        return False
