"""One consumer of a stream at a time, wherever it runs: it holds a lease in the store, and renews it while it consumes.

For orchestrators, which start a consumer again while the one before may still live. Rows are exact without it, by their
positions; with it no two consumers pull partitions from each other. `flow consume` takes no lease.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ematix_core.errors import CancelledError, LeaseLostError, StoreError
from ematix_core.store.process import ProcessIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ematix_core.store import Lease, SchedulerStore
    from ematix_core.streaming.control import Control

_log = logging.getLogger(__name__)
LEASE_SECONDS = 30.0
_RENEWALS = 6
"""How often the lease is renewed before it would end."""
_OWN_PART = 2 / 3
"""A consumer whose lease was not renewed for this part of it stops: the rest is for its rollback."""
_LOOK_SECONDS = 0.5
_HOLDER_LETTERS = 200


@contextmanager
def alone(
    store: SchedulerStore,
    stream: str,
    *,
    holder: str,
    control: Control,
    waiting: Callable[[str], None] | None = None,
    seconds: float = LEASE_SECONDS,
) -> Iterator[Control]:
    """Wait until no other one holds the stream's lease, hold it while the block runs, and yield what it consumes with.

        with alone(store, "clicks", holder="airflow:clicks/run", control=Control()) as control:
            consume_stream(stream, project, control=control)

    A consumer that is dead holds the lease for up to `seconds` after its last renewal; one that ends gives it back at
    once. When the lease cannot be renewed, the control that was yielded is cancelled before another may have the lease,
    also while the store does not answer; what was not committed is rolled back. `holder` says for whom it consumes, the
    process is added. `waiting` is told whom it waits for, once for each. Raises LeaseLostError at the end of a block
    that has lost the lease, CancelledError when `control` is stopped during the wait, StoreError.
    """
    me = ProcessIdentity.current()
    tenure = _Tenure(store, stream, f"{holder[:_HOLDER_LETTERS]}, process {me.pid} on {me.host}"[:255], seconds)
    tenure.wait(control, waiting)
    try:
        yield control.of(control.paused, lost=lambda: tenure.lost)
    except CancelledError as error:
        tenure.check(error)
        raise
    else:
        tenure.check()
    finally:
        tenure.end()


def holder_of(store: SchedulerStore, stream: str) -> str:
    """Return who has the stream's lease now, as `alone` was told, and the process; empty when nobody has it."""
    lease = store.lease(_lease_name(stream))
    return lease.holder if lease is not None else ""


class _Tenure:
    """The lease of one consumer, renewed by a thread from `wait` to `end`."""

    def __init__(self, store: SchedulerStore, stream: str, holder: str, seconds: float) -> None:
        self._store, self._stream = store, stream
        self._holder, self._seconds = holder, seconds
        self._taken = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{stream}", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether another one has the lease, or may have it soon. Needs no answer of the store."""
        return self._taken or time.monotonic() - self._renewed >= self._seconds * _OWN_PART

    def wait(self, control: Control, waiting: Callable[[str], None] | None) -> None:
        """Take the lease as soon as it is free."""
        name, told = _lease_name(self._stream), ""
        while True:
            self._renewed = time.monotonic()
            lease = self._store.acquire_lease(name, self._holder, self._seconds)
            if lease is not None:
                self._lease: Lease = lease
                self._thread.start()
                return
            other = self._store.lease(name)
            if other is not None and other.holder != told:
                told = other.holder
                if waiting is not None:
                    waiting(f"another consumer of stream {self._stream} is at work, or was until now: {told}")
            if control.wait(_LOOK_SECONDS):
                raise CancelledError(
                    f"stopped while it waited for another consumer: {told}", where=f"stream {self._stream}"
                )

    def check(self, cause: BaseException | None = None) -> None:
        """Raise LeaseLostError when the lease is lost."""
        if self.lost:
            raise LeaseLostError(
                "this consumer's lease is another's by now" if self._taken
                else f"this consumer's lease was not renewed for {self._seconds * _OWN_PART:g} s: the store does not "
                "answer, or the process was stopped",
                where=f"stream {self._stream}", hint="What was not committed is rolled back. The next consumer goes on "
                "where the target is.",
            ) from cause  # fmt: skip

    def end(self) -> None:
        """Give the lease back. One that is another's stays so."""
        self._over.set()
        self._thread.join()
        try:
            self._store.release_lease(self._lease)
        except StoreError as error:
            _log.warning("the lease of stream %s could not be given back, and ends by itself: %s", self._stream, error)

    def _keep(self) -> None:
        while not self._over.wait(self._seconds / _RENEWALS):
            asked = time.monotonic()
            try:
                renewed = self._store.renew_lease(self._lease, self._seconds)
            except StoreError as error:
                _log.warning("the lease of stream %s could not be renewed: %s", self._stream, error)
                continue
            if renewed is None:
                self._taken = True
                return
            self._renewed = asked


def _lease_name(stream: str) -> str:
    return f"stream:{stream}"[:255]
