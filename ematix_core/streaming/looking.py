"""What happens between two attempts of a search for bad records: a stop is heeded, and somebody is told of it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ematix_core.engine.cancel import Cancellation
    from ematix_core.streaming.control import Control, Observer

_log = logging.getLogger(__name__)
_SHOW_SECONDS = 1.0
_FIRST_SECONDS, _NEXT_SECONDS = 3.0, 10.0
"""After so many seconds of a search the log says that there is one, and so often again."""


class StoppedError(Exception):
    """A stop was asked for during a search: the micro-batch is not loaded. Never leaves the consumer."""


class Looking:
    """One search. Called before each attempt: how many records were looked at, of how many, and how many are bad."""

    def __init__(
        self, stream: str, target: str, control: Control, cancellation: Cancellation, observer: Observer
    ) -> None:
        self._stream, self._target = stream, target
        self._control, self._cancellation, self._observer = control, cancellation, observer
        now = time.monotonic()
        self._show, self._log = now + _SHOW_SECONDS, now + _FIRST_SECONDS

    def __call__(self, looked: int, of: int, found: int) -> None:
        """Raise StoppedError when a stop is asked for, and what a cancellation raises."""
        self._cancellation.check()
        if self._control.stopping:
            raise StoppedError
        now = time.monotonic()
        if now >= self._show:
            self._show = now + _SHOW_SECONDS
            self._observer.searching(self._target, looked, of, found)
        if now >= self._log:
            self._log = now + _NEXT_SECONDS
            _log.warning(
                "stream %s, %s: some records of a micro-batch cannot be loaded, and are looked for: "
                "%s of %s looked at, %s bad",
                self._stream, self._target, f"{looked:,}", f"{of:,}", f"{found:,}",
            )  # fmt: skip
