"""The two sources of a join as one: polled in turn, with positions that have the side's name before the partition's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ematix_core.backends.stream_protocols import Polled
from ematix_core.errors import ConfigError
from ematix_core.streaming.records import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from ematix_core.backends.stream_protocols import (
        HeldSource,
        PollLimits,
        Position,
        Positions,
        Start,
        StreamSource,
    )
    from ematix_core.streaming.records import Records

_V = TypeVar("_V")
_LOOK_SECONDS, _TURN_SECONDS = 0.002, 0.05
"""So long a side is looked at first, and then waited for, before it is the other one's turn."""


@dataclass(frozen=True)
class SidePolled(Polled):
    """What was polled of one side: 0 for left, 1 for right."""

    side: int = 0


class PairedSource:
    """Implements `StreamSource` with two of them. `_partition` is named as in the positions: `orders/topic:0`."""

    payload = ""

    def __init__(self, names: Sequence[str], sources: Sequence[StreamSource], start: Start) -> None:
        """`start`: where a side without positions begins."""
        self._names, self.sides, self._start = names, sources, start
        self._turn = 0
        self.first: int | None = None
        """The side that is polled first, as the other one is ahead of it; None: by turns."""

    def seek(self, start: Start) -> None:
        if not isinstance(start, Mapping):
            for source in self.sides:
                source.seek(start)
            return
        known = tuple(f"{name}/" for name in self._names)
        for partition in start:
            if not partition.startswith(known):
                raise ConfigError(
                    f"position {partition!r} is of neither side",
                    hint=f"Write {' or '.join(known)} before the partition.",
                )
        for side, source in enumerate(self.sides):
            source.seek(self._of(side, start) or self._start)

    def poll(self, limits: PollLimits) -> Polled | None:
        """Return rows of the side whose turn it is, or of the other one where that has none."""
        end = time.monotonic() + limits.seconds
        self._turn = 1 - self._turn if self.first is None else self.first
        seconds = min(_LOOK_SECONDS, limits.seconds)
        while True:
            for side in (self._turn, 1 - self._turn):
                mine = replace(limits, seconds=seconds, before=self._of(side, limits.before))
                polled = self.sides[side].poll(mine)
                if polled is not None:
                    return SidePolled(self._named(polled.rows, side), self.positions(), polled.bad, side)
            left = end - time.monotonic()
            if left <= 0:
                return None
            seconds = min(_TURN_SECONDS, left)

    def positions(self) -> Positions:
        return self._both(lambda source: source.positions())

    def end(self) -> Positions:
        return self._both(lambda source: source.end())

    def commit(self, positions: Positions) -> None:
        for side, source in enumerate(self.sides):
            if mine := self._of(side, positions):
                source.commit(mine)

    def hold(self, groups: Sequence[str]) -> tuple[Positions, Mapping[str, str]]:
        """Read each side in the name of a group of its own, as both may be of one topic: see `HeldSource`."""
        positions: dict[str, Position] = {}
        notes: dict[str, str] = {}
        for name, source, group in zip(self._names, self.sides, groups, strict=True):
            found, beside = cast("HeldSource", source).hold(group)
            positions |= _prefixed(name, found)
            notes |= _prefixed(name, beside)
        return positions, notes

    def close(self) -> None:
        for source in self.sides:
            source.close()

    def parted(self, positions: Positions) -> list[tuple[StreamSource, dict[str, Position]]]:
        """Return each side with those of the positions that are its own, as itself names them."""
        return [(source, self._of(side, positions)) for side, source in enumerate(self.sides)]

    def partitions(self, side: int) -> list[str]:
        """Return the partitions of one side, as they are named in the positions."""
        return [f"{self._names[side]}/{name}" for name in self.sides[side].positions()]

    def _both(self, ask: Callable[[StreamSource], Positions]) -> Positions:
        found: dict[str, Position] = {}
        for name, source in zip(self._names, self.sides, strict=True):
            found |= _prefixed(name, ask(source))
        return found

    def _of(self, side: int, positions: Positions) -> dict[str, Position]:
        prefix = f"{self._names[side]}/"
        return {name.removeprefix(prefix): at for name, at in positions.items() if name.startswith(prefix)}

    def _named(self, rows: pa.RecordBatch, side: int) -> pa.RecordBatch:
        """Return the rows with their partition's name as it is in the positions."""
        import pyarrow as pa
        import pyarrow.compute as pc

        at = rows.schema.get_field_index("_partition")
        if at < 0:
            return rows
        partitions: Any = rows.column(at).cast(pa.string())
        return rows.set_column(at, "_partition", pc.binary_join_element_wise(f"{self._names[side]}/", partitions, ""))


def sides_of(source: StreamSource) -> Sequence[StreamSource]:
    """Return both sources of a join, or the one of another stream."""
    return source.sides if isinstance(source, PairedSource) else (source,)


def _prefixed(name: str, found: Mapping[str, _V]) -> dict[str, _V]:
    return {f"{name}/{partition}": one for partition, one in found.items()}


class PairedReading(Reading):
    """Makes records of what a `PairedSource` gives, each with the reading of its side."""

    def __init__(self, sides: Sequence[Reading]) -> None:
        super().__init__(None, "")
        self.sides = sides

    def read(self, polled: Polled) -> Records:
        """Return the rows, the letters of those messages that are none, and of which side they are."""
        assert isinstance(polled, SidePolled)  # noqa: S101 - for mypy: it is what the source gives
        return replace(self.sides[polled.side].read(polled), side=polled.side)

    def close(self) -> None:
        """Release both."""
        for one in self.sides:
            one.close()
