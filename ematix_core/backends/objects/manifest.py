"""Manifests: what a table consists of, one file a version, and how a version replaces the one before.

Layout below the connection, for the table `analytics.events`:

    .ematix/analytics/events/_manifest-000000012.json   version 12: files, schema, ledger of loads
    .ematix/analytics/events/_files/part-<unique>.parquet   data files; never changed, each belongs to some versions
    .ematix/analytics/events/_view-000000012/               hard links to the files of version 12, and of later ones
    .ematix/analytics/events/_lock                          held by the one writer
    analytics/events -> ../.ematix/analytics/events/_view-000000012

A commit is the creation of the next manifest, which fails if another writer was first; the link is moved right after.
A version that only adds one file needs no links of its own: that file's is put beside those of the version before.
What each kind of reader sees:

- ematix reads the newest manifest: always exactly one version, the new one from the commit on.
- A foreign reader (`analytics/events/*.parquet`, a dataset over the folder) follows the link, which is exchanged in one
  step: a listing is one version, old or new, for append and truncate alike. Until its first commit there is no folder.
  If the writer dies between commit and link, foreign readers see the old version until the next session moves the link.
- Data files of a replaced version stay for a grace period (option `grace_seconds`, one hour), so readers that have
  listed the old version by its real path can finish. A reader that lists through the link and opens each file through
  it later, across a truncate, gets "no such file", never a mixture.

The manifest rather than a bare link is the truth, because an object store has conditional puts but no links.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ematix_core.backends.protocols import LoadRecord, SourceFile
from ematix_core.backends.storage.folder import UnknownOutcomeError
from ematix_core.errors import ConflictError, SourceError, TableMadeError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from ematix_core.backends.storage.folder import Folder, Shown, StoredFile

STATE = ".ematix"
_MANIFEST = re.compile(r"^_manifest-(\d{9})\.json$")
_VIEW = re.compile(r"^_view-(\d{9})$")
_SWEPT_EVERY = 50
"""Without locks, what killed writers left is looked for at each so many versions: it takes a listing of all files."""
_BUSY_SECONDS = 86_400
"""No load takes longer than that from its first file to its commit."""
_LOADS_KEPT = 200
"""Loads remembered a scope: attempts of one run share a load id, so only recent ones are ever looked for."""


@dataclass(frozen=True)
class DataFile:
    """One data file: path below `_files`, rows (None: not counted by file), bytes."""

    path: str
    rows: int | None
    size: int


@dataclass(frozen=True)
class Manifest:
    """One version of a table."""

    version: int
    committed_at: datetime
    format: str
    schema: pa.Schema
    files: tuple[DataFile, ...] = ()
    rows: int = 0
    partition_by: tuple[str, ...] = ()
    uniform: bool = True
    """True: all files have this schema, so that none needs to be opened to find it out."""
    format_settings: Mapping[str, Any] = field(default_factory=dict)
    """How the files of a text format were written; kept, because the connection's options may change later."""
    loads: tuple[LoadRecord, ...] = ()
    loaded_files: Mapping[str, tuple[SourceFile, ...]] = field(default_factory=dict)
    view: int = 0
    """The version in whose folder the links to its files are; 0: this one."""

    def last_load(self, scope: str) -> LoadRecord | None:
        """Return the scope's latest load."""
        return next((load for load in reversed(self.loads) if load.scope == scope), None)

    def find_load(self, scope: str, load_id: str) -> LoadRecord | None:
        """Return the load with this id."""
        return next((x for x in reversed(self.loads) if x.scope == scope and x.load_id == load_id), None)

    def recorded(self, record: LoadRecord, files: tuple[SourceFile, ...]) -> Manifest:
        """Return the manifest with one more load in its ledger."""
        earlier = [] if record.replaces else self.loads
        own = [load for load in earlier if load.scope == record.scope][-_LOADS_KEPT + 1 :]
        others = [load for load in self.loads if load.scope != record.scope]
        loaded = dict(self.loaded_files)
        if files:
            merged = {f.path: f for f in (*loaded.get(record.scope, ()), *files)}
            loaded[record.scope] = tuple(merged.values())
        return replace(self, loads=(*others, *own, record), loaded_files=loaded)

    def to_json(self) -> bytes:
        """Return the manifest's file content."""
        content = {
            "ematix": 1,
            "version": self.version,
            "committed_at": self.committed_at.isoformat(),
            "format": self.format,
            "format_settings": dict(self.format_settings),
            "columns": [{"name": f.name, "type": str(f.type), "nullable": f.nullable} for f in self.schema],
            "arrow_schema": base64.b64encode(self.schema.serialize().to_pybytes()).decode(),
            "partition_by": list(self.partition_by),
            "view": self.view,
            "uniform": self.uniform,
            "rows": self.rows,
            "files": [[f.path, f.rows, f.size] for f in self.files],
            "loads": [_load_to_json(load) for load in self.loads],
            "loaded_files": {s: [[f.path, f.size, f.modified] for f in fs] for s, fs in self.loaded_files.items()},
        }
        # A line for each, by hand: indent= takes ten times as long, and a table may have thousands of files.
        lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in content.items())
        return f"{{\n{lines}\n}}".encode()

    @classmethod
    def from_json(cls, content: bytes, where: str) -> Manifest:
        """Read a manifest. Raises SourceError when it is damaged or of a newer ematix."""
        import pyarrow as pa

        try:
            data = json.loads(content)
            if data["ematix"] != 1:
                raise SourceError(f"a newer ematix wrote this manifest (layout {data['ematix']})", where=where)
            return cls(
                version=data["version"],
                committed_at=datetime.fromisoformat(data["committed_at"]),
                format=data["format"],
                format_settings=data["format_settings"],
                schema=pa.ipc.read_schema(pa.py_buffer(base64.b64decode(data["arrow_schema"]))),
                partition_by=tuple(data["partition_by"]),
                uniform=data["uniform"],
                rows=data["rows"],
                files=tuple(DataFile(*entry) for entry in data["files"]),
                loads=tuple(_load_from_json(entry) for entry in data["loads"]),
                loaded_files={s: tuple(SourceFile(*f) for f in fs) for s, fs in data["loaded_files"].items()},
                view=data.get("view", 0),
            )
        except (ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
            raise SourceError(f"the manifest is damaged: {error}", where=where) from error


def _load_to_json(load: LoadRecord) -> dict[str, Any]:
    return {
        "scope": load.scope,
        "load_id": load.load_id,
        "loaded_at": load.loaded_at.isoformat(),
        "watermark": load.watermark,
        "counts": dict(load.counts),
    }


def _load_from_json(data: dict[str, Any]) -> LoadRecord:
    return LoadRecord(**{**data, "loaded_at": datetime.fromisoformat(data["loaded_at"])})


class History:
    """The versions of one table. `table` is its path below the connection, such as `analytics/events`."""

    def __init__(self, files: Folder, table: str) -> None:
        self.files = files
        self.table = table
        self.state = f"{STATE}/{table}"
        self.data = f"{self.state}/_files"
        self.lock_path = f"{self.state}/_lock"
        self.uncertain = False
        """A commit was sent and its answer was lost."""
        self._known: list[int] = []
        """The versions as they were listed last, and those committed since."""

    def newest(self) -> Manifest | None:
        """Return the newest version, or None when there is no such table."""
        versions = self.versions()
        return self._read(versions[-1]) if versions else None

    def versions(self) -> list[int]:
        """Return the numbers of the versions that are kept, ascending."""
        found = (_MANIFEST.match(name) for name in self.files.names(self.state))
        self._known = sorted(int(match[1]) for match in found if match)
        return list(self._known)

    def version(self, number: int) -> Manifest:
        """Return one version. Raises SourceError when it is no longer kept."""
        return self._read(number)

    def publish(self, manifest: Manifest) -> None:
        """Commit a version and show it to foreign readers. Raises ConflictError when another writer was first."""
        view, shown = self._view(manifest), self._shown(manifest)
        if manifest.version == 1:
            self.files.check_free(self.table)
        if not manifest.view:
            self.files.build_view(view, shown)
        failpoint("objects.commit.before")
        try:
            is_new = self.files.put_new(self._path(manifest.version), manifest.to_json())
        except UnknownOutcomeError:
            self.uncertain = True
            raise
        if not is_new and manifest.version == 1:
            raise TableMadeError(
                f"another writer has made the table {self.table} meanwhile", hint="Nothing was written; run it again."
            )
        if not is_new:
            raise ConflictError(
                f"another writer has committed version {manifest.version} of {self.table}",
                hint="Nothing was written; run it again.",
            )
        failpoint("objects.commit.after")
        failpoint("objects.expose.before")
        self.files.extend_view(view, shown)
        self.files.expose(self.table, view, shown)
        failpoint("objects.expose.after")
        self._known.append(manifest.version)

    def locked(self, wait: float) -> AbstractContextManager[None]:
        """Hold the table's lock; see `Folder.lock`.

        Raises UnsupportedError, before a folder is made for it, where something of another's making is in the way of
        a new table.
        """
        if self.files.local and not self.files.is_folder(self.state):
            self.files.check_free(self.table)
        return self.files.lock(self.lock_path, wait)

    def repair(self) -> Manifest | None:
        """Finish or clear what a killed writer left, and return the newest version. Call with the lock held.

        Raises UnsupportedError where something of another's making is in the way of a new table.
        """
        current = self.newest()
        if current is None:
            self.files.check_free(self.table)
        else:
            self._show(current)
        if self.files.local:  # elsewhere, what no version names may be another writer's
            self._clear(current)
        return current

    def _show(self, manifest: Manifest) -> None:
        """Have foreign readers see a version that was committed, if they do not."""
        view, shown = self._view(manifest), self._shown(manifest)
        if self.files.is_exposed(self.table, view, shown):
            return
        self.files.check_free(self.table)
        if self.files.is_exposed(self.table, view, shown[:-1]):
            self.files.extend_view(view, shown)
        else:
            self.files.build_view(view, shown)
        self.files.expose(self.table, view, shown)

    def _clear(self, current: Manifest | None) -> None:
        """Remove what a killed writer has left: it is younger than the newest version, and no version names it."""
        newest, since = 0, 0
        if current is not None:
            newest, since = current.version, self.files.modified(self.files.location(self._path(current.version)))
        orphans = self._unlisted(current, lambda file: file.modified >= since)
        names = self.files.names(self.state)
        views = [name for name in names if (found := _VIEW.match(name)) and int(found[1]) > newest]
        halves = [name for name in names if name.startswith("_new-")]
        self.files.remove([*orphans, *(f"{self.state}/{name}" for name in (*views, *halves))])

    def expire(self, grace_seconds: float, now: datetime) -> None:
        """Remove versions that were replaced longer than the grace period ago. Call after `publish`, and with the lock.

        Of the versions that stay it reads one, however many there are: a table of a stream has thousands.
        """
        gone: list[Manifest] = []
        oldest: Manifest | None = None
        for old, new in pairwise(self._known):
            following = self._find(new)
            if following is None or (now - following.committed_at).total_seconds() <= grace_seconds:
                break
            if (replaced := oldest or self._find(old)) is not None:
                gone.append(replaced)
            oldest = following
        if not self.files.local and self._known[-1] % _SWEPT_EVERY == 0:
            self._sweep(now)
        if oldest is None:
            return
        # A file that is left out never comes back: what the oldest version lacks, no later one has. So with the links.
        kept, view = {file.path for file in oldest.files}, self._view(oldest)
        dead = {f"{self.data}/{file.path}" for manifest in gone for file in manifest.files if file.path not in kept}
        self.files.remove([self._path(manifest.version) for manifest in gone])
        self.files.remove([*({self._view(manifest) for manifest in gone} - {view}), *dead])

    def _sweep(self, now: datetime) -> None:
        """Remove data files that no version names and no writer can still be busy with."""
        oldest = int((now.timestamp() - _BUSY_SECONDS) * 1e9)
        self.files.remove(self._unlisted(self.newest(), lambda file: file.modified < oldest))

    def _unlisted(self, newest: Manifest | None, meant: Callable[[StoredFile], bool]) -> list[str]:
        """Return the data files that are meant and that no version names; older versions are read if it must be."""
        listed = {f"{self.data}/{file.path}" for file in newest.files} if newest else set()
        found = [file.path for file in self.files.walk(self.data) if file.path not in listed and meant(file)]
        earlier = [version for version in self._known if newest and version != newest.version] if found else []
        for manifest in filter(None, map(self._find, earlier)):
            listed |= {f"{self.data}/{file.path}" for file in manifest.files}
        return [path for path in found if path not in listed]

    def _read(self, version: int) -> Manifest:
        found = self._find(version)
        if found is None:
            raise SourceError(
                f"version {version} of {self.table} has been removed meanwhile", where=self._path(version)
            )
        return found

    def _find(self, version: int) -> Manifest | None:
        path = self._path(version)
        content = self.files.read(path)
        return None if content is None else Manifest.from_json(content, path)

    def _shown(self, manifest: Manifest) -> Shown:
        return [(f"{self.data}/{file.path}", file.path) for file in manifest.files]

    def _path(self, version: int) -> str:
        return f"{self.state}/_manifest-{version:09d}.json"

    def _view(self, manifest: Manifest) -> str:
        return f"{self.state}/_view-{manifest.view or manifest.version:09d}"


def now() -> datetime:
    """Return the time of a commit."""
    return datetime.now(UTC)
