"""Deletes what the store keeps of old runs, where the settings say for how long it is kept."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from ematix_core.errors import StoreError
from ematix_core.scheduler.observer import Observer

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ematix_core.store import SchedulerStore

_log = logging.getLogger(__name__)
_EVERY_SECONDS = 3600.0


class Forgetting(Observer):
    """Prunes the store once an hour while this scheduler is at work, in a thread of its own."""

    def __init__(self, store: SchedulerStore, keep: timedelta) -> None:
        self._store = store
        self._keep = keep
        self._last: datetime | None = None
        self._thread: threading.Thread | None = None

    def look(self, now: datetime) -> None:
        if self._last is not None and (now - self._last).total_seconds() < _EVERY_SECONDS:
            return
        self._last = now
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._prune, args=[now - self._keep], name="ematix-prune", daemon=True
            )
            self._thread.start()

    def rest(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._last = None

    def _prune(self, before: datetime) -> None:
        try:
            deleted = self._store.prune(before)
        except StoreError as error:
            _log.warning("old runs could not be deleted: %s", error)
            return
        if deleted:
            _log.info("%d runs from before %s are deleted", deleted, f"{before:%Y-%m-%d %H:%M} UTC")
