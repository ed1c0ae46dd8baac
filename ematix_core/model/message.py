"""Message sources: a folder, a table used as a queue, a table of a lake whose versions are told, a topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ematix_core.errors import DeclarationError, near
from ematix_core.model.connection import Connection, ConnectionLike, named_connection
from ematix_core.model.options import explained

After = Literal["delete", "move", "keep"]
_AFTERS = ("delete", "move", "keep")


@dataclass(frozen=True, kw_only=True)
class MessageSource:
    """Where messages come from. Made by `inbox()`, `queue()`, `versions()` or `topic()`; see there for the options."""

    name: str
    connection: Connection | str
    path: str = ""
    table: str = ""
    id_column: str = "id"
    payload_column: str = "payload"
    after: After = "keep"
    versions_of: str = ""
    start: int = 0
    topic: str = ""
    begin: Literal["earliest", "latest"] = "latest"

    @property
    def connection_name(self) -> str:
        """The connection's name."""
        return self.connection.name if isinstance(self.connection, Connection) else self.connection

    def __str__(self) -> str:
        """Return what a summary calls it, such as `orders_in (inbox/*.json)`."""
        return f"{self.name} ({self.path or self.table or self.versions_of or self.topic})"


@explained("an inbox", kind="message source")
def inbox(name: str, *, connection: ConnectionLike, path: str = "*", after: After = "move") -> MessageSource:
    """Declare a folder as a source of messages: each file that `path` (a glob below the connection) finds is one.

    The position of a message is the file's path and the time of its last change, so a file of the same name that comes
    later is another message: `orders.json@20260131T020000.123456789Z`. Its payload is the content: parsed for `.json`,
    text for other text, nothing for the rest and for more than 1 MiB. Files whose name starts with `.` or `_`, or ends
    with `.tmp` or `.part`, are still being written; so is one that has changed in the last two seconds. `after` a
    successful run the file is moved into the folder `done` beside it (`move`), deleted, or left (`keep`).
    """
    return _source(name, connection, path=path, after=after, option="path", value=path)


@explained("a queue", kind="message source")
def queue(
    name: str, *, connection: ConnectionLike, table: str, id_column: str = "id", payload_column: str = "payload",
    after: After = "delete",
) -> MessageSource:  # fmt: skip
    """Declare a table of a database as a source of messages: each row is one, in the order of `id_column`.

    The position of a message is its id (a whole number, text or a UUID), its payload the value of `payload_column`,
    parsed when it is JSON, nothing when it has more than 1 MiB. `after` a successful run the row is deleted, or left
    (`keep`; then each look reads all ids).
    """
    if after == "move":
        raise DeclarationError("a row cannot be moved", where=f"queue {name}", hint="Use after='delete' or 'keep'.")
    return _source(
        name, connection, table=table, id_column=id_column, payload_column=payload_column, after=after,
        option="table", value=table,
    )  # fmt: skip


@explained("versions", kind="message source")
def versions(name: str, *, connection: ConnectionLike, table: str, start: int = 0) -> MessageSource:
    """Declare a table of a lake as a source of messages: each version that changes its rows is one, in order.

    `connection` is of kind `delta`, or `objects` for a table that ematix wrote. The position of a message is the
    version with the time of its commit: `12@20260131T020000.123000000Z`. Its payload says what the version did:
    `version`, `committed_at`, `operation` (such as `MERGE`), how many data files it `added` and `removed`, and how many
    `rows` were in those it added (null when the log does not tell). Versions that change no row, as those of OPTIMIZE
    and of new columns, are left out. `start`: the first version that counts (0: all that the table's log tells).
    """
    if type(start) is not int or start < 0:
        raise DeclarationError(
            f"start={start!r} is no version", where=f"message source {name}", hint="Write a whole number: start=12."
        )
    return _source(name, connection, versions_of=table, start=start, after="keep", option="table", value=table)


@explained("a topic", kind="message source")
def topic(
    name: str, *, connection: ConnectionLike, topic: str, start: Literal["earliest", "latest"] = "latest"
) -> MessageSource:
    """Declare a topic as a source of messages: each of its messages is one, in the order of its partition.

    The position of a message is `<topic>:<partition>@<offset>`. Its payload is what its JSON says, text for other text,
    nothing for other bytes, for tombstones and for more than 1 MiB. `start`: where it begins that has no offsets yet;
    they are kept by the broker for the group `ematix.<name>`.
    """
    if start not in {"earliest", "latest"}:
        raise DeclarationError(
            f"unknown start {start!r}", where=f"message source {name}", hint=near(str(start), ("earliest", "latest"))
        )
    return _source(name, connection, topic=topic, begin=start, after="keep", option="topic", value=topic)


def _source(name: str, connection: ConnectionLike, *, option: str, value: str, **fields: object) -> MessageSource:
    where = f"message source {name}"
    if not name or not value:
        raise DeclarationError(f"a message source needs a name and {option}=", where=where)
    if fields["after"] not in _AFTERS:
        raise DeclarationError(
            f"unknown after {fields['after']!r}", where=where, hint=near(str(fields["after"]), _AFTERS)
        )
    named = named_connection(connection, "connection")
    if named is None:
        raise DeclarationError("a message source needs connection=", where=where)
    return MessageSource(name=name, connection=named, **fields)  # type: ignore[arg-type]  # the options of those above
