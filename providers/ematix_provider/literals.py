"""What stands in an Airflow connection, for ours: literal, whatever letters it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ematix_core.errors import ConfigError

OPTIONS = "ematix"
"""The key of an Airflow connection's extra that holds options of ours, such as `{"ematix": {"parallel": 4}}`."""


def literal(text: str) -> str:
    """Return the text so that ematix takes it as it is: `${` begins a reference, `$${` does not."""
    return text.replace("${", "$${")


def options_of(name: str, extra: dict[str, Any]) -> dict[str, Any]:
    """Take the options of ours out of a connection's extra. Raises ConfigError when they are no object."""
    options = extra.pop(OPTIONS, None) or {}
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"{OPTIONS!r} in the extra of Airflow's connection {name!r} is no object", where=f"connection {name}",
            hint='Write {"ematix": {"parallel": 4}}.',
        )  # fmt: skip
    return {key: literal(value) if isinstance(value, str) else value for key, value in options.items()}
