"""What was consumed and not yet polled, and how far each partition of a consumer has come."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ematix_core.backends.kafka.messages import Mark, chunk_of, monotonic
from ematix_core.backends.stream_protocols import Polled, PollLimits

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from confluent_kafka import Message

    from ematix_core.backends.kafka.messages import Chunk


class Buffer:
    """The partitions of one consumer with their positions, and the rows that wait.

    `positions`: what `poll` has returned. Behind it, `_following` is what comes next from the brokers.
    """

    def __init__(self) -> None:
        self.positions: dict[str, int] = {}
        self.assigned: dict[str, None] = {}
        self._following: dict[str, int] = {}
        self._chunks: deque[Chunk] = deque()
        self.wide = 1024
        """Bytes of a message, by those that came last."""

    def begin(self, offsets: Mapping[str, int]) -> None:
        """Start anew, with these partitions alone."""
        self._chunks.clear()
        self.assigned, self.positions, self._following = {}, {}, {}
        self.come(offsets)

    def come(self, offsets: Mapping[str, int]) -> None:
        """Take partitions in, or set those that are in, to go on from these offsets."""
        self.assigned |= dict.fromkeys(offsets)
        self.positions |= offsets
        self._following |= offsets

    def go(self, partitions: Collection[str]) -> None:
        """Let partitions go, with their rows that wait."""
        for name in partitions:
            self.assigned.pop(name, None)
            self.positions.pop(name, None)
            self._following.pop(name, None)
        for chunk in self._chunks:
            chunk.without(partitions)

    def add(self, rows: Sequence[Message], marks: Sequence[Mark], topic: str | None, before: Mapping[str, int]) -> None:
        """Take in what was consumed. `topic`: the only one, None for several. `before`: see PollLimits."""
        chunk = chunk_of(rows, [mark for mark in marks if mark.partition in self.assigned], topic)
        if before:
            chunk.end_at(before)
        if rows:
            self.wide = max(1, chunk.rows.nbytes // len(rows))
        chunk.without({run.partition for run in chunk.runs if run.partition not in self.assigned})
        self._following = monotonic(chunk, self._following)
        self._chunks.append(chunk)

    def take(self, limits: PollLimits) -> Polled | None:
        """Return the next rows within the limits, None when none wait."""
        import pyarrow as pa

        taken: list[pa.RecordBatch] = []
        rows, size = limits.rows, limits.bytes
        while self._chunks and rows > 0 and (size > 0 or not taken):
            chunk = self._chunks[0]
            if taken and chunk.rows.num_rows and chunk.rows.slice(0, 1).nbytes > size:
                break
            batch, moved = chunk.take(PollLimits(rows, size, limits.seconds))
            self.positions |= {name: place for name, place in moved.items() if place > self.positions.get(name, -1)}
            if batch is not None:
                taken.append(batch)
                rows, size = rows - batch.num_rows, size - batch.nbytes
            if chunk.rows.num_rows:
                break
            self._chunks.popleft()
        if not taken:
            return None
        return Polled(taken[0] if len(taken) == 1 else pa.concat_batches(taken), dict(self.positions))  # type: ignore[attr-defined]  # its stubs are older
