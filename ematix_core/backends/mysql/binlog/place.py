"""Where a stream of changes is: in a snapshot of the table, or behind so many rows of a transaction of the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ematix_core.backends.mysql.binlog.gtids import gtids_of
from ematix_core.backends.tailing import PARTITION, not_of_this_source, only_position

if TYPE_CHECKING:
    from ematix_core.backends.stream_protocols import Positions

Key: TypeAlias = tuple[Any, ...]
"""The values of a key's columns, as they are in JSON."""


@dataclass(frozen=True)
class Part:
    """Rows of a snapshot up to a key (None: to the end), as they were after those transactions.

    `file`, `at`: where the log was then.
    """

    last: Key | None
    gtids: str
    file: int
    at: int


@dataclass(frozen=True)
class Place:
    """A position. `file` is the number of a binary log, 0 in a snapshot, where `row` counts the rows read.

    Else the running transaction begins at `at`, and `row` of its rows were read. `gtids` are the transactions before
    it, `running` is it; `server` is the one that file and place are of. `parts` are those of a snapshot; they are kept
    until the transactions of the newest are done, when an interrupted one was resumed.
    """

    file: int = 0
    at: int = 0
    row: int = 0
    gtids: str = ""
    server: str = ""
    running: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def order(self) -> tuple[int, int, int]:
        """What orders places."""
        return self.file, self.at, self.row

    @property
    def in_snapshot(self) -> bool:
        """Whether rows of the snapshot are still to come."""
        return self.file == 0

    def positions(self) -> Positions:
        """Return it as plain data."""
        state: dict[str, Any] = {"gtid": self.gtids, "server": self.server}
        if self.running:
            state["running"] = self.running
        if self.parts:
            state["snapshot"] = [
                [None if one.last is None else list(one.last), one.gtids, one.file, one.at] for one in self.parts
            ]
        return {PARTITION: [*self.order, state]}


def place_of(positions: Positions, where: str, *, mariadb: bool) -> Place:
    """Return the place that these positions are. Raises SourceError for those of another source."""
    file, at, row, state = only_position(positions, 3, where)
    known = isinstance(state, Mapping) and set(state) <= {"gtid", "server", "running", "snapshot"}
    if not known or min(file, at, row) < 0 or not {"gtid", "server"} <= set(state):
        raise not_of_this_source(positions, where)
    try:
        parts = tuple(
            Part(None if last is None else tuple(last), _checked(gtids, mariadb), int(number), int(begin))
            for last, gtids, number, begin in state.get("snapshot", ())
        )
        running = state.get("running", "")
        return Place(file, at, row, _checked(state["gtid"], mariadb), str(state["server"]), str(running), parts)
    except (TypeError, ValueError) as error:
        raise not_of_this_source(positions, where) from error


def _checked(gtids: Any, mariadb: bool) -> str:  # noqa: ANN401, FBT001 - what stands in the positions
    return str(gtids_of(str(gtids), mariadb=mariadb))
