"""Alerts as lines on stdout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ematix_core.errors import AlertError

if TYPE_CHECKING:
    from ematix_core.config.alerting import StdoutSettings
    from ematix_core.observe.alert import Alert


def send(_: StdoutSettings, alert: Alert) -> None:
    """Write the title with the time before it, then the text, indented."""
    lines = [f"{alert.at:%Y-%m-%d %H:%M:%S} alert ({alert.kind}): {alert.title}", *alert.text.splitlines()]
    try:
        sys.stdout.write("\n    ".join(lines) + "\n")
        sys.stdout.flush()
    except (OSError, ValueError) as error:  # ValueError: it is closed, or cannot encode the text
        raise AlertError(f"stdout cannot be written: {error}") from None
