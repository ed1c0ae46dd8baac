"""The changes of a slot as rows, from a place on."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ematix_core.backends.postgres.replication.changes import Decoding
from ematix_core.backends.postgres.replication.feed import Feed
from ematix_core.backends.postgres.replication.overlap import sees
from ematix_core.backends.postgres.replication.slot import PATIENCE
from ematix_core.backends.postgres.replication.walsender import failure, opened_slot
from ematix_core.errors import LockedError, MissingSourceError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from ematix_core.backends.postgres.link import Link
    from ematix_core.backends.postgres.replication.followed import Followed
    from ematix_core.backends.postgres.replication.place import Place
    from ematix_core.backends.postgres.replication.runs import Run
    from ematix_core.backends.postgres.replication.slot import Slot
    from ematix_core.backends.stream_protocols import PollLimits

_log = logging.getLogger(__name__)
_BEHIND_SECONDS = 10.0
"""So long a poll that waits for nothing gives the server to come to the end of its log."""
_LOOK_SECONDS = 0.05
_STATUS_SECONDS = 5.0
_NOW = """
SELECT (pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS lsn,
       EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = $1::oid) AS there
"""


class Log:
    """Reads one slot. Holds a connection until `close`; `link` stays the caller's."""

    def __init__(self, link: Link, slot: Slot, table: Followed, begin: int) -> None:
        """Begin at the commit at `begin`. Raises LockedError when another reader has the slot for long."""
        self._link, self._slot, self._table = link, slot, table
        self._decoding = Decoding(link, table, slot.where)
        self._feed = _fed(link, slot, table, begin)

    def acknowledge(self, lsn: int) -> None:
        """Let the server forget the log before."""
        self._feed.acknowledge(lsn)

    def poll(
        self, place: Place, limits: PollLimits, before: tuple[int, int] | None, *, skip_truncate: bool
    ) -> tuple[pa.RecordBatch | None, Place]:
        """Return rows behind the place as soon as there are any, and the place after them.

        Without rows when the time is over, or when the place is at `before`. Raises SourceError for a TRUNCATE.
        """
        deadline = time.monotonic() + limits.seconds
        patience = deadline if limits.seconds else deadline + _BEHIND_SECONDS
        wait, end = 0.0, 0
        while before is None or place.order < before:
            run = self._feed.take(limits.rows, limits.bytes, wait)
            if run is not None:
                rows, place = self._rows(run, place, before, skip_truncate=skip_truncate)
                if rows is not None:
                    return rows, place
                continue
            reached = self._feed.reached()
            place = _moved_on(place, reached, before)
            end = end or self._end(place)
            now = time.monotonic()
            if (now >= deadline and reached >= end) or now >= patience:
                return None, place
            if reached < end:
                self._feed.ask()
            wait = _LOOK_SECONDS if reached < end else min(deadline - now, 1.0)
        return None, place

    def close(self) -> None:
        """End the connection; what was acknowledged is told before."""
        self._feed.close()

    def _end(self, place: Place) -> int:
        """Return where the log ends. Raises MissingSourceError when that is read, and the table is gone."""
        row = self._link.rows(_NOW, self._table.oid)[0]
        if not row["there"] and place.lsn >= row["lsn"]:
            raise MissingSourceError(
                f"table {self._table.sql} was dropped", where=self._slot.where,
                hint="All its changes are read. Drop the stream's slot: flow streams drop.",
            )  # fmt: skip
        return int(row["lsn"])

    def _rows(
        self, run: Run, place: Place, before: tuple[int, int] | None, *, skip_truncate: bool
    ) -> tuple[pa.RecordBatch | None, Place]:
        """Return the run's rows that lie between the place and `before`, and the place after them."""
        run = run.behind(place.order)
        if run.begins and before is not None:
            run = run.until(before)
            if not run.begins:
                return None, place.after(*before, place.count)
        if not run.begins:
            return None, place
        lsn, row = run.last()
        if run.truncate:
            copied = [bool(sees(part.seen, np.array([run.begins[0].xid]))[0]) for part in place.parts]
            if not copied or not all(copied):  # what was copied after it does not have the rows of before
                self._truncated(run, skip=skip_truncate)
            return None, place.after(lsn, row + 1, place.count)
        rows = self._decoding.rows(run, place)
        if rows is None:
            return None, place.after(lsn, row + 1, place.count)
        return rows, replace(place.after(lsn, row + 1, place.count + rows.num_rows), since=None)

    def _truncated(self, run: Run, *, skip: bool) -> None:
        at = datetime.fromtimestamp(run.begins[0].at / 1_000_000, UTC)
        what = f"table {self._table.sql} was emptied by TRUNCATE at {at:%Y-%m-%d %H:%M:%S} UTC"
        if skip:
            _log.warning("%s: %s; the rows of before stay in the target", self._slot.where, what)
            return
        raise SourceError(
            f"{what}, which is no change of rows that a target could apply", where=self._slot.where,
            hint="Empty the target, set the stream's option on_truncate='skip', and consume: reading goes on after it.",
        )  # fmt: skip


def _fed(link: Link, slot: Slot, table: Followed, begin: int) -> Feed:
    patience = time.monotonic() + PATIENCE
    timeout = int(link.rows("SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'")[0][0])
    seconds = min(timeout / 4000, _STATUS_SECONDS) if timeout else _STATUS_SECONDS
    while True:
        try:
            connection = opened_slot(link.address, slot, begin)
            return Feed(connection, table.oid, lambda ended: failure(ended, slot), seconds)
        except LockedError:
            if time.monotonic() > patience:
                raise
            time.sleep(_LOOK_SECONDS)


def _moved_on(place: Place, reached: int, before: tuple[int, int] | None) -> Place:
    """Return the place when there are no changes up to where the server has come."""
    if reached <= place.lsn:
        return place
    lsn, row = (reached, 0) if before is None or before[0] >= reached else before
    return place.after(lsn, row, place.count)
