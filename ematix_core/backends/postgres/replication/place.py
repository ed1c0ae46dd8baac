"""How far a stream of changes has come: in the snapshot, or in the log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ematix_core.backends.stream_protocols import order_of
from ematix_core.backends.tailing import PARTITION, not_of_this_source, only_position

if TYPE_CHECKING:
    from ematix_core.backends.stream_protocols import Position, Positions

_NUMBERS = 3


@dataclass(frozen=True)
class Part:
    """Rows that were read in one state of the database, those up to `key`; without one, none yet or all the rest.

    `seen`: the transactions of that state, as `pg_current_snapshot` tells them; all of them lie before `lsn`.
    """

    seen: str
    lsn: int
    key: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Place:
    """A place between two rows.

    `lsn`: of the commit whose changes are read, 0 within the snapshot. `row`: how many of its changes, or of the
    snapshot's rows, lie before. `count`: how many rows the stream has given. `begun`: where the log begins after the
    snapshot. `parts`: of the snapshot, as long as changes may come that it has already. `since`: changes before
    the first that was committed not before it (us) are left out.
    """

    lsn: int
    row: int = 0
    count: int = 0
    begun: int = 0
    parts: tuple[Part, ...] = ()
    since: int | None = None

    @property
    def order(self) -> tuple[int, int]:
        """What orders places."""
        return self.lsn, self.row

    @property
    def kept_from(self) -> int:
        """The part of the log that is needed to go on from here."""
        return self.lsn or self.begun

    def in_log(self) -> Place:
        """Return the place after the snapshot."""
        return replace(self, lsn=self.begun, row=0, begun=0)

    def after(self, lsn: int, row: int, count: int) -> Place:
        """Return the place after so many changes of the commit at `lsn`."""
        parts = self.parts if any(part.lsn >= lsn for part in self.parts) else ()
        return replace(self, lsn=lsn, row=row, count=count, parts=parts)

    def positions(self) -> dict[str, Position]:
        """Return the place as plain data."""
        more: dict[str, Any] = {}
        if self.begun:
            more["begun"] = self.begun
        if self.parts:
            more["snapshot"] = [[part.seen, part.lsn, list(part.key) if part.key else None] for part in self.parts]
        if self.since is not None:
            more["since"] = self.since
        return {PARTITION: [self.lsn, self.row, self.count, more]}


def place_of(positions: Positions, where: str) -> Place:
    """Return the place of positions. Raises SourceError for those of another source."""
    lsn, row, count, more = only_position(positions, _NUMBERS, where)
    try:
        parts = tuple(
            Part(str(seen), int(at), None if key is None else tuple(map(str, key)))
            for seen, at, key in more.get("snapshot", ())
        )
        begun, since = int(more.get("begun", 0)), more.get("since")
        if set(more) - {"begun", "snapshot", "since"} or not (lsn or begun):
            raise not_of_this_source(positions, where)
    except (AttributeError, TypeError, ValueError):
        raise not_of_this_source(positions, where) from None
    return Place(lsn, row, count, begun, parts, since)


def limit_of(before: Positions) -> tuple[int, int] | None:
    """Return the order of the place that a poll is not to pass; None for no such place."""
    numbers = order_of(before.get(PARTITION))
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0) if numbers else None
