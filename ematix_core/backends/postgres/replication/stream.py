"""PostgreSQL's changes as a StreamSource: the rows of a table, then what is done to them, commit by commit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ematix_core.backends.postgres.address import address
from ematix_core.backends.postgres.link import Link, driver
from ematix_core.backends.postgres.opening import begin_reading, opened
from ematix_core.backends.postgres.replication.copying import Copy, as_changes
from ematix_core.backends.postgres.replication.followed import followed
from ematix_core.backends.postgres.replication.log import Log
from ematix_core.backends.postgres.replication.place import Place, limit_of, place_of
from ematix_core.backends.postgres.replication.slot import slot_of
from ematix_core.backends.postgres.replication.snapshot import Snapshot
from ematix_core.backends.stream_protocols import Polled
from ematix_core.backends.tailing import PARTITION, choice, nanoseconds, options_of
from ematix_core.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.backends.postgres.replication.followed import Followed
    from ematix_core.backends.postgres.replication.slot import SlotState
    from ematix_core.backends.stream_protocols import PollLimits, Positions, Start, StreamQuery
    from ematix_core.model.connection import Connection

_OPTIONS = {"slot": "", "publication": "", "snapshot": "initial", "on_truncate": "fail"}


class PostgresChanges:
    """Follows one table. Its slot is made when reading begins, and moves on only by `commit`."""

    def __init__(self, connection: Connection, query: StreamQuery) -> None:
        driver()
        self._where = f"stream {query.name} of connection {connection.name}"
        options = options_of(query, _OPTIONS, self._where)
        self._initial = choice(options["snapshot"], "snapshot", ("initial", "never"), self._where) == "initial"
        self._skips = choice(options["on_truncate"], "on_truncate", ("fail", "skip"), self._where) == "skip"
        self._slot = slot_of(
            str(options["slot"]), str(options["publication"]), query.reader, query.name, self._where
        )  # fmt: skip
        self._name, self._start = query.name, query.start
        self._address = address(connection)
        self._link: Link | None = None
        self._place: Place | None = None
        self._copy: Copy | None = None
        self._log: Log | None = None
        self._acknowledged = 0

    def seek(self, start: Start) -> None:
        """See StreamSource. Makes slot and publication for a beginning; positions need those that there were."""
        self._stop()
        link, table = self._opened(), self._followed()
        if start == "earliest":
            state = self._slot.make(link, table)
            self._place = Place(0, begun=state.confirmed) if self._initial else Place(state.confirmed)
        elif start == "latest":
            self._slot.make(link, table)
            self._place = Place(self._lsn("pg_current_wal_insert_lsn"))
        elif isinstance(start, datetime):
            since = nanoseconds(start, self._where) // 1000
            if self._slot.look(link) is None and start <= datetime.now(UTC):
                raise SourceError(
                    f"there is no replication slot {self._slot.name}, so changes since {start} are not kept",
                    where=self._where, hint='Begin "earliest", with a snapshot, or "latest".',
                )  # fmt: skip
            self._place = Place(self._slot.make(link, table).confirmed, since=since)
        else:
            place = place_of(start, self._where)
            self._slot.found(link, table, place.kept_from)
            self._place = place

    def poll(self, limits: PollLimits) -> Polled | None:
        """See StreamSource. An update that changes a key is two rows, which are never cut apart."""
        if self._place is None:
            self.seek(self._start)
        assert self._place is not None  # noqa: S101 - seek() has set it
        try:
            return self._polled(limits, self._place, limit_of(limits.before))
        except BaseException:
            self.close()  # reading goes on from the place, which has not moved, over new connections
            raise

    def positions(self) -> Positions:
        """See StreamSource."""
        return self._place.positions() if self._place is not None else {}

    def end(self) -> Positions:
        """See StreamSource: where the log ends."""
        return {PARTITION: [self._lsn("pg_current_wal_flush_lsn"), 0]}

    def commit(self, positions: Positions) -> None:
        """Let the server forget the log before these positions."""
        self._acknowledged = place_of(positions, self._where).lsn
        if self._log is not None:
            self._log.acknowledge(self._acknowledged)

    def sample(self, limits: PollLimits) -> Polled | None:
        """Return some rows as the first copy would, and change nothing: no slot is made."""
        snapshot = Snapshot(self._address, self._followed(), None)
        try:
            copied = snapshot.take(limits.rows, limits.bytes)
            return Polled(as_changes(copied, 0, self._where), {}) if copied is not None else None
        finally:
            snapshot.close()

    def state(self) -> SlotState | None:
        """Return how the slot fares; None when there is none."""
        return self._slot.look(self._opened())

    def retained(self) -> str:
        """Return what the server keeps for this reader, for people."""
        state = self.state()
        return f"replication slot {self._slot.name}: {state if state is not None else 'not made yet'}"

    def drop(self) -> tuple[str, ...]:
        """Drop slot and publication, and return what there was. Raises LockedError while the slot is read."""
        self._stop()
        return self._slot.drop(self._opened())

    def close(self) -> None:
        """See StreamSource."""
        self._stop()
        if self._link is not None:
            self._link.close()
            self._link = None

    def _opened(self) -> Link:
        if self._link is None:
            self._link = opened(self._address)
        return self._link

    def _lsn(self, function: str) -> int:
        return int(self._opened().rows(f"SELECT (pg_catalog.{function}() - '0/0'::pg_lsn)::bigint")[0][0])

    def _followed(self) -> Followed:
        """Look the table up anew."""
        link = self._opened()
        begin_reading(link)
        try:
            table = followed(link, self._name, self._where)
            told = self._slot.columns(link, table)
        finally:
            link.execute("ROLLBACK")
        if told is None:
            return table
        return replace(table, columns=tuple(one for one in table.columns if one.column.name in told))

    def _stop(self) -> None:
        """End what is open for reading."""
        copy, self._copy = self._copy, None
        log, self._log = self._log, None
        if copy is not None:
            copy.close()
        if log is not None:
            log.close()

    def _polled(self, limits: PollLimits, place: Place, before: tuple[int, int] | None) -> Polled | None:
        if before is not None and place.order >= before:
            return None
        if not place.lsn:
            rows, place = self._copied(limits, place, before)
            if rows is not None:
                return self._at(rows, place)
            if not place.lsn:
                return None
            self._place = place
        if self._log is None:
            link, table = self._opened(), self._followed()
            self._slot.found(link, table, place.kept_from)
            self._log = Log(link, self._slot, table, place.lsn)
            self._log.acknowledge(self._acknowledged)
        rows, place = self._log.poll(place, limits, before, skip_truncate=self._skips)
        return self._at(rows, place)

    def _copied(
        self, limits: PollLimits, place: Place, before: tuple[int, int] | None
    ) -> tuple[pa.RecordBatch | None, Place]:
        """Return rows of the first copy, and the place after them; at its end the place in the log."""
        if self._copy is None:
            self._copy = Copy(self._address, self._followed(), place, self._where)
        most = limits.rows if before is None or before[0] else min(limits.rows, before[1] - place.row)
        rows, after = self._copy.take(place, most, limits.bytes)
        if rows is None:
            self._copy.close()
            self._copy = None
        return rows, after

    def _at(self, rows: pa.RecordBatch | None, place: Place) -> Polled | None:
        self._place = place
        return Polled(rows, place.positions()) if rows is not None else None
