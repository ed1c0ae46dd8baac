"""The consumer of a stream that keeps a state: a window, or a join. Results land with positions and state.

It reads the source alone, all partitions of it, as rows that belong together may be in each. A second one may be at
work by mistake: of two that land, the target refuses the later one, which then begins again from what the other noted.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from ematix_core.streaming.consumer import Consumer, group_of, newest, together
from ematix_core.streaming.control import Landed
from ematix_core.streaming.landing import Parcel
from ematix_core.streaming.letters import letters_of
from ematix_core.streaming.opening import reader_of
from ematix_core.streaming.pairing import PairedSource
from ematix_core.streaming.positions import Noted, moved
from ematix_core.streaming.stage import Stage, declared_of, stage_of
from ematix_core.streaming.state.checkpoints import Checkpoints
from ematix_core.streaming.state.places import open_place

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from ematix_core.backends.stream_protocols import HeldSource, Position, StreamSource
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.control import Until
    from ematix_core.streaming.records import Records


@dataclass
class _Waiting:
    """What was taken in since the last landing."""

    records: int = 0
    bytes: int = 0
    dead: int = 0
    dropped: int = 0
    letters: list[pa.Table] = field(default_factory=list)
    newest: datetime | None = None
    since: float = field(default_factory=time.monotonic)


S = TypeVar("S", bound=Stage)


class StatefulConsumer(Consumer, ABC, Generic[S]):
    """Consumes such a stream for one target until it is stopped. Used as `Consumer` is."""

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._stage = cast("S", stage_of(self._env, self._stream))
            self._open.callback(self._stage.close)
            place = open_place(self._env, self._stream, self._target)
            self._open.callback(place.close)
            self._checkpoints = Checkpoints(place, self._stream.name, declared_of(self._stream))
            self._waiting = _Waiting()
            self._ready()
        except BaseException:
            self._open.close()
            raise
        return self

    @abstractmethod
    def _ready(self) -> None:
        """Open what else is needed to take rows in."""

    def interrupt(self) -> None:
        self._stage.interrupt()
        super().interrupt()

    def _noted(self) -> dict[str, Position]:
        positions = self._landing.positions()
        self._state = self._landing.state
        if self._landing.by_offsets:
            positions, self._state = held(self._source, self._stream, self._target)
        return positions

    def _begun(self, until: Until) -> None:
        """Restore the state that belongs to the positions; one that begins elsewhere begins with none."""
        if self._state and until.start is None:
            self._stage.restore(self._checkpoints.read(self._state))

    def _idle(self) -> None:
        self._land_results(self._told(self._stage.tick(self._source.positions())))

    def _ending(self, *, drained: bool) -> None:
        results = self._told(self._stage.tick(self._source.positions(), drained=True)) if drained else None
        self._land_results(results, at_once=not self._control.cancelled)

    def _too_late(self, late: pa.Table | None, letters: list[pa.Table], why: str, *, kept: bool) -> None:
        """Make letters of rows that came too late, or count them as dropped."""
        if late is None or not late.num_rows:
            return
        if kept:
            count = late.num_rows
            letters.append(letters_of(late, range(count), [why] * count, payload=""))
        else:
            self._waiting.dropped += late.num_rows

    def _count(self, gathered: list[Records], letters: list[pa.Table]) -> None:
        waiting, lost = self._waiting, sum(one.num_rows for one in letters)
        waiting.records += sum(one.count for one in gathered)
        waiting.bytes += sum(one.raw.nbytes for one in gathered)
        if self._stream.on_error == "dead_letter":
            waiting.letters += letters
            waiting.dead += lost
        else:
            waiting.dropped += lost
        times = [waiting.newest, *(newest(one.rows) for one in gathered)]
        waiting.newest = max((one for one in times if one is not None), default=None)

    def _told(self, results: pa.Table | None) -> pa.Table | None:
        """Return what is loaded of what the stage tells."""
        return results

    def _land_results(self, results: pa.Table | None, *, at_once: bool = False) -> None:
        """Land results, or only positions and state when it is time for that."""
        waiting = self._waiting
        due = at_once or time.monotonic() - waiting.since >= self._stream.checkpoint
        after = moved(self._at, self._source.positions())
        if results is None and not (due and (after or waiting.letters) and self._landing.notes_without_rows()):
            return
        if self._landing.by_offsets:
            after = dict(self._source.positions())  # the note of the state is beside each
        began = time.monotonic()
        name = self._checkpoints.write(self._stage.entries(), self._stage.snapshot)
        before = {one: self._at[one] for one in after if one in self._at}
        kept = together(waiting.letters) if waiting.letters else None
        parcel = Parcel(no_rows() if results is None else results, kept, Noted(before, self._state), Noted(after, name))
        result = self._landing.land(parcel, self._source)
        self._state, self._waiting = name, _Waiting()
        self._at.update(after)
        self._observer.landed(
            self._name,
            Landed(
                records=waiting.records, bytes=waiting.bytes, dead=waiting.dead, dropped=waiting.dropped, result=result,
                seconds=time.monotonic() - began, newest=waiting.newest, positions=after,
            ),
        )  # fmt: skip
        self._acknowledge(after)
        self._checkpoints.settled()


def held(source: StreamSource, stream: Stream, target: Target) -> tuple[dict[str, Position], str]:
    """Return the positions that the groups of these consumers have, and the name of the state noted beside them.

    A stream has one group, and a join one for each side.
    """
    if isinstance(source, PairedSource):
        positions, notes = source.hold(_groups(stream, target))
    else:
        positions, notes = cast("HeldSource", source).hold(group_of(stream, target))
    # The newest of the notes is the one of the last transaction.
    return dict(positions), max(notes.values(), default="")


def _groups(stream: Stream, target: Target) -> list[str]:
    """Return the group of each side: its own `group`, or that of the stream, and the side's name."""
    assert stream.join is not None  # noqa: S101 - for mypy: two sources are those of a join
    return [
        f"{reader_of(stream, target, str(side.options.get('group') or ''))}.{side.name}" for side in stream.join.sides
    ]


def no_rows() -> pa.Table:
    """Return what is landed where there are only positions."""
    import pyarrow as pa

    return pa.table({})
