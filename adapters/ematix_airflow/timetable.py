"""A timetable on the ticks of ematix: Airflow's own are an hour off, or miss runs, where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

from ematix_core.orchestration.ticks import TickSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.timetables.base import TimeRestriction

Catchup = Literal["latest", "all", "none"]

GRACE = timedelta(seconds=60)
"""A tick that is no older than this is due, not missed: so long the scheduler may take to look."""


_MOMENT = timedelta(microseconds=1)


def _now() -> datetime:
    return datetime.now(UTC)


def _plain(moment: datetime) -> datetime:
    """Return Airflow's moment as Python's own kind: pendulum's lose their zone in some sums."""
    return datetime.fromisoformat(moment.isoformat())


class EmatixTimetable(Timetable):
    """A run at each tick of `cron`, local time of `timezone`; its data interval is (the tick before, the tick).

    `catchup`: which ticks missed in a downtime have a run: the "latest", "all" or "none" (none that is older than 60
    seconds). Backfills, and DAGs with Airflow's own `catchup=True`, have each tick. Ticks count from when the DAG is
    first seen, not from its start date. Raises DeclarationError for a bad pattern or zone.
    """

    def __init__(
        self, cron: str, timezone: str = "UTC", catchup: Catchup = "latest", *, clock: Callable[[], datetime] = _now
    ) -> None:
        self._ticks = TickSource(cron, timezone)
        self._arguments = {"cron": cron, "timezone": timezone, "catchup": catchup}
        self._catchup = catchup
        self._clock = clock
        self.description = f"{self._ticks}, ticks by ematix"

    @property
    def summary(self) -> str:
        return str(self._ticks)

    def serialize(self) -> dict[str, Any]:
        return dict(self._arguments)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> EmatixTimetable:
        return cls(**data)

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Return the last interval that was over when the run was asked for."""
        tick = self._ticks.up_to(_plain(run_after))
        return DataInterval.exact(run_after) if tick is None else self._interval(tick)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run after the last one, or None when it lies beyond the DAG's end."""
        last = None if last_automated_data_interval is None else _plain(last_automated_data_interval.end)
        tick = self._next(last, restriction)
        interval = self._interval(tick, last)
        if restriction.latest is not None and interval.start > restriction.latest:
            return None
        return DagRunInfo.interval(interval.start, interval.end)

    def _next(self, last: datetime | None, restriction: TimeRestriction) -> datetime:
        earliest = None if restriction.earliest is None else self._first_tick(_plain(restriction.earliest))
        now = self._clock()
        if last is not None:
            candidate = self._ticks.after(last)
        elif restriction.catchup and earliest is not None:
            candidate = earliest
        else:
            candidate = self._ticks.after(now - GRACE)
        if earliest is not None:
            candidate = max(candidate, earliest)
        if restriction.catchup or self._catchup == "all" or last is None:
            return candidate
        if self._catchup == "none":
            return max(candidate, self._ticks.after(now - GRACE))
        latest = self._ticks.up_to(now)
        return candidate if latest is None else max(candidate, latest)

    def _first_tick(self, earliest: datetime) -> datetime:
        """Return the tick at which the first interval ends that does not begin earlier than the moment."""
        return self._ticks.after(self._ticks.after(earliest - _MOMENT))

    def _interval(self, tick: datetime, last: datetime | None = None) -> DataInterval:
        """Return the interval that ends with the tick.

        It does not begin before the last run's has ended: after a change of the pattern the tick before may lie in that
        one, and Airflow tells the runs of a DAG apart by the start.
        """
        start = self._ticks.before(tick) or tick
        if last is not None and last < tick:
            start = max(start, last)
        return DataInterval(pendulum.instance(start), pendulum.instance(tick))
