"""Keeps a running scheduler's units those of the project's files; a broken project leaves the last good one at work."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from ematix_core.errors import EmatixError
from ematix_core.scheduler.projects import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ematix_core.model.unit import Unit
    from ematix_core.scheduler.projects import Snapshot

_log = logging.getLogger(__name__)


class Reloading:
    """A thread that looks at the project's files every `seconds`, and hands over the units when they have changed."""

    def __init__(
        self,
        modules: Sequence[str],
        directory: Path,
        snapshot: Snapshot,
        replace: Callable[[tuple[Unit, ...]], None],
        *,
        seconds: float = 2.0,
    ) -> None:
        self._modules = modules
        self._directory = directory
        self._snapshot = snapshot
        self._replace = replace
        self._seconds = seconds
        self._over = threading.Event()
        self._now = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ematix-reload", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def ask(self) -> None:
        """Load the project again whether its files have changed or not; may be called from a signal handler."""
        self._now.set()

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._now.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            asked = self._now.wait(self._seconds)
            self._now.clear()
            if not self._over.is_set() and (asked or self._snapshot.changed):
                self._load()

    def _load(self) -> None:
        try:
            found = load_snapshot(self._modules, self._directory)
        except EmatixError as error:
            _log.error("the project has changed and cannot be loaded; the last good one stays at work: %s", error)
            self._snapshot = self._snapshot.looked_at()
            return
        problems = [problem for problem in found.problems if problem not in self._snapshot.problems]
        if problems:
            listing = "\n".join(f"- {problem}" for problem in problems)
            _log.error("the project has changed and is broken; the last good one stays at work:\n%s", listing)
            self._snapshot = self._snapshot.looked_at()
            return
        self._snapshot = found
        _log.info("the project has changed: %d units", len(found.units))
        self._replace(found.units)
