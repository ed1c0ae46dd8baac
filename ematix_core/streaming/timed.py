"""Rows whose times are good: what the SQL makes of those that were polled, and letters of those that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.errors import ConversionError, EmatixError
from ematix_core.streaming.letters import letters_of
from ematix_core.streaming.poison import is_of_data, without
from ematix_core.streaming.sifting import misshapen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from ematix_core.model.stream import Stream
    from ematix_core.streaming.event_times import EventTimes
    from ematix_core.streaming.looking import Looking
    from ematix_core.streaming.shaping import Shaping

CARRIED = "_partition"
"""The column that goes through the SQL without being asked for: of each partition the newest time is followed."""


class TimedRows:
    """The rows of one source of a stream that keeps a state, or of its join. `payload`: see `Reading`."""

    def __init__(
        self, stream: Stream, shaping: Shaping, times: EventTimes | None, payload: str, looking: Callable[[], Looking]
    ) -> None:
        """Take what the rows pass through. `times`: None where nothing is made of them. `looking`: for each search."""
        self._stream, self._shaping, self._times, self._payload = stream, shaping, times, payload
        self._looking = looking

    def shaped(self, rows: pa.Table, raw: pa.Table) -> tuple[pa.Table, pa.Table | None]:
        """Return what the SQL makes of the rows, and letters of those that it, or their time, makes nothing of."""
        try:
            return self._good(rows), None
        except EmatixError as error:
            if self._stream.on_error == "fail" or not is_of_data(error):
                raise
            as_they_are = not self._stream.transform_sql and not self._stream.enrich
            found = self._times.bad(rows) if self._times is not None and as_they_are else {}
            bad = found or misshapen(rows, self._good, self._shaping, error, self._looking())
            letters = letters_of(raw, list(bad), list(bad.values()), payload=self._payload)
            return self._shaping.shaped(without(rows, bad)), letters

    def newest(self, rows: pa.Table, partitions: Sequence[str]) -> dict[str, int]:
        """Return the newest time of each partition, by their names in the positions."""
        times = self._times.newest(rows) if self._times is not None else {}
        if "" not in times or not partitions:
            return times
        if len(partitions) == 1:
            return {partitions[0]: times[""]}
        raise ConversionError(
            f"rows come from {len(partitions)} partitions, and what transform_sql gives does not tell of which each is",
            hint=f"Select {CARRIED}, too: the partition that is furthest behind is waited for.",
        )

    def _good(self, rows: pa.Table) -> pa.Table:
        """Return what the SQL makes of the rows. Raises what it raises, and for a time that is none."""
        shaped = self._shaping.shaped(rows)
        if self._times is not None:
            self._times.require(shaped)
        return shaped
