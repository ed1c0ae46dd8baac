"""Messages as Arrow: the columns of what was consumed, and which rows are of which partition."""

from __future__ import annotations

import bisect
import gc
from contextlib import contextmanager
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ematix_core.backends.stream_protocols import headers_type

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pyarrow as pa
    from confluent_kafka import KafkaError, Message

    from ematix_core.backends.stream_protocols import PollLimits

HEADERS = "list<struct<key: text, value: bytes>>"


@dataclass(frozen=True)
class Run:
    """Rows of one partition that follow each other: from `first` to before `behind`."""

    partition: str
    first: int
    behind: int


@dataclass(frozen=True)
class Mark:
    """When `row` rows have been taken, the partition has been read up to that offset, whatever lay there."""

    row: int
    partition: str
    offset: int


def name_of(topic: str, partition: int) -> str:
    """Return what a partition is called in positions and in `_partition`."""
    return f"{topic}:{partition}"


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Let Python's collector of cycles rest: thousands of messages that live for a moment set it off time and again.

    That takes as long as all else that is done with them. Not for what waits: the collector is the whole process's.
    """
    works = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if works:
            gc.enable()


def parted(messages: Sequence[Message]) -> tuple[list[Message], list[Mark], list[Message]]:
    """Return what holds rows, the ends of partitions that were reached, and the errors among what was consumed."""
    from confluent_kafka import KafkaError, Message

    if not any(map(Message.error, messages)):
        return list(messages), [], []
    rows: list[Message] = []
    marks: list[Mark] = []
    errors: list[Message] = []
    end = KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name: the driver has the codes so
    for message in messages:
        error: KafkaError | None = message.error()
        if error is None:
            rows.append(message)
        elif error.code() == end:
            name = name_of(str(message.topic()), _number(message.partition()))
            marks.append(Mark(len(rows), name, _number(message.offset())))
        else:
            errors.append(message)
    return rows, marks, errors


class Chunk:
    """Rows that were consumed and not yet taken."""

    def __init__(self, rows: pa.RecordBatch, runs: list[Run], marks: list[Mark]) -> None:
        self.rows = rows
        self.runs = runs
        self._marks = marks

    def take(self, limits: PollLimits) -> tuple[pa.RecordBatch | None, dict[str, int]]:
        """Return the next rows within the limits, None when there are none, and the positions that moved."""
        batch = self.rows
        count = min(batch.num_rows, limits.rows)
        if count and batch.nbytes > limits.bytes:
            count = max(1, min(count, limits.bytes * batch.num_rows // batch.nbytes))
        while count > 1 and batch.slice(0, count).nbytes > limits.bytes:
            count //= 2
        moved = self._moved(count)
        self.rows = batch.slice(count)
        self.runs = [
            Run(run.partition, max(run.first - count, 0), run.behind - count)
            for run in self.runs if run.behind > count
        ]  # fmt: skip
        self._marks = [Mark(mark.row - count, mark.partition, mark.offset) for mark in self._marks if mark.row > count]
        return (batch.slice(0, count) if count else None), moved

    def keep(self, ranges: Sequence[tuple[Run, int]]) -> None:
        """Keep these runs only, each from that row on."""
        import pyarrow as pa

        parts, runs, row = [self.rows.slice(0, 0)], [], 0
        for run, first in ranges:
            parts.append(self.rows.slice(first, run.behind - first))
            runs.append(Run(run.partition, row, row + run.behind - first))
            row += run.behind - first
        self._marks = [
            Mark(sum(max(0, min(run.behind, mark.row) - first) for run, first in ranges), mark.partition, mark.offset)
            for mark in self._marks
        ]
        self.rows, self.runs = pa.concat_batches(parts), runs  # type: ignore[attr-defined]  # its stubs are older

    def without(self, partitions: Collection[str]) -> None:
        """Drop the rows and ends of these partitions."""
        self._marks = [mark for mark in self._marks if mark.partition not in partitions]
        if any(run.partition in partitions for run in self.runs):
            self.keep([(run, run.first) for run in self.runs if run.partition not in partitions])

    def end_at(self, bounds: Mapping[str, int]) -> None:
        """Drop what is behind these offsets of the partitions, which are then read up to them."""
        ranges: list[Run] = []
        marks = [
            replace(mark, offset=min(mark.offset, bounds.get(mark.partition, mark.offset))) for mark in self._marks
        ]
        for run in self.runs:
            bound = bounds.get(run.partition)
            if bound is None or self.offset(run.behind - 1) < bound:
                ranges.append(run)
                continue
            offsets: list[Any] = self.rows.column("_offset").slice(run.first, run.behind - run.first).to_pylist()
            behind = run.first + bisect.bisect_left(offsets, bound)
            marks.append(Mark(behind, run.partition, bound))
            if behind > run.first:
                ranges.append(replace(run, behind=behind))
        self._marks = marks
        if ranges != self.runs:
            self.keep([(run, run.first) for run in ranges])

    def offset(self, row: int) -> int:
        """Return the offset of a row."""
        return int(self.rows.column("_offset")[row].as_py())

    def _moved(self, count: int) -> dict[str, int]:
        moved = {run.partition: self.offset(min(run.behind, count) - 1) + 1 for run in self.runs if run.first < count}
        for mark in self._marks:
            if mark.row <= count:
                moved[mark.partition] = max(mark.offset, moved.get(mark.partition, 0))
        return moved


def chunk_of(messages: Sequence[Message], marks: list[Mark], topic: str | None) -> Chunk:
    """Return the messages as rows. `topic`: the only one that they can be of, None when there are several.

    Columns are made by C code over the list of messages: one step of a Python loop a message and column takes as long
    as consuming it does.
    """
    import pyarrow as pa
    from confluent_kafka import Message

    payloads = pa.array(list(map(Message.value, messages)), pa.binary())
    keys = pa.array(list(map(Message.key, messages)), pa.binary())
    offsets = pa.array(list(map(Message.offset, messages)), pa.int64())
    runs, names, tops = _runs(messages, topic)
    columns: dict[str, pa.Array[Any]] = {
        "value": payloads, "_key": keys, "_headers": _headers(messages), "_event_ts": _times(messages),
        "_topic": tops, "_partition": names, "_offset": offsets,
    }  # fmt: skip
    return Chunk(pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)), runs, marks)


def _headers(messages: Sequence[Message]) -> pa.Array[Any]:
    import pyarrow as pa
    from confluent_kafka import Message

    found: list[Any] = list(map(Message.headers, messages))
    if not any(found):
        none: pa.Array[Any] = pa.nulls(len(found), headers_type())
        return none
    rows = [one and [{"key": key, "value": value} for key, value in one] for one in found]
    made: pa.Array[Any] = pa.array(rows, headers_type())
    return made


def _times(messages: Sequence[Message]) -> pa.Array[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc
    from confluent_kafka import Message

    told = pa.array(list(map(itemgetter(1), map(Message.timestamp, messages))), pa.int64())
    if len(told) and pc.min(told).as_py() < 0:  # those of brokers before 0.10 have none
        told = pc.if_else(pc.less(told, pa.scalar(0, pa.int64())), pa.scalar(None, pa.int64()), told)
    return told.cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))


def _runs(messages: Sequence[Message], topic: str | None) -> tuple[list[Run], pa.Array[Any], pa.Array[Any]]:
    """Return the runs, and the columns `_partition` and `_topic`."""
    import pyarrow as pa
    from confluent_kafka import Message

    ends = _ends(pa.array(list(map(Message.partition, messages)), pa.int32()))
    if topic is None:
        ends = sorted({*ends, *_ends(pa.array(list(map(Message.topic, messages)), pa.string()))})
    runs, first = [], 0
    for behind in ends:
        message = messages[first]
        runs.append(Run(name_of(str(message.topic()), _number(message.partition())), first, behind))
        first = behind
    names = _repeated([run.partition for run in runs], ends)
    tops = _repeated([run.partition.rpartition(":")[0] for run in runs], ends)
    return runs, names, tops


def _ends(values: pa.Array[Any]) -> list[int]:
    import pyarrow.compute as pc

    encode: Any = vars(pc)["run_end_encode"]  # made when pyarrow.compute is imported, so that stubs lack it
    return list(encode(values).run_ends.to_pylist())


def _repeated(values: list[str], ends: list[int]) -> pa.Array[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not values:
        return pa.array([], pa.string())
    encoded: Any = pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values, pa.string()))
    decoded: pa.Array[Any] = vars(pc)["run_end_decode"](encoded)
    return decoded


def _number(value: int | None) -> int:
    return -1 if value is None else value


def monotonic(chunk: Chunk, following: Mapping[str, int]) -> dict[str, int]:
    """Drop rows before the next that is expected of their partition; return what is expected after the chunk.

    A partition that goes and comes back while one list is consumed may be in it twice.
    """
    after = dict(following)
    ranges, whole = [], True
    for run in chunk.runs:
        least = after.get(run.partition, 0)
        first = run.first
        if chunk.offset(first) < least:
            whole = False
            offsets: list[Any] = chunk.rows.column("_offset").slice(first, run.behind - first).to_pylist()
            first += bisect.bisect_left(offsets, least)
        if first < run.behind:
            ranges.append((run, first))
            after[run.partition] = chunk.offset(run.behind - 1) + 1
    if not whole:
        chunk.keep(ranges)
    return after
