"""What a system that is read without end offers, as structural protocols: streams, and the versions of tables.

A backend module may have `stream_source(connection, query) -> StreamSource` and `version_log(connection, table) ->
VersionLog`; see `registry` for what is raised where it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from ematix_core.backends.protocols import Session, WantedType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

Position: TypeAlias = int | list[Any]
"""A place between two rows of a partition, as plain data for JSON.

A whole number, or a list that begins with whole numbers. These order the positions of a partition (see `order_of`);
what follows them in the list is the source's own.
"""
Positions: TypeAlias = Mapping[str, Position]
"""Positions by partition. A partition that is missing has not been begun."""
Start: TypeAlias = Positions | datetime | Literal["earliest", "latest"]
"""Where reading begins: at positions, at a time (with a zone), with the oldest rows there are, or after the newest."""


@dataclass(frozen=True)
class StreamQuery:
    """What is read: the `name` of a topic, queue, table, path or glob, and the kind's own `options` by name."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    start: Literal["earliest", "latest"] = "earliest"
    """Where a member of a group begins a partition that nobody has a position of."""
    reader: str = ""
    """Who reads, by a name that no other reader has: for a system that keeps something for each."""
    leave_out: bool = False
    """Whether records that are none are left out, and told of in `Polled.bad`, where they would be an error."""
    wanted: Callable[[], Mapping[str, WantedType]] | None = field(default=None, repr=False)
    """For sources that guess types from text: tells those of the columns where the rows go; see `Query.wanted`."""


@dataclass(frozen=True)
class PollLimits:
    """When a poll ends: after so many rows, about so many bytes in memory, or so many seconds without a row.

    Rows behind the positions of `before` are not returned, and `positions` does not move beyond them; they are the same
    in every poll after a `seek`.
    """

    rows: int = 122_880
    bytes: int = 64 << 20
    seconds: float = 1.0
    before: Positions = field(default_factory=dict)


@dataclass(frozen=True)
class Polled:
    """Rows in their order, at least one unless some are `bad`, and the positions after them.

    The columns are those of the payload, then those that the kind adds, of these: `_key` (bytes or text), `_headers`
    (list<struct<key: text, value: bytes>>, NULL without any), `_event_ts` (timestamp[us, UTC]: when the row came to
    be), `_topic` (text), `_partition` (text: its name in `positions`), `_offset` (int64: its number in partition or
    file), `_version` (int64: of a table), `_file` (text: path of a file). A payload that is yet to be decoded is one
    column `value` (bytes; NULL for a tombstone). Rows of changes have `_op` (text: "insert", "update", "delete", or
    "snapshot" for what was there before) and `_deleted` (bool: whether the row is gone).
    """

    rows: pa.RecordBatch
    positions: Positions
    bad: pa.Table | None = None
    """Records that were left out, as the query asks: `_file`, `_event_ts`, `text` (text) and `error` (text)."""


def headers_type() -> Any:  # noqa: ANN401 - pyarrow's own type of it, which its stubs cannot write down
    """Return the type of `_headers`."""
    import pyarrow as pa

    return pa.list_(pa.struct([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.binary())]))


# A source of messages also has `payload: str`, the name of the column with their bytes.
class StreamSource(Protocol):
    """Reads rows without end. For one thread at a time; every method but `positions` may block on the system.

    A consumer calls `seek` with the positions that it saved beside the rows of its last load, then `poll` again and
    again. Two sources that seek the same positions give the same rows from there on, in the same order a partition, as
    far as they had come when the one of them got there; how they are cut into batches may differ.
    """

    def seek(self, start: Start) -> None:
        """Go on from there. Called once before the first `poll` (without it: "earliest"), and to go back; may repeat.

        A time means the first row that is not older, by the system's own account. Raises SourceError for positions
        that are not of this source, and when what they lead to is no longer there.
        """
        ...

    def poll(self, limits: PollLimits) -> Polled | None:
        """Return the next rows as soon as there are any, within the limits; None when `seconds` went by without one.

        Called by the consumer's loop. With `seconds=0` it looks once and waits for nothing. After an error nothing has
        moved: `positions` is what it was, and the next call tries the same rows again.
        """
        ...

    def positions(self) -> Positions:
        """Return the positions after the last rows that `poll` returned, and after what it found to have none.

        At once. They may move on without rows, too; saving them then spares work after a restart.
        """
        ...

    def end(self) -> Positions:
        """Return where the source ends now, to be compared by `order_of`; they may be no positions to `seek`.

        Called for `--until-idle`, which ends when `positions` has come that far, and for showing how far behind it is.
        """
        ...

    def commit(self, positions: Positions) -> None:
        """Note at the system that the rows before these positions are dealt with. Called after each load; may repeat.

        For systems that keep positions themselves, as Kafka does for its groups, or that keep rows until they are
        acknowledged. Others do nothing: their positions are where the consumer saved them.
        """
        ...

    def close(self) -> None:
        """Release everything. Called once."""
        ...


SAMPLE = PollLimits(rows=1_000, bytes=1 << 20, seconds=2.0)
"""How much is looked at to tell what records are like."""


@runtime_checkable
class SampledSource(Protocol):
    """A source that would change something by being read, and can show some rows without."""

    def sample(self, limits: PollLimits) -> Polled | None:
        """Return some of the rows that there are; None when there are none. Changes nothing."""
        ...


@runtime_checkable
class RetainingSource(StreamSource, Protocol):
    """A source whose system keeps something for its reader, until `commit` says that it need not."""

    def retained(self) -> str:
        """Say what the system keeps for this reader, and how far behind it is. May block."""
        ...

    def drop(self) -> Sequence[str]:
        """Let the system forget the reader, and return what was dropped. Raises LockedError while it reads."""
        ...


class SharedSource(StreamSource, Protocol):
    """A source whose partitions are shared out among the consumers of a group, each to one at a time."""

    def join(self, group: str, saved: Callable[[Sequence[str]], Positions]) -> None:
        """Go on as a member of the group; called once, instead of `seek`.

        Whenever partitions come to this consumer, `saved` is asked from within `poll` for the positions to go on from;
        for those that it does not name it is what the group has committed, else the start option. Partitions are given
        up (cooperatively) only within `poll`, when every row polled before has been dealt with and committed by the
        caller, or in `close`. An error of `saved` is raised by that `poll`; the next one joins anew.
        """
        ...

    def assigned(self) -> Sequence[str]:
        """Return the partitions that are this consumer's, by their names in `positions`. At once."""
        ...

    def silence(self) -> float:
        """Return the seconds after which a member that was killed has lost its partitions to the others. At once."""
        ...


class HeldSource(StreamSource, Protocol):
    """A source whose positions can be kept by its system while one consumer reads all of it."""

    def hold(self, group: str) -> tuple[Mapping[str, Position], Mapping[str, str]]:
        """Read in the name of a group without members; called once, before `seek`.

        Returns the positions that the group has committed, and the notes beside them, by partition.
        """
        ...


class OffsetsSession(Session, Protocol):
    """A session that can commit the positions of a source, in the source's own system, with its rows."""

    def can_send(self, source: StreamSource) -> bool:
        """Say whether source and target are one system, and the source a member of a group. May block."""
        ...

    def send_positions(self, source: SharedSource, positions: Positions, note: str = "") -> None:
        """Put the positions into this transaction, for the source's group, with a short note beside each.

        Called after `load`, once for each source. Raises ConflictError when the source's partitions have become
        another's: then nothing of this transaction is committed.
        """
        ...


@dataclass(frozen=True)
class TableVersion:
    """One version of a table: when it was committed, by what operation ("" if not told), and the data it changed.

    `added` and `removed` count data files, `rows` those added (None: not told).
    """

    version: int
    committed_at: datetime
    operation: str
    added: int
    removed: int
    rows: int | None


class VersionLog(Protocol):
    """Tells the versions of one table. For one thread; connects when it is asked, and may block."""

    def newest(self) -> int:
        """Return the newest version's number. Raises MissingSourceError when there is no such table."""
        ...

    def versions(self, after: int, limit: int) -> Sequence[TableVersion]:
        """Return the next versions after that number, in order, at most `limit`; none when there is none higher.

        Versions that the table no longer tells of are left out.
        """
        ...

    def close(self) -> None:
        """Release everything. Called once."""
        ...


def up_to(ends: Positions, before: Positions) -> dict[str, Position]:
    """Return the ends; of a partition that is not to be read as far, the position in `before`."""
    return {name: min((place, before.get(name, place)), key=order_of) for name, place in ends.items()}


def order_of(position: Position | None) -> tuple[int, ...]:
    """Return what orders the positions of one partition: the whole numbers they begin with. None comes before all."""
    if position is None:
        return ()
    if isinstance(position, int):
        return (position,)
    numbers = []
    for part in position:
        if not isinstance(part, int):
            break
        numbers.append(part)
    return tuple(numbers)
