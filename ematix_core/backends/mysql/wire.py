"""What PyMySQL does not offer of the protocol: a query's columns before it runs, LOAD DATA from memory, the binary log.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymysql.connections import Connection as Client
from pymysql.connections import OKPacketWrapper
from pymysql.constants import COMMAND
from pymysql.err import MySQLError, OperationalError
from pymysql.protocol import FieldDescriptorPacket

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PREPARE, _CLOSE, _REGISTER = 0x16, 0x19, 0x15
_COUNTS = re.compile(rb"Records: (\d+)\s+Deleted: (\d+)\s+Skipped: (\d+)\s+Warnings: (\d+)")


@dataclass(frozen=True)
class Field:
    """A result column as the server describes it; `table` and `column` are those that it comes from, if plain."""

    name: str
    code: int
    charset: int
    length: int
    flags: int
    decimals: int
    schema: str = ""
    table: str = ""
    column: str = ""


@dataclass(frozen=True)
class Loaded:
    """What LOAD DATA says at its end."""

    records: int
    skipped: int
    warnings: int


class Wire(Client):  # type: ignore[misc]  # PyMySQL has no types
    """A PyMySQL connection with these additions.

    It is opened with the flag that permits LOAD DATA LOCAL but with `local_infile=False`: PyMySQL then refuses every
    request of the server for a file, and `send_rows` answers the one that it has asked for itself, with our bytes and
    never with a file: https://dev.mysql.com/doc/refman/8.0/en/load-data-local-security.html
    """

    def describe(self, sql: str) -> tuple[Sequence[Field], int]:
        """Prepare the statement without running it; return its columns and how many `?` it has."""
        self._execute_command(_PREPARE, sql)
        _, statement, columns, parameters = struct.unpack("<BIHH", self._read_packet().read(9))
        for _ in range(parameters + bool(parameters)):  # one packet each, and one that ends them
            self._read_packet()
        fields = [_field(self._read_packet(FieldDescriptorPacket)) for _ in range(columns)]
        if columns:
            self._read_packet()
        self._write_bytes(struct.pack("<iBI", 5, _CLOSE, statement))
        return fields, parameters

    def send_rows(self, sql: str, chunks: Iterable[Any]) -> Loaded:
        """Run a LOAD DATA LOCAL statement and answer its request with the chunks, which end the data even if they fail.

        The server counts and keeps the rows until then, so a failure must be followed by a rollback.
        """
        self._execute_command(COMMAND.COM_QUERY, sql)
        if not self._read_packet().is_load_local_packet():
            message = "the server did not ask for the rows of LOAD DATA LOCAL"
            raise OperationalError(message)
        try:
            for chunk in chunks:
                self.write_packet(chunk)
        except OperationalError:
            raise  # the connection is lost
        except BaseException:
            with suppress(MySQLError):
                self._end_rows()
            raise
        ended = self._end_rows()
        found = _COUNTS.search(ended.message)
        records, _, skipped, warnings = (int(number) for number in found.groups()) if found else (0, 0, 0, 0)
        return Loaded(records, skipped, max(warnings, ended.warning_count))

    def follow_log(self, server_id: int, command: int, payload: bytes) -> Any:  # noqa: ANN401 - a socket, plain or TLS
        """Register as a replica and ask for the binary log; return the socket that it comes by from then on.

        https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication.html
        """
        self._execute_command(_REGISTER, struct.pack("<I3xHI4x", server_id, 0, 0))
        self._read_packet()
        self._execute_command(command, payload)
        return self._sock

    def _end_rows(self) -> OKPacketWrapper:
        self.write_packet(b"")
        return OKPacketWrapper(self._read_packet())


def _field(packet: Any) -> Field:  # noqa: ANN401 - PyMySQL has no types
    return Field(
        name=packet.name, code=packet.type_code, charset=packet.charsetnr, length=packet.length, flags=packet.flags,
        decimals=packet.scale, schema=packet.db.decode() if isinstance(packet.db, bytes) else packet.db,
        table=packet.org_table, column=packet.org_name,
    )  # fmt: skip
