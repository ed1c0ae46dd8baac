"""Alerts as JSON to any URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.observe.posting import post

if TYPE_CHECKING:
    from ematix_core.config.alerting import WebhookSettings
    from ematix_core.observe.alert import Alert


def send(settings: WebhookSettings, alert: Alert) -> None:
    """Post the alert's `to_dict()`."""
    post(settings.url, alert.to_dict(), headers=settings.headers)
