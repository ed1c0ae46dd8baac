"""COPY from one PostgreSQL server to another, passed on as it comes.

Binary where the wire form of every column is the same on both sides, or can be made so by a cast in the source's
query; else as text, which every type of the source writes and the same type of the target reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.postgres import native as n
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ematix_core.backends.postgres.catalog import Stored
    from ematix_core.backends.postgres.native import Native
    from ematix_core.backends.postgres.reading import TypedQuery
    from ematix_core.backends.postgres.session import PostgresSession
    from ematix_core.model.table import TableName

_FIRST_OF_USERS = 16_384
"""Object ids from here on differ from database to database:
https://www.postgresql.org/docs/current/system-catalog-initial-data.html"""
_TEXTS = frozenset({n.TEXT, n.VARCHAR, n.NAME, n.UNKNOWN})


def relay(typed: TypedQuery, session: PostgresSession, table: TableName, columns: Sequence[str]) -> int:
    """Put the query's rows into the table, by position, and return their number."""
    failpoint("postgres.relay.before")
    form, expressions = agreed(typed.natives, session.awaited(table, columns))
    chunks = typed.copy(typed.selected(expressions), form=form)
    try:
        rows = session.link.copy_in((table.schema, table.name), columns, _passed_on(chunks), form=form)
    finally:
        chunks.close()
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


def _passed_on(chunks: Iterable[list[bytes]]) -> Iterator[bytes]:
    for several in chunks:
        yield from several
        failpoint("postgres.relay.batch")
