"""Collects the log records of a run and writes them to the store in batches."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ematix_core.store.records import LogLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.store.protocol import RunStore

BATCH = 100
SECONDS = 1.0
"""A record waits at most until the first one after this time, or for BATCH of them, or for the end of the run."""

current_run: ContextVar[str | None] = ContextVar("current_run", default=None)
"""The run that this thread (or task) works for. A thread that a job starts has none unless it copies the context."""

_handlers_lock = threading.Lock()
"""Held while a logger's list of handlers is replaced. It is replaced, not changed: `removeHandler` makes a thread that
walks the list at that moment skip another run's handler, and that run loses a line."""


class RunLogHandler(logging.Handler):
    """Writes the records that are logged while `current_run` is `run_id`, so that parallel runs do not mix."""

    def __init__(self, store: RunStore, run_id: str, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._store = store
        self._run_id = run_id
        self._lines: list[LogLine] = []
        self._written = time.monotonic()
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record if it is of this run; write when enough have come together."""
        # The store's own libraries would log about the writing of what they logged.
        if current_run.get() != self._run_id or record.name.partition(".")[0] in {"sqlalchemy", "alembic"}:
            return
        try:
            at = datetime.fromtimestamp(record.created, UTC)
            self._lines.append(LogLine(self._run_id, at, record.levelname, self.format(record)))
            if len(self._lines) >= BATCH or time.monotonic() - self._written >= SECONDS:
                self._write()
        except Exception:  # noqa: BLE001 - as every handler: said on stderr, never raised where something is logged
            self.handleError(record)

    def flush(self) -> None:
        """Write what is left. Raises StoreError."""
        self.acquire()
        try:
            self._write()
        finally:
            self.release()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        self._written = time.monotonic()
        if lines:
            self._store.log(lines)


@contextmanager
def recording(store: RunStore, run_id: str, logger: logging.Logger) -> Iterator[RunLogHandler]:
    """Write what is logged below `logger` inside the block to the run. Raises StoreError at the end of the block."""
    handler = RunLogHandler(store, run_id)
    token = current_run.set(run_id)
    with _handlers_lock:
        logger.handlers = [*logger.handlers, handler]
    try:
        yield handler
    finally:
        with _handlers_lock:
            logger.handlers = [other for other in logger.handlers if other is not handler]
        current_run.reset(token)
        handler.flush()
        handler.close()
