"""Maintenance of a table: small files put together; by delta-rs old files, a checkpoint, old entries of the log.

When a step ran last is in `_ematix/maintenance.json` of the table's folder: a note, no more. If it is lost, or two
processes write it at once, a step runs once too often.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ematix_core.backends.delta.bookkeeping import FOLDER
from ematix_core.backends.delta.log import LOG, is_table, opened, translated
from ematix_core.backends.delta.names import table_path
from ematix_core.backends.delta.optimizing import chosen, optimize
from ematix_core.errors import ConflictError, MissingSourceError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.model.maintenance import Checkpoint, CleanLog, Optimize, Vacuum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ematix_core.backends.delta.log import Snapshot
    from ematix_core.backends.delta.settings import Settings
    from ematix_core.backends.storage.folder import Folder
    from ematix_core.model.maintenance import Maintenance
    from ematix_core.model.table import TableName

_ATTEMPTS = 5
_NOTES = "maintenance.json"
_HOUR = timedelta(hours=1)
_WEEK = timedelta(days=7)
_RETENTION = "delta.deletedFileRetentionDuration"
"""The table's property; a week unless set: https://docs.delta.io/latest/table-properties.html"""


def check(settings: Settings, table: TableName, steps: Sequence[Maintenance]) -> None:
    """Raise UnsupportedError for z_order by a column that names partitions, and for removing files too early.

    The table may not exist yet.
    """
    place = settings.root.at(table_path(table))
    wanted = [name for step in steps if isinstance(step, Optimize) for name in step.z_order]
    retained = [step.retain for step in steps if isinstance(step, Vacuum) and step.retain is not None]
    if not wanted and not retained:
        return
    base = opened(place) if is_table(place) else None
    for retain in retained:
        if retain < _kept_for(base):
            raise _too_early(retain, f"table {table}")
    partition_by = base.partition_by if base else settings.partition_by
    if named := [name for name in wanted if name in partition_by]:
        raise UnsupportedError(
            f"z_order names {named[0]!r}, by which the table is partitioned: its values lie apart already",
            where=f"table {table}", hint="Name other columns, or write optimize() without z_order.",
        )  # fmt: skip


def maintain(
    settings: Settings, table: TableName, step: Maintenance, at: datetime, *, only_due: bool, dry_run: bool
) -> Mapping[str, int] | None:
    """Carry out a step; see `MaintainingTarget`. It begins anew when another writer was first, some times."""
    place = settings.root.at(table_path(table))
    if not is_table(place):
        raise MissingSourceError(f"there is no Delta table {place.shown}", hint="Its first load makes it.")
    for attempt in range(1, _ATTEMPTS + 1):
        base = opened(place)
        notes = _read(place)
        if only_due and not _due(base, step, at, notes.get(step.label())):
            return None
        if dry_run:
            return _foreseen(base, step, settings)
        failpoint("delta.maintain.before")
        try:
            with translated(place):
                counts = _carry_out(base, step, settings)
        except ConflictError as error:
            if attempt < _ATTEMPTS:
                continue
            raise ConflictError(
                f"other writers were first, {_ATTEMPTS} times", where=f"table {table}, {step.label()}",
                hint="Nothing was lost. Maintain the table when it is written to less.",
            ) from error  # fmt: skip
        failpoint("delta.maintain.after")
        _write(place, notes | {step.label(): {"version": base.raw.version(), "at": at.isoformat()}})
        return counts
    raise AssertionError  # the last attempt returns or raises


def _due(base: Snapshot, step: Maintenance, at: datetime, note: Mapping[str, Any] | None) -> bool:
    if note is not None:
        return step.due(at=at, last=datetime.fromisoformat(note["at"]), versions=base.version - note["version"])
    made = datetime.fromtimestamp(base.raw.metadata().created_time / 1000, UTC)
    return step.due(at=at, last=made, versions=base.version + 1)


def _carry_out(base: Snapshot, step: Maintenance, settings: Settings) -> Mapping[str, int]:
    match step:
        case Optimize():
            return optimize(base, step, settings)
        case Vacuum():
            return {"files_removed": len(_vacuum(base, step, dry_run=False))}
        case Checkpoint():
            base.raw.create_checkpoint()
            return {"checkpoints": 1}
        case CleanLog():
            before = _entries(base.place)
            base.raw.cleanup_metadata()
            return {"log_entries_removed": before - _entries(base.place)}
    raise UnsupportedError(f"Delta tables have no maintenance step {step.name!r}")


def _vacuum(base: Snapshot, step: Vacuum, *, dry_run: bool) -> list[str]:
    hours = None if step.retain is None else step.retain // _HOUR
    try:
        return base.raw.vacuum(hours, dry_run=dry_run, full=step.unlisted)
    except Exception as error:
        if "minimum retention" not in str(error):
            raise
        raise _too_early(step.retain, f"table {base.place.shown}") from error


def _kept_for(base: Snapshot | None) -> timedelta:
    """Return for how long the table keeps removed files at least; nothing for a form that is not understood here."""
    text = base.raw.metadata().configuration.get(_RETENTION, "") if base else ""
    if not text:
        return _WEEK
    found = re.fullmatch(r"interval (\d+) (week|day|hour|minute|second)s?", text.strip(), re.IGNORECASE)
    return timedelta(**{f"{found[2].lower()}s": int(found[1])}) if found else timedelta(0)


def _too_early(retain: timedelta | None, where: str) -> UnsupportedError:
    return UnsupportedError(
        f"the table keeps removed files longer than {retain}: readers and writers may still need them", where=where,
        hint=f"Leave retain= away, or set {_RETENTION} of the table lower.",
    )  # fmt: skip


def _foreseen(base: Snapshot, step: Maintenance, settings: Settings) -> Mapping[str, int]:
    """Return what a step would do. delta-rs tells it of VACUUM only."""
    match step:
        case Optimize():
            return {"files_to_rewrite": sum(map(len, chosen(base, step, settings)))}
        case Vacuum():
            with translated(base.place):
                return {"files_to_remove": len(_vacuum(base, step, dry_run=True))}
        case Checkpoint():
            return {"checkpoints": 1}
    return {"log_entries": _entries(base.place)}


def _entries(place: Folder) -> int:
    return sum(1 for name in place.names(LOG) if name.endswith(".json"))


def _read(place: Folder) -> dict[str, Any]:
    try:
        found = json.loads(place.read(f"{FOLDER}/{_NOTES}") or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(place: Folder, notes: Mapping[str, Any]) -> None:
    place.put(f"{FOLDER}/{_NOTES}", json.dumps(notes, indent=1).encode())
    failpoint("delta.maintain.noted")
