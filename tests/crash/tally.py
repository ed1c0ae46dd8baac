"""What the full set of the crash tests did: by scenario, how many kills and how many of them needed another run."""

from __future__ import annotations

KILLS: dict[str, tuple[int, int]] = {}
