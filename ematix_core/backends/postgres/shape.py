"""What the server says about a statement before it runs: the types of its parameters and columns.

asyncpg leaves out the type modifier, which is the precision of a `numeric(12, 2)`, and the table that a column comes
from. Both are in the server's RowDescription message, so that is read here, from the bytes on their way to asyncpg:
https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-ROWDESCRIPTION
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

_HEADER = struct.Struct("!ci")
_FIELD = struct.Struct("!ihihih")


@dataclass(frozen=True)
class Field:
    """One column of a result; `typmod` is -1 for none, `table` 0 for an expression."""

    name: str
    oid: int
    typmod: int = -1
    table: int = 0
    number: int = 0


@dataclass(frozen=True)
class Shape:
    """A statement's parameter types, by name, and the columns of its result."""

    parameters: tuple[str, ...]
    fields: tuple[Field, ...]


class Tap:
    """Stands before asyncpg's protocol and keeps a copy of what comes in; everything is passed on."""

    def __init__(self, protocol: Any) -> None:  # noqa: ANN401 - asyncpg has no types
        self._protocol = protocol
        self._seen = bytearray()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the protocol has
        return getattr(self._protocol, name)

    def data_received(self, data: bytes) -> None:
        """Keep the data, and pass it on."""
        self._seen += data
        self._protocol.data_received(data)

    def fields(self) -> tuple[Field, ...]:
        """Return the columns of the first RowDescription that came in; none for a statement without a result."""
        start = 0
        while start + _HEADER.size <= len(self._seen):
            kind, length = _HEADER.unpack_from(self._seen, start)
            if kind == b"T":
                return _fields(bytes(self._seen[start + _HEADER.size : start + 1 + length]))
            if kind == b"n":  # NoData
                return ()
            start += 1 + length
        return ()


def _fields(body: bytes) -> tuple[Field, ...]:
    (count,) = struct.unpack_from("!h", body)
    found, start = [], 2
    for _ in range(count):
        end = body.index(b"\0", start)
        table, number, oid, _, typmod, _ = _FIELD.unpack_from(body, end + 1)
        found.append(Field(body[start:end].decode(), oid & 0xFFFF_FFFF, typmod, table & 0xFFFF_FFFF, number))
        start = end + 1 + _FIELD.size
    return tuple(found)
