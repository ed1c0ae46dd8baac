"""The end of a session: one manifest a table, with the bookkeeping of the load that made it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from ematix_core.backends.objects.manifest import STATE, now
from ematix_core.errors import ConflictError, EmatixError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.backends.objects.changes import TableChanges
    from ematix_core.backends.objects.settings import Settings
    from ematix_core.backends.protocols import LoadRecord, SourceFile
    from ematix_core.backends.storage.folder import Folder

    Pending = tuple[LoadRecord, tuple[SourceFile, ...]]


def publish(
    tables: Sequence[TableChanges], pending: Pending | None, store: Folder, settings: Settings,
    pointed: Mapping[str, str],
) -> None:  # fmt: skip
    """Publish the next version of each changed table: side tables first, last the one that was asked about first.

    `pointed`: the table that each scope's pointer names already, as far as it was read.

    Each table becomes visible in one step of its own. A side table keeps the load's id as well, so that an attempt
    that repeats a load whose own table was not reached adds nothing to it a second time.
    """
    if pending and not tables:
        raise UnsupportedError("a load was recorded, but no table of files was written or looked at")
    for side in tables[1:]:
        if side.changed and (pending is None or _new_to(side, pending[0], store)):
            _publish(side, settings)
    for own in tables[:1]:
        if pending:
            _record(own, pending, store, pointed)
        if own.changed:
            _publish(own, settings)


def take_back(tables: Sequence[TableChanges], store: Folder) -> None:
    """Remove the files that no committed version lists, as far as the place answers."""
    for changes in tables:
        if changes.history.uncertain:
            continue  # the commit may yet come to be, and then it needs them
        with contextlib.suppress(EmatixError):  # the error that led here is the one to tell; the rest is swept away
            newest = changes.history.newest() if changes.added else None
            listed = {file.path for file in newest.files} if newest else set()
            store.remove(f"{changes.history.data}/{f.path}" for f in changes.added if f.path not in listed)


def pointer(scope: str) -> str:
    """Return the path of the file that says where a scope's loads go: a hint where to look, no more."""
    return f"{STATE}/_scopes/{sha256(scope.encode()).hexdigest()[:32]}"


def _publish(changes: TableChanges, settings: Settings) -> None:
    changes.history.publish(changes.manifest())
    changes.history.expire(settings.grace_seconds, now())


def _new_to(side: TableChanges, record: LoadRecord, store: Folder) -> bool:
    """Note the load in a side table; say no when it is there already, and take back what was added."""
    if side.base and side.base.find_load(record.scope, record.load_id):
        store.remove(f"{side.history.data}/{file.path}" for file in side.added)
        return False
    side.recorded = (replace(record, watermark=None), ())
    return True


def _record(changes: TableChanges, pending: Pending, store: Folder, pointed: Mapping[str, str]) -> None:
    record, files = pending
    if changes.base and changes.base.find_load(record.scope, record.load_id):
        raise ConflictError(f"load {record.load_id} was committed meanwhile by another attempt of the same run")
    changes.recorded = (record, files)
    table = changes.history.table
    before = table if changes.base and changes.base.last_load(record.scope) else ""
    if pointed.get(record.scope, before) != table:
        store.put(pointer(record.scope), table.encode())
