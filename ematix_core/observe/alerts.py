"""Hands alerts to the alerters that want them, without ever making who raises them wait."""

from __future__ import annotations

import logging
import queue
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING

from ematix_core.config.redact import Redactor
from ematix_core.errors import EmatixError, is_transient
from ematix_core.observe.alert import wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ematix_core.config.alerting import AlerterSettings, AlertKind
    from ematix_core.config.settings import Settings
    from ematix_core.observe.alert import Alert, Alerter

_log = logging.getLogger(__name__)

MODULES = {
    "stdout": "ematix_core.observe.stdout",
    "webhook": "ematix_core.observe.webhook",
    "slack": "ematix_core.observe.slack",
    "email": "ematix_core.observe.mail",
    "pagerduty": "ematix_core.observe.pagerduty",
}
"""Each has `send(settings, alert)`, settings resolved; it does what `Alerter.send` says."""
WAITING = 1000
"""So many alerts wait for one alerter at most; further ones are dropped, and the log says so."""
TRIES = 3
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0


class DeclaredAlerter:
    """An alerter as the settings declare it; its secrets are resolved anew for each alert."""

    def __init__(self, settings: AlerterSettings, redactor: Redactor, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._redactor = redactor
        self._environ = environ

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def on(self) -> tuple[AlertKind, ...]:
        return self._settings.on

    def send(self, alert: Alert) -> None:
        try:
            settings = self._settings.resolved(redactor=self._redactor, environ=self._environ)
            import_module(MODULES[settings.kind]).send(settings, alert)
        except EmatixError as error:
            raise error.at(f"alerter {self.name}").masked(self._redactor.mask) from None


def declared(settings: Settings, redactor: Redactor) -> list[DeclaredAlerter]:
    """Return the alerters that the settings declare."""
    return [DeclaredAlerter(one, redactor, settings.environ) for one in settings.alerts.values()]


class Alerts:
    """All alerters. `send` may be called from any thread, returns at once and never raises."""

    def __init__(self, alerters: Iterable[Alerter], redactor: Redactor | None = None) -> None:
        """Take the alerters, and what masks secrets in the log."""
        mask = redactor or Redactor()
        self._lanes = {alerter.name: _Lane(alerter, mask) for alerter in alerters}

    @property
    def names(self) -> tuple[str, ...]:
        """The alerters' names."""
        return tuple(self._lanes)

    def send(self, alert: Alert) -> None:
        """Have the alert delivered by each alerter that it names and that wants it.

        One that names only alerters that do not exist goes to all: a misspelt name must silence nothing.
        """
        named = [self._lanes[name] for name in alert.to if name in self._lanes]
        for lane in named or self._lanes.values():
            lane.offer(alert)

    def close(self, timeout: float = 10.0) -> bool:
        """Deliver what waits, for so many seconds at most; return whether all of it was. Nothing is sent after it."""
        deadline = time.monotonic() + timeout
        for lane in self._lanes.values():
            lane.hurry()
        done = [lane.join(max(0.0, deadline - time.monotonic())) for lane in self._lanes.values()]
        return all(done)


class _Lane:
    """One alerter, the alerts that wait for it, and the thread that sends them: a slow one holds up no other."""

    def __init__(self, alerter: Alerter, redactor: Redactor) -> None:
        self._alerter = alerter
        self._redactor = redactor
        self._waiting: queue.SimpleQueue[Alert | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()

    def offer(self, alert: Alert) -> None:
        if not wanted(alert, self._alerter.on):
            return
        with self._lock:
            if self._hurry.is_set() or self._waiting.qsize() >= WAITING:
                why = "is closed" if self._hurry.is_set() else f"has {WAITING} alerts to send already"
                _log.error("alert %r is dropped: alerter %s %s", alert.title, self._alerter.name, why)
                return
            self._waiting.put(alert)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"alerts {self._alerter.name}", daemon=True)
                self._thread.start()

    def hurry(self) -> None:
        """Take no more alerts, and do not wait between tries."""
        with self._lock:
            self._hurry.set()
            self._waiting.put(None)

    def join(self, seconds: float) -> bool:
        if self._thread is None:
            return True
        self._thread.join(seconds)
        if self._thread.is_alive():
            _log.error("alerter %s was not waited for any longer: alerts are lost", self._alerter.name)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (alert := self._waiting.get()) is not None:
            try:
                self._send(alert)
            except EmatixError as error:
                self._report(alert, str(error))
            except Exception as error:  # noqa: BLE001 - whatever an alerter does wrong, the next alert gets its chance
                self._report(alert, f"{type(error).__name__}: {error}")

    def _send(self, alert: Alert) -> None:
        from tenacity import Retrying, retry_if_exception, sleep_using_event, stop_after_attempt, wait_exponential

        retrying = Retrying(
            stop=stop_after_attempt(TRIES), wait=wait_exponential(_FIRST_PAUSE, max=_LONGEST_PAUSE),
            retry=retry_if_exception(is_transient), sleep=sleep_using_event(self._hurry), reraise=True,
        )  # fmt: skip
        retrying(self._alerter.send, alert)

    def _report(self, alert: Alert, error: str) -> None:
        _log.error("alert %r was not delivered: %s", alert.title, self._redactor.mask(error))
