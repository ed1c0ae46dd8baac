"""COPY from one PostgreSQL server to another, passed on as it comes.

Binary where the wire form of every column is the same on both sides, or can be made so by a cast in the source's
query; else as text, which every type of the source writes and the same type of the target reads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ematix_core.backends.postgres import native as n
from ematix_core.backends.postgres.channel import ChannelClosedError
from ematix_core.backends.postgres.link import changed
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from ematix_core.backends.postgres.catalog import Stored
    from ematix_core.backends.postgres.link import Link
    from ematix_core.backends.postgres.native import Native
    from ematix_core.backends.postgres.parameters import Bound
    from ematix_core.backends.postgres.reading import TypedQuery
    from ematix_core.backends.postgres.session import PostgresSession
    from ematix_core.model.table import TableName

_FIRST_OF_USERS = 16_384
"""Object ids from here on differ from database to database:
https://www.postgresql.org/docs/current/system-catalog-initial-data.html"""
_CHUNKS = 32
"""Chunks that may wait, of 256 kB at most: what asyncio reads at a time."""
_TEXTS = frozenset({n.TEXT, n.VARCHAR, n.NAME, n.UNKNOWN})


def relay(typed: TypedQuery, session: PostgresSession, table: TableName, columns: Sequence[str]) -> int:
    """Put the query's rows into the table, by position, and return their number."""
    failpoint("postgres.relay.before")
    form, expressions = agreed(typed.natives, session.awaited(table, columns))
    typed.set_parameters(typed.link)
    rows = _passed_on(typed, typed.selected(expressions), session.link, table, columns, form=form)
    session.filled(table)
    failpoint("postgres.relay.after")
    return rows


def agreed(sources: Sequence[Native], targets: Sequence[Stored]) -> tuple[str, list[str]]:
    """Return `binary` or `text`, and the expressions that give the columns in a form that the target reads."""
    found = [_binary(f"q.c{i}", a, b) for i, (a, b) in enumerate(zip(sources, targets, strict=True))]
    binary = [expression for expression in found if expression is not None]
    if len(binary) == len(found):
        return "binary", binary
    return "text", [f"q.c{number}" for number in range(len(found))]


def _binary(column: str, source: Native, target: Stored) -> str | None:
    """Return the expression whose binary form is the target's; None where only the text form is."""
    a, b = source.plain, target.native.plain
    texts = _is_text(a) and _is_text(b)
    if texts or (a.oid == b.oid and _built_in(a)):
        return column
    return f"{column}::{target.type}" if _built_in(b) and target.native.kind != "d" else None


def _is_text(found: Native) -> bool:
    return found.oid in _TEXTS or found.kind == "e"


def _built_in(found: Native) -> bool:
    return found.oid < _FIRST_OF_USERS and (found.item is None or _built_in(found.item.plain))


def _passed_on(
    typed: TypedQuery, selected: tuple[str, Bound], target: Link, table: TableName, columns: Sequence[str], *, form: str
) -> int:
    """Copy from the source's connection to the target's, on the loop that both are on; return the number of rows."""
    source, passing = typed.link, _Passing()
    reading = source.begin(passing.read(source.connection.copy_from_query, selected[0], form))
    copy = target.connection.copy_to_table(
        table.name, source=passing.chunks(), columns=list(columns), schema_name=table.schema or None, format=form
    )
    writing = target.begin(copy, source.cancel_task)
    try:
        with target.translated(f"COPY {table} ({', '.join(columns)}) FROM STDIN"):
            rows = _written(target, writing)
    except BaseException:
        reading.wait()
        source.swallow()
        raise
    with source.translated(**typed.told(selected)):
        source.finish(reading)
    return rows


def _written(target: Link, writing: threading.Event) -> int:
    """Return the number of rows written; 0 when the source has failed, whose own task tells why."""
    try:
        return changed(target.finish(writing))
    except ChannelClosedError:
        return 0


class _Passing:
    """Chunks on their way from one COPY to the other, so many at a time."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_CHUNKS)
        self._complete = False

    async def read(self, copy: Callable[..., Awaitable[object]], sql: str, form: str) -> None:
        """Take all chunks of the source."""
        try:
            await copy(sql, output=self._take, format=form)
            self._complete = True
        finally:
            self._waiting.put_nowait(None)

    async def _take(self, chunk: bytes) -> None:
        await self._room.acquire()
        self._waiting.put_nowait(chunk)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield them. Raises ChannelClosedError when the source has failed."""
        while (chunk := await self._waiting.get()) is not None:
            self._room.release()
            yield chunk
            failpoint("postgres.relay.batch")
        if not self._complete:
            raise ChannelClosedError
