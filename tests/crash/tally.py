"""What the full set of the crash tests did: by scenario, how many kills and how many of them needed another run."""

from __future__ import annotations

KILLS: dict[str, tuple[int, int]] = {}
NOTES: list[str] = []
"""What tests that kill processes of their own accord did, a line each."""


def note(what: str, kills: int) -> None:
    """Keep how many kills there were of what."""
    NOTES.append(f"{kills:>6} {what}")
