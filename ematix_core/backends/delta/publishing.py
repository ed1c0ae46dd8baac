"""The end of a session: one commit a table, with the bookkeeping of the load that made it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ematix_core.backends.delta.bookkeeping import Ledger, expire
from ematix_core.backends.delta.commit import Note, commit, finish_files
from ematix_core.backends.delta.names import table_path
from ematix_core.errors import ConflictError, UnsupportedError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.backends.delta.bookkeeping import Books
    from ematix_core.backends.delta.changes import TableChanges
    from ematix_core.backends.delta.settings import Settings
    from ematix_core.backends.protocols import LoadRecord, SourceFile

    Pending = tuple[LoadRecord, tuple[SourceFile, ...]]


def publish(tables: Sequence[TableChanges], pending: Pending | None, settings: Settings, books: Books) -> None:
    """Commit each changed table: side tables first, last the one that the session was asked about first.

    That one has the load's own bookkeeping. A side table notes the load as well, so that an attempt that repeats a load
    whose own table was not reached adds nothing to it a second time.
    """
    if pending and not tables:
        raise UnsupportedError("a load was recorded, but no Delta table was written or looked at")
    for side in tables[1:]:
        if side.differs():
            _publish_side(side, pending, settings, books)
    for own in tables[:1]:
        if pending or own.differs():
            _publish_own(own, pending, settings, books)


def _publish_side(side: TableChanges, pending: Pending | None, settings: Settings, books: Books) -> None:
    if pending is None:
        _publish(side, None, Ledger(), settings, books)
        return
    record = replace(pending[0], watermark=None)
    ledger = _ledger(side, record, books)
    if ledger.find(record.load_id) is not None:
        side.take_back()
        return
    _publish(side, record, ledger.recorded(record, ()), settings, books)
    failpoint("delta.side.after")


def _publish_own(changes: TableChanges, pending: Pending | None, settings: Settings, books: Books) -> None:
    if not changes.exists:
        raise UnsupportedError(f"a load was recorded for {changes.name}, and there is no such table")
    if pending is None:
        _publish(changes, None, Ledger(), settings, books)
        return
    record, files = pending
    ledger = _ledger(changes, record, books)
    if ledger.find(record.load_id) is not None:
        raise ConflictError(f"load {record.load_id} was committed meanwhile by another attempt of the same run")
    books.point(record.scope, table_path(changes.name))
    _publish(changes, record, ledger.recorded(record, files), settings, books)


def _ledger(changes: TableChanges, record: LoadRecord, books: Books) -> Ledger:
    return books.ledger(changes.base, record.scope) if changes.base else Ledger()


def _publish(
    changes: TableChanges, record: LoadRecord | None, ledger: Ledger, settings: Settings, books: Books
) -> None:
    replaced = finish_files(changes, settings)
    note = None
    if record is not None:
        note = Note(record, books.write(changes.place, record.scope, ledger))
        failpoint("delta.bookkeeping.after")
    commit(changes, replaced, note)
    changes.committed(replaced)
    if note is not None and not ledger.since_swept:
        expire(changes.place, note.record.scope, note.number, ledger.number)
