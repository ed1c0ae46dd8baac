"""The connection by which a server sends its binary log, as it does to a replica.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_binlog_dump_gtid.html,
https://mariadb.com/kb/en/com_binlog_dump/
"""

from __future__ import annotations

import secrets
import select
import ssl
import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ematix_core.backends.mysql.binlog.events import FORMAT, Event
from ematix_core.backends.mysql.binlog.gtids import MySQLGtids
from ematix_core.backends.mysql.connection import Database
from ematix_core.backends.mysql.errors import translate
from ematix_core.errors import AccessError, EmatixError, SourceError, SqlError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.backends.mysql.address import Address

_DUMP, _DUMP_GTID = 0x12, 0x1E
_HEARTBEAT_SECONDS = 1
_SILENT_SECONDS = 30.0
"""After so long without a heartbeat the connection is taken for lost."""
_PATIENT_SECONDS = 3600
"""So long the server waits for a reader that is loading what it has read."""
_RECEIVED = 1 << 20
_WHOLE = 0xFFFFFF
"""The length of a packet that another one completes."""
_HEAD = struct.Struct("<IBIIIH")
_ERROR, _END, _GONE, _DENIED = 0xFF, 0xFE, 1236, 1227
_CHECKSUM = 4
_SAME_ID = "same server_"
"""In the messages about two replicas with one number."""
_MOST_ID = 2**32 - 1
GRANTS = "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{user}'@'%' (MariaDB 10.5: BINLOG MONITOR, too)."


class Dump:
    """Events from behind the transactions of `gtids`, or from the beginning of a `file`. For one thread."""

    def __init__(self, address: Address, gtids: str, server_id: int | None, *, file: str = "") -> None:
        """Ask for the log. Raises AccessError, ConnectError; what the server refuses is raised with the first event."""
        self._address = address
        self._where = f"MySQL {address}"
        self._database = Database(address)
        self._silent = 0.0
        self._held, self._at = b"", 0
        try:
            self._socket = self._asked(gtids, file, server_id or secrets.randbelow(_MOST_ID - 1_000_000) + 1_000_000)
        except BaseException:
            self.close()
            raise

    def event(self, seconds: float) -> Event | None:
        """Return the next event, waiting for it up to so long; None when there is none."""
        packet = self._packet(seconds)
        if packet is None:
            return None
        if packet[0] == _ERROR:
            raise self._refused(packet)
        if packet[0] == _END:
            raise translate(2013, "the server has ended its log", "", self._address)
        seconds_at, kind, server, size, end, flags = _HEAD.unpack_from(packet, 1)
        if kind == FORMAT:
            self._checked = packet[-_CHECKSUM - 1] != 0
        cut = len(packet) - _CHECKSUM if self._checked or kind == FORMAT else len(packet)
        return Event(kind, seconds_at, server, size, end, flags, packet[_HEAD.size + 1 : cut])

    def close(self) -> None:
        """End the connection."""
        self._database.close()

    def _asked(self, gtids: str, file: str, server_id: int) -> Any:  # noqa: ANN401 - a socket, plain or TLS
        """Ask for the log, and return the socket: PyMySQL itself reads whole packets only, and waits for them."""
        run = self._database.run
        nanoseconds = _HEARTBEAT_SECONDS * 1_000_000_000
        run(f"SET SESSION net_write_timeout = {_PATIENT_SECONDS}, @master_heartbeat_period = {nanoseconds}")
        # The server does not take checksums away: files have them or not, as their first event says.
        run(
            "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = @@GLOBAL.binlog_checksum"
        )
        self._checked = self._database.rows("SELECT @@GLOBAL.binlog_checksum")[0][0] != "NONE"
        if self._database.server.mariadb:
            run("SET @mariadb_slave_capability = 4, @slave_gtid_strict_mode = 0")
            if not file:
                run(f"SET @slave_connect_state = '{gtids}'")
        if self._database.server.mariadb or file:
            command, payload = _DUMP, struct.pack("<IHI", 4, 0, server_id) + file.encode()
        else:
            known = _encoded(MySQLGtids(gtids))
            command, payload = _DUMP_GTID, struct.pack("<HIIQI", 4, server_id, 0, 4, len(known)) + known
        with self._explained(), self._database.translated("COM_BINLOG_DUMP"):
            return self._database.client.follow_log(server_id, command, payload)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what a refusal to register means: MariaDB looks at the number then, both at the privilege."""
        try:
            yield
        except AccessError as error:
            raise AccessError(error.what, where=self._where, hint=GRANTS.format(user=self._address.user)) from error
        except SqlError as error:
            if _SAME_ID in error.what:
                raise self._taken(error.what) from error
            raise

    def _taken(self, message: str) -> SourceError:
        return SourceError(
            f"another replica has the same server id: {message}", where=self._where,
            hint="Leave server_id= out, or give each stream one of its own.",
        )  # fmt: skip

    def _packet(self, seconds: float) -> bytes | None:
        whole = b""
        deadline = time.monotonic() + seconds
        while True:
            left = len(self._held) - self._at
            if left >= 4:  # noqa: PLR2004 - a packet's head: its length in three bytes, its number in one
                length = int.from_bytes(self._held[self._at : self._at + 3], "little")
                if left >= 4 + length:
                    start = self._at + 4
                    self._at = start + length
                    part = self._held[start : self._at]
                    if length < _WHOLE:
                        return whole + part if whole else part
                    whole += part
                    deadline = time.monotonic() + _SILENT_SECONDS
                    continue
                self._receive(_SILENT_SECONDS, 4 + length - left)
            elif not self._receive(_SILENT_SECONDS if whole or left else max(0.0, deadline - time.monotonic()), 1):
                return None

    def _receive(self, seconds: float, wanted: int) -> bool:
        """Take in at least so many bytes more; False when none came in time, True after some have."""
        parts, got, began = [self._held[self._at :]], 0, time.monotonic()
        while got < wanted:
            if not self._ready(max(0.0, seconds - (time.monotonic() - began)) if not got else _SILENT_SECONDS):
                if not got and wanted == 1:
                    return False
                raise translate(2013, "the server is silent in the middle of an event", "", self._address)
            try:
                data = self._socket.recv(_RECEIVED)
            except ssl.SSLWantReadError:
                continue
            except OSError as error:
                raise translate(2013, str(error), "", self._address) from error
            if not data:
                raise translate(2013, "the server has closed the connection", "", self._address)
            parts.append(data)
            got += len(data)
        self._held, self._at, self._silent = b"".join(parts), 0, 0.0
        return True

    def _ready(self, seconds: float) -> bool:
        """Wait for bytes. Raises LostConnectionError when there have been none for too long, heartbeats included."""
        if getattr(self._socket, "pending", int)():
            return True
        began = time.monotonic()
        if select.select([self._socket], [], [], seconds)[0]:
            return True
        self._silent += time.monotonic() - began
        if self._silent > _SILENT_SECONDS:
            raise translate(2013, f"the server has sent no heartbeat for {self._silent:.0f} s", "", self._address)
        return False

    def _refused(self, packet: bytes) -> EmatixError:
        number = int.from_bytes(packet[1:3], "little")
        message = packet[9:].decode("utf-8", "replace")
        if _SAME_ID in message:
            return self._taken(message)
        if number != _GONE:
            error = translate(number, message, "", self._address)
            if number == _DENIED:
                return AccessError(error.what, where=self._where, hint=GRANTS.format(user=self._address.user))
            return error
        lowered = message.lower()
        if "purged" in lowered or "could not find gtid state" in lowered or "too old" in lowered:
            return SourceError(
                f"the binary log no longer has what comes next: {message} (error {number})", where=self._where,
                hint="Keep logs for longer (binlog_expire_logs_seconds, expire_logs_days). Now: empty the target and "
                'its positions, and begin anew with a snapshot; or seek "latest" and load what is missing by a job.',
            )  # fmt: skip
        return SourceError(f"the server does not send its binary log: {message} (error {number})", where=self._where)


def _encoded(gtids: MySQLGtids) -> bytes:
    """Return the set as the command takes it: https://dev.mysql.com/doc/dev/mysql-server/latest/classGtid__set.html."""
    by_server: dict[str, list[tuple[int, int]]] = {}
    for server, first, last in gtids.intervals():
        by_server.setdefault(server, []).append((first, last + 1))
    parts = [struct.pack("<Q", len(by_server))]
    for server, intervals in by_server.items():
        parts += [bytes.fromhex(server.replace("-", "")), struct.pack("<Q", len(intervals))]
        parts += [struct.pack("<QQ", *interval) for interval in intervals]
    return b"".join(parts)


def require_known(event: Event, ignorable: int) -> None:
    """Raise UnsupportedError for an event that nobody here can read, and whose meaning may be rows."""
    if not event.flags & ignorable:
        raise UnsupportedError(
            f"the binary log has an event of type {event.type}, which is not known",
            hint="Compressed transactions and partial JSON updates are not read: set "
            "binlog_transaction_compression=OFF and binlog_row_value_options=''.",
        )
