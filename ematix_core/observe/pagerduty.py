"""Alerts as incidents of PagerDuty: https://developer.pagerduty.com/docs/events-api-v2/overview/."""

from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING, Any

from ematix_core.observe.alert import AlertKind, key_of
from ematix_core.observe.posting import post
from ematix_core.observe.slack import shortened

if TYPE_CHECKING:
    from ematix_core.config.alerting import PagerDutySettings
    from ematix_core.observe.alert import Alert

_SUMMARY, _KEY, _DETAIL = 1024, 255, 10_000


def send(settings: PagerDutySettings, alert: Alert) -> None:
    """Trigger an incident; a recovery resolves those of the alerts that it ends."""
    event: dict[str, Any] = {"routing_key": settings.routing_key}
    if alert.kind is AlertKind.RECOVERY:
        for kind in alert.ends:
            if kind in settings.on:
                resolve = {"event_action": "resolve", "dedup_key": _short(key_of(alert.unit, kind))}
                post(settings.url, event | resolve)
        return
    payload = {
        "summary": shortened(alert.title, _SUMMARY), "source": socket.gethostname(), "component": alert.unit,
        "severity": settings.severity if alert.kind is AlertKind.FAILURE else "warning", "class": str(alert.kind),
        "timestamp": alert.at.isoformat(),
        "custom_details": {**alert.facts(), "text": shortened(alert.text, _DETAIL)},
    }  # fmt: skip
    post(settings.url, event | {"event_action": "trigger", "dedup_key": _short(alert.key), "payload": payload})


def _short(key: str) -> str:
    """Return the key, or a digest of one that is longer than keys may be."""
    return key if len(key) <= _KEY else hashlib.sha256(key.encode()).hexdigest()
