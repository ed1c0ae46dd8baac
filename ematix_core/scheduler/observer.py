"""Who is told what a scheduler does: alerts and message sources are such."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ematix_core.model.unit import Unit
    from ematix_core.store import Event, Lease


class Observer:
    """Is told by the scheduler what happens, in the scheduler's thread: must not block. By itself it does nothing."""

    def lead(self, lease: Lease) -> None:
        """Hear that this scheduler is at work from now on."""

    def units(self, units: Iterable[Unit]) -> None:
        """Hear which units there are from now on."""

    def event(self, event: Event) -> None:
        """Hear of an event; when the scheduler begins, of all that the store has."""

    def look(self, now: datetime) -> None:
        """Hear that time has passed; many times a second."""

    def rest(self) -> None:
        """Hear that this scheduler is no longer at work. Blocks until everything is released."""
