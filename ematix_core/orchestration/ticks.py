"""The ticks of a cron pattern as the scheduler counts them, for an orchestrator whose own clock rules differ."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ematix_core.model.schedule import Schedule
from ematix_core.scheduler.ticks import Ticks

if TYPE_CHECKING:
    from datetime import datetime

_MOMENT = timedelta(microseconds=1)


class TickSource:
    """The ticks of `cron`, read as local time of `timezone` (an IANA name). All moments are aware; answers are in UTC.

    Raises DeclarationError for what is no pattern of five fields or no zone.
    """

    def __init__(self, cron: str, timezone: str = "UTC") -> None:
        self._schedule = Schedule(cron, timezone)
        self._ticks = Ticks(self._schedule)

    def after(self, moment: datetime) -> datetime:
        """Return the first tick later than the moment."""
        return self._ticks.first(moment)

    def before(self, moment: datetime) -> datetime | None:
        """Return the last tick earlier than the moment; None when there was none in the 40 years before."""
        return self._ticks.before(moment)

    def up_to(self, moment: datetime) -> datetime | None:
        """Return the last tick not later than the moment; None when there was none in the 40 years before."""
        return self._ticks.before(moment + _MOMENT)

    def __str__(self) -> str:
        """Return pattern and zone, such as `0 2 * * * Europe/London`."""
        return str(self._schedule)
