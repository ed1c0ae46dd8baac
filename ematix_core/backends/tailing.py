"""What sources that follow files have in common: rows of one file at a time, options, and where to begin."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ematix_core.backends.stream_protocols import Polled, order_of
from ematix_core.errors import ConfigError, SourceError, near

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from ematix_core.backends.stream_protocols import PollLimits, Position, Positions, StreamQuery

PARTITION = "0"
"""The one partition of a source that has no others."""
LOOK_SECONDS = 0.5
"""So long a poll waits before it looks again."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Added:
    """Columns that a source adds to each row of a file; times in ns."""

    event_ns: int
    file: str
    version: int | None = None


class FileRows:
    """The rows of one file as they are read, cut to the limits of each poll."""

    def __init__(self, batches: Iterator[pa.RecordBatch], added: Added, skip: int) -> None:
        """Take the file's batches, and the number of rows that were read before."""
        self._batches = batches
        self._added = added
        self._skip = skip
        self._rest: pa.RecordBatch | None = None
        self.row = skip
        """The number of rows that were read."""

    def take(self, limits: PollLimits) -> pa.RecordBatch | None:
        """Return the next rows with the columns added, at least one; None at the end of the file."""
        batch = self._rest if self._rest is not None else self._next()
        if batch is None:
            return None
        wide = max(batch.nbytes // batch.num_rows, 1)
        rows = max(1, min(batch.num_rows, limits.rows, limits.bytes // wide))
        taken = self._with_columns(batch.slice(0, rows))
        self._rest = batch.slice(rows) if rows < batch.num_rows else None
        self.row += rows
        return taken

    def _next(self) -> pa.RecordBatch | None:
        for batch in self._batches:
            if batch.num_rows > self._skip:
                kept, self._skip = batch.slice(self._skip), 0
                return kept
            self._skip -= batch.num_rows
        if self._skip:
            raise SourceError(
                f"the file has {self._skip} rows fewer than were read of it before", where=self._added.file,
                hint="It was changed. Load what it had anew, or seek other positions.",
            )  # fmt: skip
        return None

    def _with_columns(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        rows, added = batch.num_rows, self._added
        at = pa.scalar(added.event_ns // 1000, pa.timestamp("us", "UTC"))
        columns: dict[str, pa.Array[Any]] = {"_event_ts": pa.repeat(at, rows)}
        if added.version is not None:
            columns["_version"] = pa.repeat(pa.scalar(added.version, pa.int64()), rows)
        columns["_file"] = pa.repeat(pa.scalar(added.file), rows)
        columns["_offset"] = pa.arange(self.row, self.row + rows)  # type: ignore[attr-defined]  # its stubs are older
        for name in columns:
            if name in batch.schema.names:
                raise SourceError(
                    f"the rows have a column {name!r}, and so has what the source adds", where=added.file,
                    hint="Give the column another name where the rows are written.",
                )  # fmt: skip
        names = [*batch.schema.names, *columns]
        return pa.RecordBatch.from_arrays([*batch.columns, *columns.values()], names=names)


def wait_for_rows(
    look: Callable[[PollLimits], pa.RecordBatch | None], limits: PollLimits, positions: Callable[[], Positions]
) -> Polled | None:
    """Look again and again until there are rows, or until the time of the limits is over."""
    deadline = time.monotonic() + limits.seconds
    while True:
        rows = look(limits)
        if rows is not None:
            return Polled(rows, positions())
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(left, LOOK_SECONDS))


def bounded(limits: PollLimits, here: tuple[int, ...]) -> PollLimits | None:
    """Return the limits of a poll that goes on from `here` in the one partition; None when it is at their end."""
    there = order_of(limits.before.get(PARTITION))
    if not there:
        return limits
    if here >= there:
        return None
    return replace(limits, rows=min(limits.rows, there[-1] - here[-1])) if here[:-1] == there[:-1] else limits


def options_of(query: StreamQuery, known: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the query's options with their defaults. Raises ConfigError for one that is not known."""
    for name in query.options:
        if name not in known:
            raise ConfigError(f"a stream of this kind has no option {name!r}", where=where, hint=near(name, known))
    return {**known, **query.options}


def choice(value: Any, option: str, known: Sequence[str], where: str) -> str:  # noqa: ANN401 - what the user wrote
    """Return an option's value. Raises ConfigError when it is none of the known ones."""
    if value not in known:
        raise ConfigError(f"unknown {option} {value!r}", where=where, hint=near(str(value), known))
    return str(value)


def only_position(positions: Positions, numbers: int, where: str) -> list[Any]:
    """Return the position of the one partition: whole numbers, then one part of the source's own.

    Raises SourceError for one that is of another source.
    """
    position: Position | None = positions.get(PARTITION)
    if list(positions) != [PARTITION] or not isinstance(position, list) or len(position) != numbers + 1:
        raise not_of_this_source(positions, where)
    if len(order_of(position)) != numbers:
        raise not_of_this_source(positions, where)
    return position


def not_of_this_source(positions: Positions, where: str) -> SourceError:
    """Return the error for positions that another kind of source has given."""
    return SourceError(
        f"{str(dict(positions))[:200]} are no positions of this source", where=where,
        hint='Seek what `positions` of such a source has returned, a time, "earliest" or "latest".',
    )  # fmt: skip


def nanoseconds(moment: datetime, where: str) -> int:
    """Return a time in ns since 1970, exactly. Raises SourceError when it has no zone."""
    if moment.tzinfo is None:
        raise SourceError(f"{moment} has no time zone", where=where, hint="Write datetime(..., tzinfo=UTC).")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
