"""Names: of a limited length, as the store keeps them, and told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST = 255
"""Characters. A name stands in indexes, and those of MySQL take little more in utf8mb4."""


def require_short(**options: str) -> None:
    """Raise DeclarationError for an option whose text is longer than the store keeps."""
    for option, text in options.items():
        if len(text) > LONGEST:
            raise DeclarationError(
                f"{option}={text[:20] + '...'!r} has {len(text):,} characters, of which the store keeps {LONGEST}",
                hint="Choose a shorter one.",
            )


def joined(names: Sequence[str]) -> str:
    """Return the names as one of them, the first few if they are many: `a, b, c and 37 more`."""
    whole = ", ".join(names)
    shown = len(names)
    while len(whole) > LONGEST and shown > 1:
        shown -= 1
        whole = f"{', '.join(names[:shown])} and {len(names) - shown:,} more"
    return whole if len(whole) <= LONGEST else f"{len(names):,} jobs"


def alike(names: Iterable[str], *, folded: bool) -> tuple[str, str] | None:
    """Return the first two names that are one; `folded`: also those that differ in case only."""
    seen: dict[str, str] = {}
    for name in names:
        key = name.lower() if folded else name
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None
