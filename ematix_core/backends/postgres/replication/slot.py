"""The replication slot and the publication of a stream: made, looked at and dropped.

A slot keeps the server from removing the log that its reader has not acknowledged; the publication says which table's
changes it tells. https://www.postgresql.org/docs/current/logicaldecoding-explanation.html
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.backends.postgres.catalog import quote
from ematix_core.errors import AccessError, ConfigError, LockedError, SourceError, UnsupportedError

if TYPE_CHECKING:
    from ematix_core.backends.postgres.link import Link
    from ematix_core.backends.postgres.replication.followed import Followed

_NAME = re.compile(r"[a-z0-9_]{1,63}")
_LONGEST = 63
PATIENCE = 10.0
"""Seconds to wait for a slot that its last reader has yet to give up."""
_LOOK_SECONDS = 0.05
_SLOT = """
SELECT plugin, database = current_database() AS here, active, active_pid AS pid,
       coalesce(wal_status, 'lost') AS wal_status, (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint AS confirmed,
       (pg_current_wal_lsn() - confirmed_flush_lsn)::bigint AS behind,
       (pg_current_wal_lsn() - restart_lsn)::bigint AS retained
FROM pg_catalog.pg_replication_slots WHERE slot_name = $1
"""
_PUBLICATION = """
SELECT p.pubinsert AND p.pubupdate AND p.pubdelete AS changes, p.pubtruncate AS truncates,
       p.pubviaroot AS via_root, EXISTS (
           SELECT FROM pg_catalog.pg_publication_tables t
           WHERE t.pubname = p.pubname AND t.schemaname = $2 AND t.tablename = $3) AS has_table
FROM pg_catalog.pg_publication p WHERE p.pubname = $1
"""
_OWN_PUBLICATION = """
SELECT FROM pg_catalog.pg_publication WHERE pubname = $1 AND pg_catalog.pg_has_role(pubowner, 'USAGE')
"""
_PART = """
SELECT attnames::text[] AS columns, rowfilter AS filter FROM pg_catalog.pg_publication_tables
WHERE pubname = $1 AND schemaname = $2 AND tablename = $3
"""
_WITH_PARTS = (15,)


@dataclass(frozen=True)
class SlotState:
    """A slot as the server has it; sizes in bytes of the log.

    `behind`: beyond what its reader has acknowledged; `retained`: what the server keeps for it. `wal_status`: reserved,
    extended, unreserved (about to be lost) or lost.
    """

    confirmed: int
    behind: int
    retained: int
    active: bool
    pid: int | None
    wal_status: str

    @property
    def lost(self) -> bool:
        """Whether the server has removed what the slot needs."""
        return self.wal_status == "lost"

    def __str__(self) -> str:
        """Say how it fares."""
        use = f"read by the server's process {self.pid}" if self.active else "read by nobody now"
        if self.lost:
            return "lost: the server has removed the log that it needs"
        danger = ", and about to be lost" if self.wal_status == "unreserved" else ""
        return f"{use}, {self.behind:,} bytes behind; the server keeps {self.retained:,} bytes of log for it{danger}"


@dataclass(frozen=True)
class Slot:
    """The slot and the publication of one stream, by their names; `where` for errors."""

    name: str
    publication: str
    where: str

    def look(self, link: Link) -> SlotState | None:
        """Return how the slot fares; None when there is none. Raises ConfigError for one of another kind."""
        rows = link.rows(_SLOT, self.name)
        if not rows:
            return None
        row = rows[0]
        if row["plugin"] != "pgoutput" or not row["here"]:
            raise ConfigError(
                f"replication slot {self.name} is of another database, or not of pgoutput", where=self.where,
                hint="Give another name by the option slot=.",
            )  # fmt: skip
        return SlotState(
            row["confirmed"] or 0,
            row["behind"] or 0,
            row["retained"] or 0,
            row["active"],
            row["pid"],
            row["wal_status"],
        )

    def make(self, link: Link, table: Followed) -> SlotState:
        """Make what is missing, and return the slot.

        The publication comes first: a slot decodes with the publications that there were when a change was made.
        """
        if not self._published(link, table):
            with self._rights(link, table):
                link.execute(
                    f"CREATE PUBLICATION {quote(self.publication)} FOR TABLE {table.sql}"
                    " WITH (publish_via_partition_root = true)"
                )
        state = self.look(link)
        if state is None:
            with self._rights(link, table):
                link.rows("SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')", self.name)
            state = self.look(link)
        if state is None:
            raise self.gone()
        if state.lost:
            raise self.lost()
        return state

    def found(self, link: Link, table: Followed, needed: int) -> SlotState:
        """Return the slot that has all changes from `needed` on. Raises SourceError when it has not."""
        if not self._published(link, table):
            raise SourceError(
                f"there is no publication {self.publication}", where=self.where,
                hint="One that is made now does not tell the changes of before. " + self._anew,
            )  # fmt: skip
        state = self.look(link)
        if state is None:
            raise self.gone()
        if state.lost:
            raise self.lost()
        if state.confirmed > needed:
            raise SourceError(
                f"replication slot {self.name} begins after the noted positions: the changes between are not kept any "
                "more", where=self.where, hint=self._anew,
            )  # fmt: skip
        return state

    def drop(self, link: Link) -> tuple[str, ...]:
        """Drop what was made for the stream, and return what there was. Raises LockedError while the slot is read.

        A publication stays that the stream was given by name, or that is another user's: others may read by it.
        """
        dropped = []
        patience = time.monotonic() + PATIENCE
        while (state := self.look(link)) is not None and state.active and time.monotonic() < patience:
            time.sleep(_LOOK_SECONDS)
        if state is not None and state.active:
            raise LockedError(
                f"replication slot {self.name} is read by the server's process {state.pid}", where=self.where,
                hint="Stop the stream's consumer first.",
            )  # fmt: skip
        if state is not None:
            link.rows("SELECT pg_catalog.pg_drop_replication_slot($1)", self.name)
            dropped.append(f"replication slot {self.name}")
        if self.publication == self.name and link.rows(_OWN_PUBLICATION, self.publication):
            link.execute(f"DROP PUBLICATION {quote(self.publication)}")
            dropped.append(f"publication {self.publication}")
        return tuple(dropped)

    def columns(self, link: Link, table: Followed) -> frozenset[str] | None:
        """Return the columns that the publication tells; None for all. Raises UnsupportedError for some of the rows."""
        if link.version < _WITH_PARTS:
            return None
        rows = link.rows(_PART, self.publication, table.schema, table.name)
        if rows and rows[0]["filter"]:
            raise UnsupportedError(
                f"publication {self.publication} tells only rows with {rows[0]['filter']}", where=self.where,
                hint="Publish all rows, and filter them in transform_sql.",
            )  # fmt: skip
        return frozenset(rows[0]["columns"]) if rows else None

    def gone(self) -> SourceError:
        """Return the error for a slot that is not there any more."""
        return SourceError(f"there is no replication slot {self.name} any more", where=self.where, hint=self._anew)

    def lost(self) -> SourceError:
        """Return the error for a slot whose log was removed."""
        return SourceError(
            f"replication slot {self.name} is lost: the server has removed log that was not read yet", where=self.where,
            hint=self._anew + " A higher max_slot_wal_keep_size on the server, or a consumer that stands still for less"
            " time, keeps it from happening again.",
        )  # fmt: skip

    @property
    def _anew(self) -> str:
        return (
            "Drop the stream's slot (flow streams drop), empty the target, and consume with --from earliest: that "
            "begins with a new snapshot."
        )

    def _published(self, link: Link, table: Followed) -> bool:
        """Say whether the publication is there. Raises ConfigError for one that does not tell all of the table."""
        rows = link.rows(_PUBLICATION, self.publication, table.schema, table.name)
        if not rows:
            return False
        row = rows[0]
        fault = (
            f"does not have table {table.sql}" if not row["has_table"]
            else "leaves out inserts, updates, deletes or truncates" if not (row["changes"] and row["truncates"])
            else "tells changes by the partitions' names" if table.partitioned and not row["via_root"]
            else ""
        )  # fmt: skip
        if fault:
            raise ConfigError(
                f"publication {self.publication} {fault}", where=self.where,
                hint=f"ALTER PUBLICATION {self.publication} ADD TABLE {table.sql}; or SET (publish = 'insert, update, "
                "delete, truncate', publish_via_partition_root = true). A table that was dropped and made again is"
                " another table: drop the stream's slot, and begin anew.",
            )  # fmt: skip
        return True

    def _rights(self, link: Link, table: Followed) -> _Rights:
        return _Rights(self, link.address.user, table)


class _Rights:
    """Says which right is missing."""

    def __init__(self, slot: Slot, user: str, table: Followed) -> None:
        self._slot, self._user, self._table = slot, user, table

    def __enter__(self) -> None:
        """Let it be tried."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, AccessError):
            return
        slot, table = self._slot, self._table
        raise AccessError(
            error.what, where=slot.where,
            hint=f'ALTER ROLE "{self._user}" REPLICATION (Amazon RDS: GRANT rds_replication TO "{self._user}") allows '
            f"slots. A publication is made by the table's owner with CREATE on the database; or an administrator runs "
            f"CREATE PUBLICATION {slot.publication} FOR TABLE {table.sql} WITH (publish_via_partition_root = true).",
        ) from error  # fmt: skip


def slot_of(slot: str, publication: str, reader: str, table: str, where: str) -> Slot:
    """Return the slot by the options, else by names made of the reader's. Raises ConfigError for an impossible name."""
    name = slot or _derived(reader or table)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"slot={name!r} is no name of a replication slot", where=where,
            hint="At most 63 small letters, digits and underscores.",
        )  # fmt: skip
    return Slot(name, publication or name, where)


def _derived(reader: str) -> str:
    """Return a name that no other reader has: what a slot's name cannot hold is told by a hash."""
    plain = re.sub(r"[^a-z0-9_]", "_", reader.lower())
    name = f"ematix_{plain}"
    if plain == reader and len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(reader.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9]}_{digest}"
