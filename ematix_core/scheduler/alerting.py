"""Tells people what the scheduler sees: failures, recoveries, lateness, long runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ematix_core.config.redact import Redactor
from ematix_core.observe.alerts import Alerts, declared
from ematix_core.scheduler.observer import Observer
from ematix_core.scheduler.watching import Watch, failed_job, unknown_alerters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from ematix_core.config.settings import Settings
    from ematix_core.model.unit import Unit
    from ematix_core.store import Event, Lease, SchedulerStore

_log = logging.getLogger(__name__)


class Alerting(Observer):
    """Turns what happens into alerts, and hands them to the alerters of the settings."""

    def __init__(self, store: SchedulerStore, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._alerts: Alerts | None = None
        self._watch: Watch | None = None

    def lead(self, lease: Lease) -> None:
        redactor = Redactor()
        self._alerts = Alerts(declared(self._settings, redactor), redactor)
        since = lease.previous or self._clock()
        self._watch = Watch((), since=since, failed_job=lambda run_id: failed_job(self._store, run_id))

    def units(self, units: Iterable[Unit]) -> None:
        found = tuple(units)
        assert self._watch is not None and self._alerts is not None  # noqa: S101, PT018 - `lead` came first
        self._watch.replace(found)
        for line in unknown_alerters(found, self._alerts.names):
            _log.warning("%s", line)

    def event(self, event: Event) -> None:
        if self._watch is not None and self._alerts is not None:
            for alert in self._watch.apply(event):
                self._alerts.send(alert)

    def look(self, now: datetime) -> None:
        if self._watch is not None and self._alerts is not None:
            for alert in self._watch.due(now):
                self._alerts.send(alert)

    def rest(self) -> None:
        alerts, self._alerts, self._watch = self._alerts, None, None
        if alerts is not None and not alerts.close():
            _log.warning("not all alerts could be delivered")
