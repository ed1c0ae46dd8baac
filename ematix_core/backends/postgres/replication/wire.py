"""Messages of the replication protocol, and those of pgoutput inside them.

https://www.postgresql.org/docs/current/protocol-replication.html
https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = 25
"""Bytes before pgoutput's own message: `w`, where the data begins and the log ends, and the server's clock."""
EPOCH_MICROSECONDS = 946_684_800_000_000
"""PostgreSQL counts microseconds since 2000; this many are between then and 1970."""
_BEGIN = struct.Struct("!qqI")
_KEEPALIVE = struct.Struct("!qq?")
_STATUS = struct.Struct("!cqqqq?")
_ATTRIBUTE = struct.Struct("!Ii")


class Begin(NamedTuple):
    """A transaction: where its commit is in the log, when that was (us since 1970, UTC), and its number."""

    lsn: int
    at: int
    xid: int


@dataclass(frozen=True)
class Attribute:
    """A column as pgoutput announces it; `key`: part of the replica identity."""

    name: str
    oid: int
    typmod: int
    key: bool


@dataclass(frozen=True)
class Relation:
    """A table as it is from here on. `full`: the whole row before a change is told."""

    oid: int
    schema: str
    name: str
    full: bool
    attributes: tuple[Attribute, ...]


def begin(data: memoryview) -> Begin:
    """Read a `B` message, with its header."""
    lsn, at, xid = _BEGIN.unpack_from(data, HEADER + 1)
    return Begin(lsn, at + EPOCH_MICROSECONDS, xid)


def relation(data: memoryview) -> Relation:
    """Read an `R` message, with its header."""
    body = bytes(data[HEADER + 1 :])
    (oid,) = struct.unpack_from("!I", body)
    schema, start = _text(body, 4)
    name, start = _text(body, start)
    identity, count = struct.unpack_from("!cH", body, start)
    start += 3
    found = []
    for _ in range(count):
        key = bool(body[start] & 1)
        column, start = _text(body, start + 1)
        type_oid, typmod = _ATTRIBUTE.unpack_from(body, start)
        found.append(Attribute(column, type_oid, typmod, key))
        start += _ATTRIBUTE.size
    return Relation(oid, schema or "pg_catalog", name, identity == b"f", tuple(found))


def truncated(data: memoryview) -> Sequence[int]:
    """Read the tables of a `T` message, with its header."""
    (count,) = struct.unpack_from("!I", data, HEADER + 1)
    return struct.unpack_from(f"!{count}I", data, HEADER + 6)


def keepalive(data: memoryview) -> tuple[int, bool]:
    """Read how far the server has come in its log, and whether it wants an answer."""
    end, _, asked = _KEEPALIVE.unpack_from(data, 1)
    return end, asked


def status(received: int, flushed: int, at: int, *, ask: bool = False) -> bytes:
    """Return a status update; `flushed` 0 leaves the slot where it is, `ask` asks for a keep-alive."""
    return _STATUS.pack(b"r", received, flushed, flushed, at - EPOCH_MICROSECONDS, ask)


def lsn_text(lsn: int) -> str:
    """Return a place in the log as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFF_FFFF:X}"


def _text(body: bytes, start: int) -> tuple[str, int]:
    end = body.index(b"\0", start)
    return body[start:end].decode(), end + 1
