"""The commit: what a session has changed of a table becomes its next version, in one step of delta-rs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ematix_core.backends.delta.actions import add_action, afterwards, remove_action
from ematix_core.backends.delta.bookkeeping import app_id
from ematix_core.backends.delta.log import entry_path, is_table, opened, translated
from ematix_core.backends.delta.schema import schema_of
from ematix_core.backends.delta.writing import write
from ematix_core.errors import ConflictError, SourceError, TableMadeError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake import CommitProperties, Schema
    from deltalake.transaction import AddAction

    from ematix_core.backends.delta.changes import TableChanges
    from ematix_core.backends.delta.settings import Settings
    from ematix_core.backends.protocols import LoadRecord


@dataclass(frozen=True)
class Note:
    """What the commit says of the load that made it, and the number of its bookkeeping."""

    record: LoadRecord
    number: int

    def described(self) -> dict[str, Any]:
        """Return it for people who look at the table's history."""
        record = self.record
        return {
            "scope": record.scope, "load_id": record.load_id, "loaded_at": record.loaded_at.isoformat(),
            "watermark": record.watermark, "counts": dict(record.counts),
        }  # fmt: skip


def finish_files(changes: TableChanges, settings: Settings) -> tuple[int, ...]:
    """Write what is left of files with rows that are gone, and the rows held back; return the files so replaced."""
    touched = changes.touched()
    if touched or changes.held_rows():
        _, files = write(changes.duck, changes.kept_rows(touched), {}, changes.layout, settings)
        changes.add(files)
    return touched


def commit(changes: TableChanges, replaced: Sequence[int], note: Note | None) -> None:
    """Make the changes the table's next version.

    Rows that were added without a look at the table are added to whatever it is by then. Anything else is refused
    when another writer was first: raises ConflictError, and nothing is committed.
    """
    added = [add_action(new) for number, new in changes.new.items() if number not in replaced]
    failpoint("delta.commit.before")
    changes.committing = True
    try:
        if changes.base is None:
            _create(changes, added, note)
        elif changes.cleared or changes.retyped:
            _overwrite(changes, added, note)
        else:
            _append(changes, added, replaced, note)
    except ConflictError:
        if note is None or not _is_ours(changes, note):
            changes.committing = False
            raise
    sync_log(changes)
    failpoint("delta.commit.after")


def _is_ours(changes: TableChanges, note: Note) -> bool:
    """Say whether the version in the way is our own: its answer was lost, and delta-rs sent it again."""
    return is_table(changes.place) and opened(changes.place).transaction(app_id(note.record.scope)) == note.number


def sync_log(changes: TableChanges) -> None:
    """Bring the newest entries of the log to the disk: ours, and that of the version before, which may be ours too."""
    place = changes.place
    if place.local:
        first = last = changes.base.version if changes.base else 0
        while place.is_file(entry_path(last + 1)):
            last += 1
        entries = [entry_path(number) for number in range(first, last + 1)]
        place.sync(path for path in entries if place.is_file(path))


def _create(changes: TableChanges, added: list[AddAction], note: Note | None) -> None:
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import create_table_with_add_actions

    made = TableMadeError(
        "another writer has made the table meanwhile", where=changes.place.shown,
        hint="Nothing was committed. Run the job again.",
    )  # fmt: skip
    try:
        with translated(changes.place):
            create_table_with_add_actions(
                changes.place.uri, _schema(changes), added, mode="error", partition_by=list(changes.partition_by),
                storage_options=dict(changes.place.options), commit_properties=_properties(note, retries=0),
            )  # fmt: skip
    except ConflictError as error:  # it was made between the look for it and the commit
        raise made from error
    except SourceError as error:
        if isinstance(error.__cause__, DeltaError) and "already exists" in str(error.__cause__):
            raise made from error
        raise


def _overwrite(changes: TableChanges, added: list[AddAction], note: Note | None) -> None:
    base, schema = changes.base, _schema(changes)
    assert base is not None  # noqa: S101 - there is something to overwrite
    if '"timestamp_ntz"' in schema.to_json():
        _allow_plain_timestamps(changes)
    with translated(changes.place):
        base.raw.create_write_transaction(
            [*added], "overwrite", schema, partition_by=list(changes.partition_by),
            commit_properties=_properties(note, retries=0), post_commithook_properties=afterwards(base.version + 1),
        )  # fmt: skip


def _append(changes: TableChanges, added: list[AddAction], replaced: Sequence[int], note: Note | None) -> None:
    base = changes.base
    assert base is not None  # noqa: S101 - there is something to append to
    _add_columns(changes)
    removed = [remove_action(piece.file, changes.partition_by) for piece in changes.old(replaced)]
    blind = not (removed or changes.looked_at)
    with translated(changes.place):
        base.raw.create_write_transaction(
            [*added, *removed], "append", base.raw.schema(), partition_by=list(changes.partition_by),
            commit_properties=_properties(note, retries=None if blind else 0),
            post_commithook_properties=afterwards(base.version + 1),
        )  # fmt: skip


def _add_columns(changes: TableChanges) -> None:
    """Add new columns by a commit of their own: delta-rs takes them along only with a whole new version.

    If the process dies right after it, the columns are there and are NULL, as they are for all rows that exist.
    """
    base = changes.base
    assert base is not None  # noqa: S101 - see _append
    known = {column.name for column in base.columns}
    new = [field for field in _schema(changes).fields if field.name not in known]
    if not new:
        return
    before = base.version
    with translated(changes.place):
        base.raw.alter.add_columns(new)
    _require_next(changes, before)


def _allow_plain_timestamps(changes: TableChanges) -> None:
    """Have the table's protocol name the feature of times without zone, by a commit of its own that changes no row."""
    from deltalake import TableFeatures

    base = changes.base
    assert base is not None  # noqa: S101 - see _overwrite
    if "timestampNtz" in (base.raw.protocol().writer_features or ()):
        return
    before = base.version
    with translated(changes.place):
        base.raw.alter.add_feature([TableFeatures.TimestampWithoutTimezone], allow_protocol_versions_increase=True)
    _require_next(changes, before)


def _require_next(changes: TableChanges, before: int) -> None:
    """Raise ConflictError when there is another version between ours and the one that changed its schema."""
    failpoint("delta.schema.after")
    if changes.base is None or changes.base.version != before + 1:
        raise ConflictError(
            "another writer has changed the table meanwhile", where=changes.place.shown,
            hint="No rows were committed. Run the job again; with retries= it does so by itself.",
        )  # fmt: skip


def _schema(changes: TableChanges) -> Schema:
    """Return the table's schema for the log; columns that stay as they are keep what else the log says of them."""
    from deltalake import Schema

    columns = changes.columns or ()
    wanted = schema_of(columns)
    if changes.base is None:
        return wanted
    old = {field.name: field for field in changes.base.raw.schema().fields}
    kept = {column.name for column in changes.base.columns if column in columns}
    return Schema([old[field.name] if field.name in kept else field for field in wanted.fields])


def _properties(note: Note | None, *, retries: int | None) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    if note is None:
        return CommitProperties(max_commit_retries=retries)
    return CommitProperties(
        custom_metadata={"ematix": note.described()}, max_commit_retries=retries,
        app_transactions=[Transaction(app_id(note.record.scope), note.number)],
    )  # fmt: skip
