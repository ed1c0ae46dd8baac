"""Amounts of memory as users write them: `512 MiB`, `2GB`."""

from __future__ import annotations

import re

from ematix_core.errors import ConfigError

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str, *, where: str = "") -> int:
    """Return the bytes of `512 MiB`, `2GB` or `1073741824`. Raises ConfigError."""
    match = _SIZE.fullmatch(text)
    size = int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()]) if match else 0
    if not size:
        raise ConfigError(f"{text!r} is no amount of memory", where=where, hint="Write 512 MiB, 2 GiB, ...")
    return size
