"""A table's changes as a stream: a snapshot of its rows, then the binary log from exactly there on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ematix_core.backends.mysql.address import address
from ematix_core.backends.mysql.binlog.changed import ADDED, SNAPSHOT, batch_of, with_added
from ematix_core.backends.mysql.binlog.changes import Changes
from ematix_core.backends.mysql.binlog.gtids import gtids_of
from ematix_core.backends.mysql.binlog.place import Place, place_of
from ematix_core.backends.mysql.binlog.snapshot import Keys, Snapshot
from ematix_core.backends.mysql.binlog.table import Table, number_of
from ematix_core.backends.mysql.connection import driver
from ematix_core.backends.stream_protocols import Polled, order_of
from ematix_core.backends.tailing import PARTITION, choice, nanoseconds, options_of
from ematix_core.errors import ConfigError, EmatixError, SourceError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.model.table import TableName

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.backends.mysql.binlog.changed import Changed
    from ematix_core.backends.stream_protocols import PollLimits, Positions, Start, StreamQuery
    from ematix_core.model.connection import Connection

_OPTIONS = {"snapshot": "initial", "on_truncate": "fail", "server_id": None}
_END_SECONDS = 60.0
"""So long the log is waited for up to an end that the server has told of."""


class BinlogStream:
    """Implements `StreamSource` for a table. Its positions are `[file, place, row, {...}]`: see `Place`."""

    def __init__(self, connection: Connection, query: StreamQuery) -> None:
        """Begin nowhere yet. Raises ConfigError for an option."""
        driver()
        self._address = address(connection)
        name = TableName.parse(query.name)
        self._schema, self._name = name.schema or self._address.database, name.name
        self._where = f"MySQL {self._address}, table {self._schema}.{self._name}"
        options = options_of(query, _OPTIONS, self._where)
        self._snapshots = choice(options["snapshot"], "snapshot", ("initial", "never"), self._where) == "initial"
        self._skip_emptying = choice(options["on_truncate"], "on_truncate", ("fail", "skip"), self._where) == "skip"
        self._server_id = _server_id(options["server_id"], self._where)
        self._open: Table | None = None
        self._snapshot: Snapshot | None = None
        self._changes: Changes | None = None
        self._place: Place | None = None
        self._refused: EmatixError | None = None

    def seek(self, start: Start) -> None:
        place = self._found(start)
        self._let_go()
        self._place = place

    def poll(self, limits: PollLimits) -> Polled | None:
        if self._place is None:
            self.seek("earliest")
        before = order_of(limits.before.get(PARTITION))
        try:
            rows = self._look(limits, before)
        except BaseException:
            self._let_go()  # nothing has moved: what was read ahead is read again
            raise
        return None if rows is None else Polled(rows, self.positions())

    def positions(self) -> Positions:
        return {} if self._place is None else self._place.positions()

    def end(self) -> Positions:
        end = self._table().end()
        return Place(end.file, end.at, 0, end.gtids, self._table().server).positions()

    def commit(self, positions: Positions) -> None:
        """Do nothing: the consumer keeps the positions."""

    def close(self) -> None:
        self._let_go()
        if self._open is not None:
            self._open.close()
            self._open = None

    def _table(self) -> Table:
        if self._open is None:
            self._open = Table(self._address, self._schema, self._name, self._server_id)
            for name in self._open.columns():
                if name.lower() in ADDED:
                    raise UnsupportedError(
                        f"the table has a column {name!r}, and so has what the stream adds", where=self._where,
                        hint="Rename it, or read the table by a job.",
                    )  # fmt: skip
        return self._open

    def _let_go(self) -> None:
        """Give up what is open at a place; the connection that asks stays, unless it is lost."""
        if self._snapshot is not None:
            self._snapshot.close()
        if self._changes is not None:
            self._changes.close()
        self._snapshot = self._changes = self._refused = None

    def _found(self, start: Start) -> Place:
        table = self._table()
        if isinstance(start, Mapping):
            return place_of(start, self._where, mariadb=table.mariadb)
        if isinstance(start, datetime):
            return self._since(nanoseconds(start, self._where) // 1000)
        if choice(start, "start", ("earliest", "latest"), self._where) == "latest":
            end = table.end()
            return Place(end.file, end.at, 0, end.gtids, table.server)
        if self._snapshots:
            return Place()
        file, gtids = table.oldest()
        return Place(number_of(file), 0, 0, gtids, table.server)

    def _since(self, us: int) -> Place:
        """Return the place before the first transaction that was not committed before that time."""
        table = self._table()
        place = Place()
        for file, began, gtids in table.beginnings():
            place = Place(number_of(file), 0, 0, gtids, table.server)
            if began * 1_000_000 < us:
                break
        end = table.end()
        changes = Changes(table, place, skip_emptying=True)
        try:
            changes.passing_us = us
            while changes.passing_us and changes.place.order[:2] < (end.file, end.at) and changes.step(_END_SECONDS):
                pass
            return changes.place
        finally:
            changes.close()

    def _look(self, limits: PollLimits, before: tuple[int, ...]) -> pa.RecordBatch | None:
        # Asked for what is there now, the server has to send it yet.
        deadline = time.monotonic() + (limits.seconds or _END_SECONDS)
        goal = None if limits.seconds else order_of(self.end()[PARTITION])
        while True:
            place = self._place
            assert place is not None  # noqa: S101 - poll has begun
            if before and place.order >= before:
                return None
            if place.in_snapshot:
                if (rows := self._of_snapshot(place, limits, before)) is not None:
                    return rows
                continue
            parts = self._gathered(place, limits, before, deadline, goal)
            failpoint("mysql.changes.after")
            rows = self._without_known(batch_of(parts), parts[0], place) if parts else None
            assert self._changes is not None  # noqa: S101 - it has been read from
            self._place = self._changes.place
            if rows is None or rows.num_rows:
                return rows

    def _of_snapshot(self, place: Place, limits: PollLimits, before: tuple[int, ...]) -> pa.RecordBatch | None:
        """Return rows of the snapshot; None after the last ones."""
        table = self._table()
        parts = place.parts
        last = parts[-1].last if parts else None
        if self._snapshot is None:
            self._snapshot = Snapshot(table)
            failpoint("mysql.snapshot.after")
            parts = (*parts, replace(self._snapshot.begins, last=last))
        snapshot = self._snapshot
        most = min(limits.rows, before[2] - place.row) if before and not before[0] else limits.rows
        rows = snapshot.read(last, most, limits.bytes)
        if rows is None:
            parts = (*parts[:-1], replace(parts[-1], last=None))
            first = parts[0]
            # One that was not interrupted needs no comparison: all of it was the table at one moment.
            kept = parts if len(parts) > 1 else ()
            self._place = Place(first.file, first.at, 0, first.gtids, table.server, "", kept)
            self._let_go()
            return None
        key = snapshot.keys.last(rows)
        parts = (*parts[:-1], replace(parts[-1], last=key))
        self._place = Place(row=place.row + rows.num_rows, server=table.server, parts=parts)
        offsets = np.arange(place.row, place.row + rows.num_rows)
        ops = np.full(rows.num_rows, SNAPSHOT, np.int8)
        times = np.full(rows.num_rows, snapshot.at_us, np.int64)
        return with_added(rows.schema, rows.columns, ops, times, offsets)

    def _gathered(
        self, place: Place, limits: PollLimits, before: tuple[int, ...], deadline: float, goal: tuple[int, ...] | None
    ) -> list[Changed]:
        """Return rows of the log up to the limits, as far as they are there; at least one unless the time is over."""
        if self._changes is None:
            self._changes = Changes(self._table(), place, skip_emptying=self._skip_emptying)
        if self._refused is not None:
            raise self._refused
        changes = self._changes
        parts: list[Changed] = []
        rows = size = 0
        while rows < limits.rows and size < limits.bytes:
            if (rest := changes.rest) is not None:
                if parts and (rest.shape is not parts[0].shape or (place.parts and rest.gtid != parts[0].gtid)):
                    break
                most = limits.rows - rows
                if before and (rest.file, rest.at) == before[:2]:
                    most = min(most, before[2] - rest.first)
                most = min(most, max(1 - rows, (limits.bytes - size) * rest.count // max(1, rest.size)))
                if most < 1:
                    break
                parts.append(changes.take(most))
                rows, size = rows + parts[-1].count, size + parts[-1].size
                continue
            if before and changes.place.order >= before:
                break
            if goal is not None and changes.place.order >= goal:
                break
            left = max(0.0, deadline - time.monotonic())
            if not self._stepped(changes, parts, left) or (changes.rest is None and not parts and not left):
                break
        return parts

    def _stepped(self, changes: Changes, parts: list[Changed], seconds: float) -> bool:
        """Read one event more; an error waits until the rows before it are taken."""
        try:
            return changes.step(0.0 if parts else seconds)
        except (SourceError, UnsupportedError) as error:
            if not parts:
                raise
            self._refused = error
            return False

    def _without_known(self, batch: pa.RecordBatch, part: Changed, place: Place) -> pa.RecordBatch:
        """Return the rows of one transaction without those that a later part of the snapshot has already."""
        if not place.parts:
            return batch
        mariadb = self._table().mariadb
        known = [part.gtid in gtids_of(one.gtids, mariadb=mariadb) for one in place.parts]
        if not any(known):
            return batch
        keys = Keys(self._table())
        wanted = [True] * batch.num_rows
        undecided = list(range(batch.num_rows))
        every = keys.all(batch)
        for one, has_it in zip(place.parts, known, strict=True):
            asked = [every[row] for row in undecided]
            inside = [True] * len(asked) if one.last is None else keys.within(asked, one.last) if asked else []
            for row, within in zip(undecided, inside, strict=True):
                if within:
                    wanted[row] = not has_it
            undecided = [row for row, within in zip(undecided, inside, strict=True) if not within]
        import pyarrow as pa

        return batch.filter(pa.array(wanted))


def _server_id(given: Any, where: str) -> int | None:  # noqa: ANN401 - what the user wrote
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and 0 < given < 2**32):
        return given
    raise ConfigError(
        f"server_id={given!r} is no number of a replica", where=where,
        hint="A whole number from 1 to 4294967295 that no other replica of the server has; without it, one is chosen.",
    )  # fmt: skip
