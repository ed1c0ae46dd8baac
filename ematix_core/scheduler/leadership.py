"""Which of several schedulers is at work: the one that has the lease, and renews it in time."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from ematix_core.errors import StoreError
from ematix_core.store import SCHEDULER_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.store import Lease, SchedulerStore

_log = logging.getLogger(__name__)
_RENEWALS = 4
"""How often the lease is renewed before it would end."""


class Leadership:
    """The scheduler's lease. While it is held, a thread renews it; when it is lost, `lost` is called from that thread.

    It counts as lost as soon as another scheduler may have it: a store that cannot be reached does not prolong it.
    """

    def __init__(
        self, store: SchedulerStore, holder: str, seconds: float, absence: float, lost: Callable[[], None]
    ) -> None:
        self._store = store
        self._holder = holder
        self._seconds = seconds
        self._absence = absence
        self._lost = lost
        self._lease: Lease | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def lease(self) -> Lease | None:
        """The lease as long as it is held."""
        return self._lease

    def acquire(self) -> Lease | None:
        """Take the lease if nobody has it, and keep it from now on. Raises StoreError."""
        asked = time.monotonic()
        self._lease = self._store.acquire_lease(SCHEDULER_LEASE, self._holder, self._seconds, self._absence)
        if self._lease is not None:
            self._over = threading.Event()
            self._thread = threading.Thread(
                target=self._keep, args=[self._lease, asked, self._over], name="ematix-lease", daemon=True
            )
            self._thread.start()
        return self._lease

    def release(self) -> None:
        """Give the lease back, so that another scheduler need not wait for its end."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        lease, self._lease = self._lease, None
        if lease is not None:
            try:
                self._store.release_lease(lease)
            except StoreError as error:
                _log.warning("the lease could not be given back, and ends by itself: %s", error)

    def _keep(self, lease: Lease, renewed: float, over: threading.Event) -> None:
        while not over.wait(self._seconds / _RENEWALS):
            asked = time.monotonic()
            try:
                if self._store.renew_lease(lease, self._seconds) is None:
                    break
                renewed = asked
            except StoreError as error:
                _log.warning("the lease could not be renewed: %s", error)
                if time.monotonic() - renewed >= self._seconds:
                    break
        if not over.is_set():
            self._lease = None
            self._lost()
