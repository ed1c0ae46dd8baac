"""The Airflow provider of ematix: connection type, hook, operators, sensor, triggers, links."""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """Return what the provider brings, for Airflow, which asks each of its processes for it when it starts."""
    from ematix_provider.info import INFO

    return dict(INFO)
