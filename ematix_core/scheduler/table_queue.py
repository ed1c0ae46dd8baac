"""A table of a database as a source of messages: each row is one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ematix_core.backends import registry
from ematix_core.engine.cancel import Cancellation
from ematix_core.engine.queueing import exclusive
from ematix_core.errors import EmatixError, MissingSourceError, SqlError, UnsupportedError, near
from ematix_core.failpoint import failpoint
from ematix_core.model.table import TableName
from ematix_core.scheduler.messages import AT_ONCE, LARGEST, Message, parsed
from ematix_core.sql import queue
from ematix_core.types import from_field

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ematix_core.backends.protocols import Session
    from ematix_core.model.connection import Connection
    from ematix_core.model.message import MessageSource

_PAGE = 10_000
_WAIT = 10.0
"""Seconds that the end of a message waits for a database file that a job holds."""
_INTEGERS = ("tiny_int", "small_int", "integer", "big_int", "u_tiny_int", "u_small_int", "u_integer", "u_big_int")
_READ: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_INTEGERS, int), "numeric": Decimal, "text": str, "string": str, "uuid": UUID,
}  # fmt: skip
"""How the text of a position becomes an id again, by the kind of the column."""


class TableQueue:
    """Implements `MessagePoller` for a table. Each look opens the database and closes it again."""

    def __init__(self, source: MessageSource, connection: Connection, mask: Callable[[str], str] = str) -> None:
        """Take the connection with its secrets resolved, and what hides them in errors."""
        self._source = source
        self._connection = connection
        self._mask = mask
        self._where = f"message source {source.name}"
        self._dialect = registry.dialect(connection.kind)
        if not self._dialect.ddl or connection.kind == "memory":
            why = "is of this process alone" if connection.kind == "memory" else "has no tables to be a queue"
            raise UnsupportedError(
                f"connection {connection.name} of kind {connection.kind} {why}", where=self._where,
                hint="Give queue() a database; a folder of files is declared by inbox().",
            )  # fmt: skip
        self._table = TableName.parse(source.table)
        self._read: Callable[[str], Any] | None = None

    def check(self) -> None:
        source = self._source
        self._read = self._reader()
        with self._looking() as session:
            if source.after == "delete" and (source.id_column,) not in session.unique_keys(self._table):
                raise UnsupportedError(
                    f"nothing keeps {source.id_column} of {source.table} unique, so a message cannot be told from"
                    " others that would be deleted with it",
                    hint="Make it the primary key, add a unique index, or leave the rows with after='keep'.",
                )

    def poll(self, known: Container[str], limit: int = AT_ONCE) -> list[Message]:
        source = self._source
        with self._looking() as session:
            new: list[Any] = []
            for ids in self._pages(session):
                new += [value for value in ids if str(value) not in known]
                if len(new) >= limit:
                    break
            new = new[:limit]
            if not new:
                return []
            sql = queue.payloads(self._table, source.id_column, source.payload_column, self._dialect, count=len(new))
            rows = session.query(sql, dict(zip(queue.parameters(len(new)), new, strict=True)))
        ids, payloads = (column.to_pylist() for column in rows.columns)
        found = {str(value): _plain(payload) for value, payload in zip(ids, payloads, strict=True)}
        return [Message(str(value), found[str(value)]) for value in new if str(value) in found]

    def remaining(self, positions: Collection[str]) -> list[str]:
        if self._source.after == "keep" or not positions:
            return []
        wanted = frozenset(positions)
        with self._looking() as session:
            return [str(value) for ids in self._pages(session) for value in ids if str(value) in wanted]

    def done(self, position: str) -> None:
        if self._source.after == "keep":
            return
        self._read = self._read or self._reader()
        statement = queue.delete(self._table, self._source.id_column, self._dialect)
        target = registry.target(self._connection)
        try:
            with self._told(), _held(target.exclusive(), _WAIT):
                with target.session() as session:
                    failpoint("queue.done.before")
                    session.execute(statement, {queue.POSITION: self._read(position)})
                failpoint("queue.done.after")
        finally:
            target.close()

    def close(self) -> None:
        """Nothing stays open."""

    @contextmanager
    def _looking(self) -> Iterator[Session]:
        """Open the database for reading; a file that a job holds is not waited for."""
        source, target = registry.source(self._connection), registry.target(self._connection)
        try:
            with self._told(), _held(source.exclusive(), 0), target.inspect() as session:
                yield session
        finally:
            source.close()
            target.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except EmatixError as error:
            raise error.masked(self._mask).at(self._where) from None

    def _pages(self, session: Session) -> Iterator[list[Any]]:
        """Yield the ids in ascending order, a page at a time."""
        after: dict[str, Any] = {}
        while True:
            sql = queue.ids(self._table, self._source.id_column, self._dialect, first=not after, limit=_PAGE)
            ids = session.query(sql, after).column(0).to_pylist()
            yield ids
            if len(ids) < _PAGE:
                return
            after = {queue.AFTER: ids[-1]}

    def _reader(self) -> Callable[[str], Any]:
        """Look at the columns and return what makes an id of a position; raises as `check` does."""
        source = self._source
        sql = queue.shape(self._table, source.id_column, source.payload_column, self._dialect)
        try:
            with self._looking() as session:
                found = session.query(sql, {}).schema.field(0)
        except (SqlError, MissingSourceError):
            self._explain()
            raise
        kind = from_field(found)
        if kind.kind not in _READ:
            raise UnsupportedError(
                f"the column {source.id_column!r} of type {kind.label()} cannot number messages", where=self._where,
                hint="Ids are whole numbers, text or UUIDs.",
            )  # fmt: skip
        return _READ[kind.kind]

    def _explain(self) -> None:
        """Raise MissingSourceError when the table or one of the columns is not there."""
        source = self._source
        with self._looking() as session:
            columns = session.columns(self._table)
            if columns is None:
                raise MissingSourceError(
                    f"there is no table {source.table} in connection {self._connection.name}",
                    hint=f"Create it, with the columns {source.id_column} and {source.payload_column}.",
                )
            known = [column.name for column in columns]
            for option in ("id_column", "payload_column"):
                if (name := getattr(source, option)) not in known:
                    raise MissingSourceError(
                        f"the table {source.table} has no column {name!r}",
                        hint=f"Set {option}= in queue(). {near(name, known)}",
                    )


def _held(file: Path | None, wait: float) -> AbstractContextManager[None]:
    """Keep other jobs of this machine out of a database file that admits one process."""
    return exclusive([file], wait=wait, tell=lambda _: None, cancellation=Cancellation())


def _plain(value: Any) -> Any:  # noqa: ANN401 - a value of any type becomes plain data
    """Return a payload as plain data: text and bytes parsed when they are JSON; nothing when it is too large."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    if isinstance(value, str):
        return parsed(value) if len(value) <= LARGEST else None
    return parsed(json.dumps(value, default=str))
