"""One read over several connections: a table's pages divided among them, all seeing one state of the database.

Only a plain scan of one table is divided, which the server's own plan tells. The connections share an exported
snapshot, and each reads a range of row addresses by a TID Range Scan, which PostgreSQL has since 14:
https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from itertools import pairwise
from queue import Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from ematix_core.backends.postgres.catalog import Catalog
from ematix_core.backends.postgres.opening import begin_reading, opened
from ematix_core.backends.postgres.reading import TypedQuery, joined
from ematix_core.errors import ConnectError, EmatixError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from ematix_core.backends.postgres.link import Link
    from ematix_core.backends.protocols import Query

SHARE = 16_384
"""Pages (128 MB) that are worth a connection of their own, unless `parallel` says how many there are.

The server makes CSV of 6M rows x 16 columns in four times the CPU that it takes to decode it here, so the number of
connections may be that of the CPUs: two read 1.28 times what `psql` writes to nowhere, one 0.87 times."""
MOST = 4
_FROM = re.compile(r'\bFROM\s+((?:"[^"]+"|\w+)(?:\s*\.\s*(?:"[^"]+"|\w+))?)(?=\s|\)|$)', re.IGNORECASE)
_NO_ALIAS = re.compile(r"\s*(?:$|\)|WHERE\b)", re.IGNORECASE)
_READY = 2  # batches that wait, for each connection
_TID_RANGE_SCANS = (14,)


@dataclass(frozen=True)
class Piece:
    """A part of a read: its own connection and query."""

    link: Link
    typed: TypedQuery


def pieces(link: Link, typed: TypedQuery, sql: str, query: Query) -> list[Piece]:
    """Return the parts of the query, in the open transaction of `link` and in new ones; one when it stays whole."""
    whole = [Piece(link, typed)]
    most = link.address.parallel or min(MOST, os.cpu_count() or 1)
    if most <= 1 or link.version < _TID_RANGE_SCANS or len(_FROM.findall(sql)) != 1:
        return whole
    pages = _pages(link, typed)
    number = min(most, pages if link.address.parallel else pages // SHARE)
    if number <= 1 or link.rows("SELECT pg_is_in_recovery()")[0][0]:
        return whole
    bounds = [pages * i // number for i in range(number + 1)]
    texts = [_within(sql, start, end if end < pages else None) for start, end in pairwise(bounds)]
    snapshot = link.rows("SELECT pg_export_snapshot()")[0][0]
    made: list[Piece] = []
    try:
        for text in texts[1:]:
            made.append(_opened(link, snapshot, text, query))
            if _differ(made[-1].typed, typed):
                raise ConnectError("the parts do not have the columns of the whole")
        first = TypedQuery(link, Catalog(link), texts[0], query)
    except EmatixError:
        # A pooler that leads elsewhere, no connection left, a query that asks for ctid: one connection does it all.
        for piece in made:
            piece.link.close()
        return whole
    return [Piece(link, first), *made]


def _pages(link: Link, typed: TypedQuery) -> int:
    """Return the size of the one table that the query scans, filters and picks columns of; 0 for any other query."""
    sql, _ = typed.copied()
    typed.set_parameters(link)
    plan = json.loads(link.rows(f"EXPLAIN (FORMAT JSON, VERBOSE) {sql}")[0][0])[0]["Plan"]
    if plan["Node Type"] == "Gather" and len(plan.get("Plans", ())) == 1:
        plan = plan["Plans"][0]
    if plan["Node Type"] != "Seq Scan" or plan.get("Plans"):
        return 0
    size = "SELECT pg_relation_size(format('%I.%I', $1::text, $2::text)::regclass)"
    block = "current_setting('block_size')::bigint"
    return int(link.rows(f"{size} / {block}", plan["Schema"], plan["Relation Name"])[0][0])


def _within(sql: str, start: int, end: int | None) -> str:
    """Return the query over the pages from `start` up to `end` of its one table."""

    def ranged(found: re.Match[str]) -> str:
        below = f" AND ctid < '({end},0)'::tid" if end is not None else ""
        name = re.split(r"\s*\.\s*(?=[^.]*$)", found[1])[-1]
        alias = f" AS {name}" if _NO_ALIAS.match(sql[found.end() :]) else ""
        return f"FROM (SELECT * FROM {found[1]} WHERE ctid >= '({start},0)'::tid{below}){alias}"  # noqa: S608 - the user's own table

    return _FROM.sub(ranged, sql)


def _opened(link: Link, snapshot: str, sql: str, query: Query) -> Piece:
    other = opened(link.address)
    try:
        begin_reading(other, snapshot)
        return Piece(other, TypedQuery(other, Catalog(other), sql, query))
    except BaseException:
        other.close()
        raise


def _differ(a: TypedQuery, b: TypedQuery) -> bool:
    return [(f.name, f.oid, f.typmod) for f in a.fields] != [(f.name, f.oid, f.typmod) for f in b.fields]


def side_by_side(parts: Sequence[Piece]) -> Iterator[pa.RecordBatch]:
    """Yield the batches of all parts as they come, each part read and decoded in a thread of its own."""
    ready: Queue[Any] = Queue(_READY * len(parts))
    stopped = Event()
    threads = [Thread(target=_read, args=(part, ready, stopped), name="postgres read", daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    try:
        running = len(parts)
        while running:
            found = ready.get()
            if isinstance(found, BaseException):
                raise found
            running -= found is None
            if found is not None:
                yield found
    finally:
        stopped.set()
        for part, thread in zip(parts, threads, strict=True):
            if thread.is_alive():
                part.link.cancel()
        for thread in threads:
            while thread.is_alive():
                while not ready.empty():
                    ready.get_nowait()
                thread.join(0.01)


def _read(part: Piece, ready: Queue[Any], stopped: Event) -> None:
    try:
        decoder = part.typed.decoder
        chunks = part.typed.copy(part.typed.copied(), form="csv")
        try:
            for data in joined(chunks):
                for batch in decoder.batches(data):
                    ready.put(batch)
                if stopped.is_set():
                    return
        finally:
            chunks.close()
    except BaseException as error:  # noqa: BLE001 - raised in the thread that asked for the rows
        ready.put(error)
    else:
        ready.put(None)
