"""Where a consumer begins and ends: by itself from the noted positions, or as one of several that share the source."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from ematix_core.backends.stream_protocols import PollLimits, order_of, up_to
from ematix_core.errors import EmatixError, is_transient
from ematix_core.streaming.opening import open_source
from ematix_core.streaming.pairing import sides_of
from ematix_core.streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ematix_core.backends.stream_protocols import (
        HeldSource,
        Polled,
        Position,
        Positions,
        SharedSource,
        Start,
        StreamSource,
    )
    from ematix_core.engine.environment import Environment
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.control import Control, Until

_SMALL = 20
"""A batch of less than this part of what it may have is small: the next one is waited for."""
_WAIT_SECONDS = 1.0
"""So long a poll waits for the first record; a stop is noticed after it at the latest."""


class AloneReading:
    """Polls a source that this consumer has for itself, again and again until a micro-batch is complete."""

    def __init__(self, source: StreamSource, stream: Stream, until: Until) -> None:
        self._source = source
        self._limits = stream.batching
        self._start = stream.start
        self._until = until
        self._end: Positions = {}

    def begin(self, noted: Callable[[], dict[str, Position]]) -> dict[str, Position]:
        """Go to where reading begins, and return the positions that the target has."""
        at = noted()
        self._source.seek(self._until.start if self._until.start is not None else at or self._start)
        self._end = ends(self._source, self._until)
        return at

    def poll(self, gathered: int, size: int, since: float) -> Polled | None:
        """Return more rows for a micro-batch that has `gathered` rows and `size` bytes and began at `since`.

        None when it takes no more, or when there are none. The first ones are waited for, unless the end is reached and
        is enough.
        """
        limits = self._limits
        left = limits.seconds - (time.monotonic() - since) if gathered else limits.seconds
        if gathered >= limits.rows or size >= limits.bytes or left <= 0:
            return None
        if self._until.once or self._until.idle:
            left = 0 if gathered or self._until.once or self.ended() else left
        return self._source.poll(
            PollLimits(rows=limits.rows - gathered, bytes=limits.bytes - size, seconds=left, before=self._until.before)
        )

    def ended(self) -> bool:
        """Say whether one poll was enough, or all is read up to where it is to end."""
        return self._until.once or (bool(self._end) and reached(self._source.positions(), self._end))

    def behind(self) -> int | None:
        """Return how many records there are beyond what is loaded; None for a source that would have to be listed."""
        if not all(hasattr(one, "join") for one in sides_of(self._source)):
            return None
        return behind(self._source.positions(), self._source.end())


class SharedReading:
    """Polls a source whose partitions are shared out. Each poll is a micro-batch: a partition may go with the next one.

    So that batches are not small, it lets time go by before it polls again after one that was.
    """

    def __init__(
        self,
        env: Environment,
        source: SharedSource,
        stream: Stream,
        group: str,
        until: Until,
        *,
        control: Control,
        keeps: bool,
    ) -> None:
        """Join nothing yet. `keeps`: whether the target notes positions; else they are those of the group."""
        self._keeps = keeps
        self._env, self._source, self._stream = env, source, stream
        self._group = group
        self._until = until
        self._control = control
        self._ends: dict[str, Position] = {}
        self._starts: dict[str, Position] | None = None
        self._all: Positions = {}  # where every partition ended at the first look for what is left
        self._waiting = Waiting(f"stream {stream.name}", source.silence(), self._nothing_left)
        self._last = (0.0, 0)
        self._settled = False  # whether the last poll was of partitions that had come before it
        self._noted: Callable[[], dict[str, Position]] = dict
        self.at: dict[str, Position] = {}

    def begin(self, noted: Callable[[], dict[str, Position]]) -> dict[str, Position]:
        """Join the group; where partitions go on is asked when they come."""
        self._noted = noted
        self._source.join(self._group, self._saved)
        return self.at

    def poll(self, gathered: int, size: int, since: float) -> Polled | None:
        """Return one micro-batch, None when there is none, or when there are `gathered` rows already."""
        del size, since
        if gathered:
            return None
        limits = self._stream.batching
        began, rows = self._last
        if rows * _SMALL < limits.rows and not (self._until.once or self._until.idle):
            self._control.wait(min(max(began + limits.seconds - time.monotonic(), 0.0), limits.seconds))
        self._last = (time.monotonic(), 0)
        self._settled = bool(self._source.assigned())
        polled = self._source.poll(PollLimits(limits.rows, limits.bytes, _WAIT_SECONDS, self._until.before))
        if self._settled or self._source.assigned():
            self._waiting.begin()
        if polled is not None:
            self._last = (self._last[0], polled.rows.num_rows)
        return polled

    def ended(self) -> bool:
        """Say whether one poll was enough, or all is read up to where this consumer's partitions are to end.

        Until idle, that is what they had when they came to it.
        """
        if self._until.once and (self._settled or self._last[1] > 0):
            return True
        if not (self._until.once or self._until.idle or self._until.before):
            return False
        mine = self._source.assigned()
        if not mine or self._until.once:
            return not mine and self._waiting.over()
        if any(name not in self._ends for name in mine):
            self._ends = {**ends(self._source, self._until), **self._ends}
        return reached(self._source.positions(), {name: self._ends[name] for name in mine if name in self._ends})

    def behind(self) -> int | None:
        """Return how many records the partitions have beyond what is loaded; None as long as it has none of them."""
        if not self._source.assigned():
            return None
        return behind(self._source.positions(), self._source.end())

    def _nothing_left(self) -> bool:
        """Say whether all that there was at the first look is loaded, by others too; False when that is not known."""
        if not (self._until.idle or self._until.once):
            return False
        try:
            self._all = self._all or up_to(places(self._env, self._stream, "latest"), self._until.before)
            found = self._noted() if self._keeps else committed(self._env, self._stream, self._group)
            return reached(self._going_on(found, list(self._all)), self._all)
        except EmatixError as error:
            if not is_transient(error):
                raise
            return False  # as when another holds the target's file

    def _saved(self, partitions: Sequence[str]) -> Positions:
        found = self._noted()
        self.at.update({name: found[name] for name in partitions if name in found})
        for name in partitions:
            if name not in found:
                self.at.pop(name, None)
        return self._going_on(found, partitions)

    def _going_on(self, found: Positions, partitions: Sequence[str]) -> Positions:
        """Return where the partitions go on, of those of which that is known by what was found noted."""
        begin = self._until.start
        if begin is None and self._keeps and any(name not in found for name in partitions):
            begin = self._stream.start  # what the group has committed speaks of rows that this target may not have
        if begin is not None:
            if self._starts is None:
                self._starts = places(self._env, self._stream, begin)
            asked = {name: place for name, place in self._starts.items() if name in partitions}
            found = {**found, **asked} if self._until.start is not None else {**asked, **found}
        return {name: place for name, place in found.items() if name in partitions}


def reading_of(
    env: Environment, source: StreamSource, stream: Stream, group: str, until: Until, *,
    control: Control, keeps: bool, alone: bool,
) -> AloneReading | SharedReading:  # fmt: skip
    """Return how the source is read: shared where it can be, unless one consumer is to have all of it."""
    if hasattr(source, "join") and not alone:
        return SharedReading(env, cast("SharedSource", source), stream, group, until, control=control, keeps=keeps)
    return AloneReading(source, stream, until)


def places(env: Environment, stream: Stream, start: Start) -> dict[str, Position]:
    """Return the positions of a start, by a source of its own."""
    looking = open_source(env, stream)
    try:
        looking.seek(start)
        return dict(looking.positions())
    finally:
        looking.close()


def committed(env: Environment, stream: Stream, group: str) -> Positions:
    """Return the positions that the source's system has of a group, by a source of its own; none where it has none."""
    looking = open_source(env, stream)
    try:
        return cast("HeldSource", looking).hold(group)[0] if hasattr(looking, "hold") else {}
    finally:
        looking.close()


def ends(source: StreamSource, until: Until) -> Positions:
    """Return where a consumer ends by itself; nothing when it does not."""
    if not until.idle:
        return until.before
    return up_to(source.end(), until.before)


def reached(positions: Positions, end: Positions) -> bool:
    """Say whether the positions are at the end, or beyond."""
    return all(order_of(positions.get(partition)) >= order_of(place) for partition, place in end.items())


def behind(positions: Positions, end: Positions) -> int | None:
    """Return how many records the end is ahead, where positions are numbers of records; else None."""
    total = 0
    for partition, place in end.items():
        here = positions.get(partition, 0)
        if not isinstance(place, int) or not isinstance(here, int):
            return None
        total += max(0, place - here)
    return total
