"""What a stream of changes needs to know of a table and its server, and what it requires of them."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.backends.mysql.binlog import events
from ematix_core.backends.mysql.binlog.dump import GRANTS, Dump
from ematix_core.backends.mysql.binlog.gtids import MariaDBGtids, MySQLGtids
from ematix_core.backends.mysql.binlog.shape import Charsets
from ematix_core.backends.mysql.columns import table_columns
from ematix_core.backends.mysql.connection import Database
from ematix_core.backends.mysql.literals import literal
from ematix_core.backends.mysql.reading import quote
from ematix_core.errors import AccessError, ConfigError, MissingSourceError, UnsupportedError, near

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.backends.mysql.address import Address
    from ematix_core.backends.mysql.columns import Declared

_LEAST_MARIADB, _LEAST_MYSQL = (10, 5), (8, 0, 14)
_NEW_WORDS = (8, 2)
"""MySQL from which on the log's state is asked for in other words: SHOW BINARY LOG STATUS."""
_WAIT_SECONDS = 10.0
_STEPS = "https://dev.mysql.com/doc/refman/8.0/en/replication-mode-change-online-enable-gtids.html"
_SETTINGS = {
    "log_bin": ({"1", "ON"}, "start the server with --log-bin"),
    "binlog_format": ({"ROW"}, "SET GLOBAL binlog_format = ROW"),
    "binlog_row_image": ({"FULL"}, "SET GLOBAL binlog_row_image = FULL"),
    "binlog_row_metadata": ({"FULL"}, "SET GLOBAL binlog_row_metadata = FULL"),
    "gtid_mode": ({"ON"}, f"set gtid_mode=ON and enforce_gtid_consistency=ON, step by step while it runs: {_STEPS}"),
}  # fmt: skip


@dataclass(frozen=True)
class LogEnd:
    """Where the log ends now: the number of the file, the place in it, and the transactions before it."""

    file: int
    at: int
    gtids: str


class Table:
    """One table, with a connection to ask about it. For one thread; connects when it is made."""

    def __init__(self, address: Address, schema: str, name: str, server_id: int | None) -> None:
        """Connect and look. Raises MissingSourceError; UnsupportedError, AccessError for what server or table lacks."""
        self.address, self.schema, self.name = address, schema, name
        self.server_id = server_id
        self.where = f"MySQL {address}, table {schema}.{name}"
        self.database = Database(address)
        try:
            self.mariadb = self.database.server.mariadb
            self._require_server()
            self.schema, self.name, self.engine = self._found()
            self.key = self._primary_key()
            self._require_logged()
            self.server = self._identity()
        except BaseException:
            self.close()
            raise
        self._charsets: Charsets | None = None

    @property
    def quoted(self) -> str:
        """The table's name for statements."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    def columns(self) -> dict[str, Declared]:
        """Return the columns that the table has now, by name."""
        return {column.name: column for column in table_columns(self.database, self.schema, self.name)}

    def charsets(self) -> Charsets:
        """Return the server's character sets."""
        if self._charsets is None:
            tables = ["COLLATIONS"]
            if self.mariadb and self.database.server.version >= (10, 10):
                tables.append("COLLATION_CHARACTER_SET_APPLICABILITY")
            names: dict[int, str] = {}
            for table in tables:
                rows = self.database.rows(
                    f"SELECT ID, CHARACTER_SET_NAME FROM information_schema.{table} WHERE ID IS NOT NULL"  # noqa: S608 - the words above
                )
                names |= {int(number): str(name) for number, name in rows if name}
            widths = self.database.rows("SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS")
            self._charsets = Charsets(names, {str(name): int(width) for name, width in widths})
        return self._charsets

    def end(self) -> LogEnd:
        """Return where the log ends. Raises AccessError without the privilege to ask."""
        file, at, *rest = self._log_state()
        if self.mariadb:
            gtids = self.database.rows(f"SELECT BINLOG_GTID_POS({literal(file, '')}, {int(at)})")[0][0]
            return LogEnd(number_of(file), int(at), str(gtids or ""))
        return LogEnd(number_of(file), int(at), str(MySQLGtids(rest[2])))

    def beginnings(self) -> Iterator[tuple[str, float, str]]:
        """Yield each file of the log, the newest first, with the time it begins at and the transactions before it."""
        with self._replicating():
            files = [str(row[0]) for row in self.database.rows("SHOW BINARY LOGS")]
        for file in reversed(files):
            seconds, gtids = self._beginning(file)
            yield file, seconds, gtids

    def oldest(self) -> tuple[str, str]:
        """Return the log's first file and the transactions before it."""
        with self._replicating():
            file = str(self.database.rows("SHOW BINARY LOGS")[0][0])
        return file, self._beginning(file)[1]

    def close(self) -> None:
        """End the connection."""
        self.database.close()

    def _beginning(self, file: str) -> tuple[float, str]:
        dump = Dump(self.address, "", self.server_id, file=file)
        try:
            began = 0.0
            while (event := dump.event(_WAIT_SECONDS)) is not None:
                if event.type == events.FORMAT:
                    began = event.seconds or began
                if event.type == events.PREVIOUS_GTIDS:
                    return began, _previous(event.body)
                if event.type == events.MARIA_GTID_LIST:
                    return began, _listed(event.body)
        finally:
            dump.close()
        raise UnsupportedError(f"the binary log {file} does not begin with its GTIDs", where=self.where)

    def _identity(self) -> str:
        if self.mariadb:
            return "{}:{}/{}".format(*self.database.rows("SELECT @@hostname, @@port, @@server_id")[0])
        return str(self.database.rows("SELECT @@server_uuid")[0][0])

    def _require_server(self) -> None:
        server = self.database.server
        least = _LEAST_MARIADB if self.mariadb else _LEAST_MYSQL
        if server.version < least:
            raise UnsupportedError(
                f"the binary log of {server} does not name the columns of its rows", where=self.where,
                hint="MySQL 8.0.14 or MariaDB 10.5, or newer.",
            )  # fmt: skip
        names = ", ".join(literal(name, "") for name in _SETTINGS)
        found = dict(self.database.rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})"))
        for name, (wanted, remedy) in _SETTINGS.items():
            if name in found and str(found[name]).upper() not in wanted:
                raise UnsupportedError(
                    f"{name} is {found[name] or 'empty'}: the binary log does not tell what a stream needs",
                    where=self.where, hint=f"{remedy[0].upper()}{remedy[1:]}.",
                )  # fmt: skip

    def _found(self) -> tuple[str, str, str]:
        rows = self.database.rows(
            "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES "  # noqa: S608 - hexadecimal literals
            f"WHERE TABLE_SCHEMA = {literal(self.schema, '')} AND TABLE_TYPE = 'BASE TABLE'"
        )
        for schema, name, engine in rows:
            if name == self.name or (name.lower() == self.name.lower() and self._ignores_case()):
                return str(schema), str(name), str(engine)
        raise MissingSourceError(
            f"there is no table {self.name} in the database {self.schema} that this user may read",
            where=self.where, hint=near(self.name, [str(row[1]) for row in rows]),
        )  # fmt: skip

    def _ignores_case(self) -> bool:
        return str(self.database.rows("SELECT @@lower_case_table_names")[0][0]) != "0"

    def _primary_key(self) -> tuple[str, ...]:
        rows = self.database.rows(
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE INDEX_NAME = 'PRIMARY' "  # noqa: S608 - hexadecimal literals
            f"AND TABLE_SCHEMA = {literal(self.schema, '')} AND TABLE_NAME = {literal(self.name, '')} "
            "ORDER BY SEQ_IN_INDEX"
        )
        if not rows:
            raise UnsupportedError(
                "the table has no primary key, by which its changes could be told apart", where=self.where,
                hint=f"ALTER TABLE {self.schema}.{self.name} ADD PRIMARY KEY (...).",
            )  # fmt: skip
        return tuple(str(row[0]) for row in rows)

    def _require_logged(self) -> None:
        """Raise UnsupportedError when changes of the table do not reach this server's log."""
        _, _, only, never, *_ = self._log_state()
        if (only and self.schema not in str(only).split(",")) or self.schema in str(never).split(","):
            raise UnsupportedError(
                f"the binary log leaves the database {self.schema} out (binlog_do_db, binlog_ignore_db)",
                where=self.where, hint="Change that in the server's settings, and start it again.",
            )  # fmt: skip
        with suppress(AccessError):  # who may not ask cannot be told; a primary needs no such right
            new = not self.mariadb and self.database.server.version >= _NEW_WORDS
            replica = self.database.rows("SHOW REPLICA STATUS" if new else "SHOW SLAVE STATUS")
            if replica and str(self.database.rows("SELECT @@log_slave_updates")[0][0]) not in {"1", "ON"}:
                raise UnsupportedError(
                    "the server is a replica, and its binary log does not have what it is sent", where=self.where,
                    hint="Start it with log_slave_updates=ON, or read from the primary.",
                )  # fmt: skip

    def _log_state(self) -> Sequence[Any]:
        new = not self.mariadb and self.database.server.version >= _NEW_WORDS
        with self._replicating():
            rows = self.database.rows("SHOW BINARY LOG STATUS" if new else "SHOW MASTER STATUS")
        return rows[0]

    def _replicating(self) -> _Replicating:
        return _Replicating(self)


class _Replicating:
    """Says which privileges are asked for when one of them is missing."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, AccessError):
            hint = GRANTS.format(user=self._table.address.user)
            raise AccessError(error.what, where=self._table.where, hint=hint) from error


def number_of(file: str) -> int:
    """Return the number of a log's file. Raises ConfigError for a name without one."""
    digits = file.rpartition(".")[2]
    if not digits.isdigit():
        raise ConfigError(
            f"the binary log {file!r} has no number at its end", hint="Let log_bin name a file without a point."
        )
    return int(digits)


def _previous(body: bytes) -> str:
    """Return the set of a PREVIOUS_GTIDS event."""
    (servers,) = struct.unpack_from("<Q", body)
    at, parts = 8, []
    for _ in range(servers):
        digits = body[at : at + 16].hex()
        name = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        (count,) = struct.unpack_from("<Q", body, at + 16)
        at += 24
        for _ in range(count):
            first, behind = struct.unpack_from("<QQ", body, at)
            at += 16
            parts.append(f"{name}:{first}-{behind - 1}")
    return str(MySQLGtids(",".join(parts)))


def _listed(body: bytes) -> str:
    """Return the list of a GTID_LIST event: of each domain and server the last, so the last server's counts."""
    count = struct.unpack_from("<I", body)[0] & 0x0FFFFFFF
    found = [struct.unpack_from("<IIQ", body, 4 + 16 * place) for place in range(count)]
    latest: dict[int, str] = {}
    for domain, server, number in found:
        latest[domain] = f"{domain}-{server}-{number}"  # within a domain the most recent one comes last
    return str(MariaDBGtids(",".join(latest.values())))
