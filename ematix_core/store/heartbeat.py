"""Keeps a run's heartbeat going while it runs, so that other hosts know that it is alive."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ematix_core.store.protocol import RunStore

_log = logging.getLogger(__name__)

MEANWHILE_SECONDS = 1.0


@contextmanager
def beating(
    store: RunStore,
    run_id: str,
    *,
    every: float = 10.0,
    cancelled: Callable[[], None] | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Send a heartbeat for the run (or workflow run) each `every` seconds, from a thread, until the block ends.

    `cancelled` is called once, from that thread, when somebody has asked for the run to be cancelled, and `meanwhile`
    every second, to write what else is to be known while the run goes on. A heartbeat that fails is logged and tried
    again: the store may be back before anybody misses it.
    """
    done = threading.Event()
    under_way = threading.Lock()
    tell = cancelled

    def beat() -> None:
        nonlocal tell
        beaten = time.monotonic()
        while not done.wait(min(every, MEANWHILE_SECONDS)):
            with under_way:
                if done.is_set():
                    return
                if meanwhile is not None:
                    _attempt(meanwhile, run_id)
                if time.monotonic() - beaten < every:
                    continue
                beaten = time.monotonic()
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


def _attempt(meanwhile: Callable[[], None], run_id: str) -> None:
    try:
        meanwhile()
    except StoreError as error:
        _log.warning("nothing was written for run %s meanwhile: %s", run_id, error)
