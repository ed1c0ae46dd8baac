"""Events of a binary log, from their bytes.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html,
https://mariadb.com/kb/en/replication-protocol/
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

QUERY, STOP, ROTATE, INTVAR, RAND, USER_VAR, FORMAT, XID = 2, 3, 4, 5, 13, 14, 15, 16
BEGIN_LOAD, EXECUTE_LOAD, TABLE_MAP, INCIDENT, HEARTBEAT, IGNORABLE, ROWS_QUERY = 17, 18, 19, 26, 27, 28, 29
GTID, ANONYMOUS_GTID, PREVIOUS_GTIDS, CONTEXT, VIEW_CHANGE, XA_PREPARE = 33, 34, 35, 36, 37, 38
PARTIAL_UPDATE, PAYLOAD, HEARTBEAT_V2 = 39, 40, 41
MARIA_ANNOTATE, MARIA_CHECKPOINT, MARIA_GTID, MARIA_GTID_LIST, MARIA_ENCRYPTION = 160, 161, 162, 163, 164
MARIA_QUERY_COMPRESSED = 165
INSERTED = frozenset({23, 30, 166, 169})
UPDATED = frozenset({24, 31, 167, 170})
DELETED = frozenset({25, 32, 168, 171})
_SECOND_VERSION = frozenset({30, 31, 32, 169, 170, 171})
ROWS = INSERTED | UPDATED | DELETED
_COMPRESSED = frozenset(range(166, 172))
WITHOUT_MEANING = frozenset(
    {
        STOP, FORMAT, INTVAR, RAND, USER_VAR, PREVIOUS_GTIDS, IGNORABLE, ROWS_QUERY, BEGIN_LOAD, CONTEXT, VIEW_CHANGE,
        MARIA_ANNOTATE, MARIA_CHECKPOINT, MARIA_GTID_LIST, MARIA_ENCRYPTION,
    }
)  # fmt: skip
"""Events that say nothing of rows."""
IGNORABLE_FLAG = 0x80
"""Of an event that who does not know it may pass over."""
_MARIA_STANDALONE, _MARIA_PREPARED = 1, 64
_QUERY_HEAD, _ROWS_HEAD = struct.Struct("<IIBHH"), struct.Struct("<6sH")


@dataclass(frozen=True)
class Event:
    """One event. `end`: where the next one begins in the file, by 32 bits; 0 for one that is in no file."""

    type: int
    seconds: int
    server: int
    size: int
    end: int
    flags: int
    body: bytes


@dataclass(frozen=True)
class Begun:
    """A transaction begins: its GTID, when it was committed (in us since 1970), whether one statement is all of it."""

    gtid: str
    committed_us: int
    standalone: bool
    prepared: bool


@dataclass(frozen=True)
class Statement:
    """A statement, with the database that it was run in."""

    schema: str
    sql: str


@dataclass(frozen=True)
class TableMap:
    """The table that rows are of: types and their parameters, and what `binlog_row_metadata=FULL` tells beside them.

    `unsigned` is by numeric columns, `collations` by those of text, `members` by ENUM and by SET columns.
    """

    number: bytes
    schema: str
    table: str
    types: bytes
    meta: bytes
    unsigned: bytes | None = None
    names: tuple[bytes, ...] = ()
    default_collation: tuple[int, ...] = ()
    collations: tuple[int, ...] | None = None
    enums: tuple[tuple[bytes, ...], ...] = ()
    sets: tuple[tuple[bytes, ...], ...] = ()
    listed_collations: tuple[int, ...] = ()
    key: tuple[int, ...] = field(default=())


def begun(event: Event, *, mariadb: bool) -> Begun:
    """Read what a GTID event says."""
    body = event.body
    if mariadb:
        number, domain, flags = struct.unpack_from("<QIB", body)
        gtid = f"{domain}-{event.server}-{number}"
        standalone, prepared = bool(flags & _MARIA_STANDALONE), bool(flags & _MARIA_PREPARED)
        return Begun(gtid, event.seconds * 1_000_000, standalone, prepared)
    digits, (number,) = body[1:17].hex(), struct.unpack_from("<Q", body, 17)
    server = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    at = int.from_bytes(body[42:49], "little") & ((1 << 55) - 1) if len(body) >= 49 else 0  # noqa: PLR2004 - from MySQL 8.0.1 on
    return Begun(f"{server}:{number}", at or event.seconds * 1_000_000, standalone=False, prepared=False)


def statement(event: Event) -> Statement:
    """Read the text of a statement."""
    body = event.body
    _, _, schema_length, _, variables = _QUERY_HEAD.unpack_from(body)
    start = _QUERY_HEAD.size + variables
    if event.type == EXECUTE_LOAD:
        start += 13
    schema = body[start : start + schema_length].decode("utf-8", "replace")
    text = body[start + schema_length + 1 :]
    if event.type == MARIA_QUERY_COMPRESSED:
        text = _inflated(text)
    return Statement(schema, text.decode("utf-8", "replace"))


def rotated(event: Event) -> tuple[str, int]:
    """Return the file that goes on, and where."""
    return event.body[8:].decode(), int.from_bytes(event.body[:8], "little")


def rows_of(event: Event) -> tuple[bytes, int, bool, bytes]:
    """Return the table's number, how many columns a row has, whether it has all of them, and the rows' bytes."""
    body = event.body
    number, _ = _ROWS_HEAD.unpack_from(body)
    at = _ROWS_HEAD.size
    if event.type in _SECOND_VERSION:
        at += int.from_bytes(body[at : at + 2], "little")
    columns, at = packed(body, at)
    width = (columns + 7) // 8
    times = 2 if event.type in UPDATED else 1
    full = (1 << columns) - 1  # the bits behind those of the columns may be anything
    present = [int.from_bytes(body[at + n * width : at + (n + 1) * width], "little") for n in range(times)]
    complete = all(bits & full == full for bits in present)
    rows = body[at + times * width :]
    return number, columns, complete, _inflated(rows) if event.type in _COMPRESSED else rows


def table_map(event: Event) -> TableMap:
    """Read a table's description."""
    body = event.body
    number, at = body[:6], 8
    schema, at = _text(body, at)
    table, at = _text(body, at + 1)
    columns, at = packed(body, at + 1)
    types = body[at : at + columns]
    length, at = packed(body, at + columns)
    meta = body[at : at + length]
    at += length + (columns + 7) // 8
    more: dict[int, bytes] = {}
    while at < len(body):
        length, start = packed(body, at + 1)
        more[body[at]] = body[start : start + length]
        at = start + length
    whole = _numbers(more.get(2, b"")) or _numbers(more.get(10, b""))
    return TableMap(
        number, schema.decode(), table.decode(), types, meta, more.get(1), tuple(_texts(more.get(4, b""))),
        default_collation=_numbers(more.get(2, b"")), collations=_numbers(more[3]) if 3 in more else None,  # noqa: PLR2004 - a field's number
        enums=_lists(more.get(6, b"")), sets=_lists(more.get(5, b"")),
        listed_collations=_numbers(more.get(11, b"")) or whole[:1],
        key=_numbers(more.get(8, b"")) or _numbers(more.get(9, b""))[::2],
    )  # fmt: skip


def packed(body: bytes, at: int) -> tuple[int, int]:
    """Return a length-encoded number, and where it ends."""
    first = body[at]
    if first < 251:  # noqa: PLR2004 - the number itself
        return first, at + 1
    width = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(body[at + 1 : at + 1 + width], "little"), at + 1 + width


def _text(body: bytes, at: int) -> tuple[bytes, int]:
    length, at = packed(body, at)
    return body[at : at + length], at + length


def _numbers(body: bytes) -> tuple[int, ...]:
    found, at = [], 0
    while at < len(body):
        number, at = packed(body, at)
        found.append(number)
    return tuple(found)


def _texts(body: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(body):
        text, at = _text(body, at)
        found.append(text)
    return found


def _lists(body: bytes) -> tuple[tuple[bytes, ...], ...]:
    found, at = [], 0
    while at < len(body):
        count, at = packed(body, at)
        members = []
        for _ in range(count):
            text, at = _text(body, at)
            members.append(text)
        found.append(tuple(members))
    return tuple(found)


def _inflated(data: bytes) -> bytes:
    """Return what MariaDB has compressed (log_bin_compress): a byte with the length's length, the length, zlib."""
    return zlib.decompress(data[1 + (data[0] & 7) :])
