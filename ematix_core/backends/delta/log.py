"""A version of a table as its transaction log tells it, and what of the format is refused, by name."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ematix_core.backends.delta.schema import columns_of
from ematix_core.errors import (
    ConflictError,
    ConnectError,
    DiskFullError,
    EmatixError,
    MissingDriverError,
    MissingSourceError,
    SourceError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from deltalake import DeltaTable

    from ematix_core.backends.storage.folder import Folder
    from ematix_core.model.table import Column

LOG = "_delta_log"
# Features of a version-3 reader that change nothing in how files are read, or that DuckDB reads as they are:
# https://github.com/delta-io/delta/blob/master/PROTOCOL.md#valid-feature-names-in-table-features
_READABLE = frozenset({"timestampNtz", "vacuumProtocolCheck"})
_READER_VERSIONS = 3
# Those of a version-7 writer that ask nothing of a writer as long as the table does not use them, see _require_plain.
_WRITABLE = _READABLE | {"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns"}
_WRITER_VERSIONS = 7
_UNWRITABLE_COLUMNS = {
    "delta.invariants": "an invariant", "delta.generationExpression": "a generated value",
    "delta.identity.start": "an identity", "CURRENT_DEFAULT": "a default",
}  # fmt: skip
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")


def driver() -> ModuleType:
    """Return the module deltalake. Raises MissingDriverError when it is not installed."""
    try:
        import deltalake
    except ImportError as error:
        raise MissingDriverError("delta", "deltalake", "delta") from error
    return deltalake


@dataclass(frozen=True)
class DataFile:
    """A file of a version: path below the table, size in bytes, rows if known, the partition's values in order."""

    path: str
    size: int
    rows: int | None
    partition: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """One version of the table in the folder `place`."""

    place: Folder
    raw: DeltaTable
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...]
    at: str = ""
    """By what the version was asked for; empty for the newest."""
    number: int = 0
    """The version's number when it was opened: `raw` goes on to the next one when its columns are changed."""
    read_entry: bytes | None = field(default=None, repr=False, compare=False)
    """The version's own entry in the log, if it was read already."""
    _noted: dict[str, int | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def version(self) -> int:
        """The version's number."""
        return int(self.raw.version())

    @cached_property
    def entry(self) -> bytes | None:
        """The version's own entry in the log; None when only a checkpoint tells of it."""
        return self.read_entry or self.place.read(entry_path(self.number))

    @property
    def is_as_opened(self) -> bool:
        """Say whether `raw` is still at the version that was opened, and the version's entry was read at the time."""
        return self.version == self.number and vars(self).get("entry") is not None

    def files(self) -> tuple[DataFile, ...]:
        """Return the files that the version consists of. Raises UnsupportedError for one outside of the folder."""
        return self._files

    @cached_property
    def _files(self) -> tuple[DataFile, ...]:
        with translated(self.place):
            found: Any = self.raw.get_add_actions(flatten=False)
            paths, sizes, rows = (found.column(name).to_pylist() for name in ("path", "size_bytes", "num_records"))
            parted: list[dict[str, Any] | None] = [None] * len(paths)
            if "partition" in found.column_names:
                parted = found.column("partition").to_pylist()
        files = []
        for escaped, size, number, values in zip(paths, sizes, rows, parted, strict=True):
            path = unquote(escaped)
            if "://" in escaped or path.startswith("/"):
                raise UnsupportedError(
                    f"the table's file {path} is outside of its folder, as in a shallow clone", where=self.place.shown
                )
            partition = tuple((values or {}).get(name) for name in self.partition_by)
            files.append(DataFile(path, size, number, partition))
        return tuple(files)

    def note_files(self) -> None:
        """Spare those who read the files a look at each: the log says how large they are, and they never change."""
        for file in self.files():
            self.place.note(file.path, file.size)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the location and the size in bytes of each file."""
        for file in self.files():
            yield self.place.location(file.path), file.size

    def transaction(self, app_id: str) -> int | None:
        """Return the version that an application noted last, or None.

        Most often the newest entry says it; delta-rs reads all entries since the last checkpoint, each time.
        """
        if app_id not in self._noted:
            number = _number(self.entry or b"", app_id)
            if number is None:
                with translated(self.place):
                    number = self.raw.transaction_version(app_id)
            self._noted[app_id] = number
        return self._noted[app_id]

    def require_writable(self) -> None:
        """Raise UnsupportedError for a feature that asks something of writers which we do not do."""
        protocol = self.raw.protocol()
        where = self.place.shown
        features = set(protocol.writer_features or ()) - _WRITABLE
        if protocol.min_writer_version > _WRITER_VERSIONS or features:
            named = ", ".join(sorted(features)) or f"writer version {protocol.min_writer_version}"
            raise UnsupportedError(
                f"the Delta table needs of its writers what ematix does not do: {named}", where=where
            )
        configured = self.raw.metadata().configuration
        constraints = [name for name in configured if name.startswith("delta.constraints.")]
        if constraints:
            raise UnsupportedError(
                f"the Delta table has a CHECK constraint, {constraints[0].removeprefix('delta.constraints.')!r}, which "
                "ematix does not hold rows against", where=where, hint="Drop it, and use checks= of the job.",
            )  # fmt: skip
        for column in json.loads(self.raw.schema().to_json())["fields"]:
            for name, what in _UNWRITABLE_COLUMNS.items():
                if name in column["metadata"]:
                    raise UnsupportedError(
                        f"column {column['name']!r} of the Delta table has {what}, which ematix does not write",
                        where=where,
                    )

    @property
    def change_feed(self) -> bool:
        """Say whether the table keeps a change data feed."""
        return self.raw.metadata().configuration.get("delta.enableChangeDataFeed", "").lower() == "true"

    @property
    def append_only(self) -> bool:
        """Say whether the table takes no changes but new rows."""
        return self.raw.metadata().configuration.get("delta.appendOnly", "").lower() == "true"


def is_table(place: Folder) -> bool:
    """Say whether there is a Delta table in the folder; one whose making was cut short, or is under way, is none.

    A writer on a local disk first gives its entry another name, `00000000000000000000.json#1`.
    """
    return any(re.fullmatch(r"\d{20}\.[\w.-]+", name) for name in place.names(LOG))


def entry_path(version: int) -> str:
    """Return the path of a version's entry in the log."""
    return f"{LOG}/{version:020d}.json"


def _number(entry: bytes, app_id: str) -> int | None:
    """Return the version of an application that an entry notes, or None."""
    for line in entry.splitlines():
        noted = json.loads(line).get("txn") if b'"txn"' in line else None
        if noted is not None and noted["appId"] == app_id:
            return int(noted["version"])
    return None


def require_path(place: Folder) -> None:
    """Raise UnsupportedError for a path that delta-rs takes for another."""
    if "%" in place.shown:
        raise UnsupportedError(
            f"the path {place.shown} has a % in it, which delta-rs takes for the beginning of an escape",
            hint="Choose another name for the table, or another folder for the connection.",
        )


def opened(place: Folder, at: str = "") -> Snapshot:
    """Open a version: the newest, or by `at` such as `v3` or `2026-01-31T12:00:00Z`.

    Raises UnsupportedError for a feature that we cannot read, MissingSourceError for a version that is not there.
    """
    require_path(place)
    delta = driver()
    with translated(place):
        raw = delta.DeltaTable(place.uri, storage_options=dict(place.options))
        if at:
            _travel(raw, at, place)
    return _snapshot(place, raw, at)


def renewed(old: Snapshot, following: bytes) -> Snapshot:
    """Return the newest version of a table that has gone on; `following` is the entry of the next version.

    What delta-rs has read of the log is kept, so that nobody may use the old version any more.
    """
    number, raw = old.version, old.raw
    with translated(old.place):
        raw.update_incremental()
    return _snapshot(old.place, raw, entry=following if raw.version() == number + 1 else None)


def _snapshot(place: Folder, raw: DeltaTable, at: str = "", entry: bytes | None = None) -> Snapshot:
    _require_readable(raw, place)
    with translated(place):
        columns = columns_of(raw.schema())
        partition_by = tuple(raw.metadata().partition_columns)
    return Snapshot(place, raw, columns, partition_by, at, int(raw.version()), entry)


def newest(place: Folder) -> Snapshot | None:
    """Open the newest version; return None where there is no table.

    delta-rs is asked at once: it lists the log from the last checkpoint on, `is_table` lists all of it. What keeps it
    from answering is told by the place itself, if it can.
    """
    try:
        return opened(place)
    except UnsupportedError:
        raise
    except EmatixError as error:
        absent = isinstance(error, MissingSourceError) and not place.local  # it says so of an unreadable folder as well
        if absent or not is_table(place):
            return None
        if isinstance(error, MissingSourceError):
            return opened(place)  # it has been made since
        raise


def _travel(raw: DeltaTable, at: str, place: Folder) -> None:
    where = place.shown
    if re.fullmatch(r"v\d+", at):
        newest = raw.version()
        if int(at[1:]) > newest:
            raise MissingSourceError(f"there is no version {at[1:]}: the newest is {newest}", where=where)
        raw.load_as_version(int(at[1:]))
        return
    moment = time_of(at)
    if moment is None:
        raise SourceError(
            f"{at!r} is no version of a table", where=where,
            hint="Write the name as orders@v3 or orders@2026-01-31T12:00:00Z.",
        )  # fmt: skip
    raw.load_as_version(moment.isoformat())
    written = next(iter(raw.history(1)), {}).get("timestamp")
    if written is not None and moment.timestamp() * 1000 < written:
        raise MissingSourceError(f"there is no version as old as {at}: the log begins later", where=where)


def time_of(text: str) -> datetime | None:
    """Return the time that a text such as `2026-01-31T12:00:00Z` stands for, in UTC without a zone; None for others."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _require_readable(raw: DeltaTable, place: Folder) -> None:
    protocol = raw.protocol()
    features = set(protocol.reader_features or ()) - _READABLE
    named = sorted(features)
    if protocol.min_reader_version > _READER_VERSIONS:
        named = [f"reader version {protocol.min_reader_version}"]
    mapping = raw.metadata().configuration.get("delta.columnMapping.mode", "none")
    if mapping != "none":
        named = sorted({*named, "columnMapping"})
    if named:
        raise UnsupportedError(
            f"the Delta table needs of its readers what ematix does not read: {', '.join(named)}", where=place.shown,
            hint="Have its writer drop the feature: ALTER TABLE .. DROP FEATURE, or REORG TABLE .. APPLY (PURGE).",
        )  # fmt: skip


@contextmanager
def translated(place: Folder) -> Iterator[None]:
    """Raise the errors of delta-rs as ours."""
    try:
        yield
    except BaseException as error:
        # A panic of the Rust code is no Exception: https://pyo3.rs/main/doc/pyo3/panic/struct.panicexception
        if type(error).__name__ == "PanicException":
            raise SourceError(f"delta-rs gave up: {_head(error)}", where=place.shown) from error
        _raise_known(error, place)
        raise


def _raise_known(error: BaseException, place: Folder) -> None:
    """Raise what an error of delta-rs means; return for any other error."""
    exceptions = driver().exceptions
    if isinstance(error, exceptions.CommitFailedError):
        raise ConflictError(
            f"another writer has changed the table meanwhile: {_head(error)}", where=place.shown,
            hint="Nothing was committed. Run the job again; with retries= it does so by itself.",
        ) from error  # fmt: skip
    if isinstance(error, exceptions.TableNotFoundError):
        raise MissingSourceError(f"there is no Delta table {place.shown}") from error
    if isinstance(error, exceptions.DeltaError | OSError | ValueError):
        text = _head(error)
        if "No space left" in str(error):
            raise DiskFullError("no space left to write the table", where=place.shown) from error
        if "Permission denied" in str(error):
            raise ConnectError(f"cannot reach the table: {text}", where=place.shown) from error
        raise SourceError(f"the Delta table cannot be used: {text}", where=place.shown) from error


def _head(error: BaseException) -> str:
    """Return the message without the frames that delta-rs puts behind it."""
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line for line in lines if line and not re.match(r"\d+: |at /", line)]
    return " ".join(kept[:2])
