"""Manifests: what a table consists of, one file a version, and how a version replaces the one before.

Layout below the connection, for the table `analytics.events`:

    .ematix/analytics/events/_manifest-000000012.json   version 12: files, schema, ledger of loads
    .ematix/analytics/events/_files/part-<unique>.parquet   data files; never changed, each belongs to some versions
    .ematix/analytics/events/_view-000000012/               hard links to the files of version 12
    .ematix/analytics/events/_lock                          held by the one writer
    analytics/events -> ../.ematix/analytics/events/_view-000000012

A commit is the creation of the next manifest, which fails if another writer was first; the link is moved right after.
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
from ematix_core.errors import ConflictError, SourceError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from ematix_core.backends.storage.folder import Folder

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
            "uniform": self.uniform,
            "rows": self.rows,
            "files": [[f.path, f.rows, f.size] for f in self.files],
            "loads": [_load_to_json(load) for load in self.loads],
            "loaded_files": {s: [[f.path, f.size, f.modified] for f in fs] for s, fs in self.loaded_files.items()},
        }
        return json.dumps(content, indent=1).encode()

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

    def newest(self) -> Manifest | None:
        """Return the newest version, or None when there is no such table."""
        versions = self._versions(_MANIFEST)
        return self._read(versions[-1]) if versions else None

    def versions(self) -> list[int]:
        """Return the numbers of the versions that are kept, ascending."""
        return self._versions(_MANIFEST)

    def version(self, number: int) -> Manifest:
        """Return one version. Raises SourceError when it is no longer kept."""
        return self._read(number)

    def publish(self, manifest: Manifest) -> None:
        """Commit a version and show it to foreign readers. Raises ConflictError when another writer was first."""
        view = self._view(manifest.version)
        if manifest.version == 1:
            self.files.check_free(self.table)
        self.files.build_view(view, ((f"{self.data}/{file.path}", file.path) for file in manifest.files))
        failpoint("objects.commit.before")
        try:
            is_new = self.files.put_new(self._path(manifest.version), manifest.to_json())
        except UnknownOutcomeError:
            self.uncertain = True
            raise
        if not is_new:
            raise ConflictError(
                f"another writer has committed version {manifest.version} of {self.table}",
                hint="Nothing was written; run it again.",
            )
        failpoint("objects.commit.after")
        failpoint("objects.expose.before")
        self.files.expose(self.table, view)
        failpoint("objects.expose.after")

    def repair(self) -> Manifest | None:
        """Finish or clear what a killed writer left, and return the newest version. Call with the lock held."""
        current = self.newest()
        view = self._view(current.version) if current else ""
        if current and not self.files.is_exposed(self.table, view):
            self.files.check_free(self.table)
            self.files.build_view(view, ((f"{self.data}/{f.path}", f.path) for f in current.files))
            self.files.expose(self.table, view)
        if not self.files.local:
            return current  # what no version names may be another writer's
        kept = {f.path for version in self._versions(_MANIFEST) for f in self._read(version).files}
        newest = current.version if current else 0
        orphans = [path for path in self._data_paths() if path.removeprefix(f"{self.data}/") not in kept]
        views = [self._view(v) for v in self._versions(_VIEW) if v > newest]
        halves = [f"{self.state}/{n}" for n in self.files.names(self.state) if n.startswith("_new-")]
        self.files.remove([*orphans, *views, *halves])
        return current

    def expire(self, grace_seconds: float, now: datetime) -> None:
        """Remove versions that were replaced longer than the grace period ago. Call with the lock held."""
        versions = self._versions(_MANIFEST)
        manifests = {version: self._read(version) for version in versions}
        gone = [
            old
            for old, new in pairwise(versions)
            if (now - manifests[new].committed_at).total_seconds() > grace_seconds
        ]
        if not self.files.local and versions[-1] % _SWEPT_EVERY == 0:
            self._sweep(manifests.values(), now)
        if not gone:
            return
        kept = {file.path for version in versions if version not in gone for file in manifests[version].files}
        dead = {file.path for version in gone for file in manifests[version].files} - kept
        self.files.remove([self._path(version) for version in gone])
        self.files.remove([*(self._view(version) for version in gone), *(f"{self.data}/{path}" for path in dead)])

    def _sweep(self, manifests: Iterable[Manifest], now: datetime) -> None:
        """Remove data files that no version names and no writer can still be busy with."""
        kept = {file.path for manifest in manifests for file in manifest.files}
        oldest = int((now.timestamp() - _BUSY_SECONDS) * 1e9)
        found = (file for file in self.files.walk(self.data) if file.modified < oldest)
        self.files.remove([file.path for file in found if file.path.removeprefix(f"{self.data}/") not in kept])

    def _versions(self, pattern: re.Pattern[str]) -> list[int]:
        found = (pattern.match(name) for name in self.files.names(self.state))
        return sorted(int(match[1]) for match in found if match)

    def _read(self, version: int) -> Manifest:
        path = self._path(version)
        content = self.files.read(path)
        if content is None:
            raise SourceError(f"version {version} of {self.table} has been removed meanwhile", where=path)
        return Manifest.from_json(content, path)

    def _data_paths(self) -> list[str]:
        return [file.path for file in self.files.walk(self.data)]

    def _path(self, version: int) -> str:
        return f"{self.state}/_manifest-{version:09d}.json"

    def _view(self, version: int) -> str:
        return f"{self.state}/_view-{version:09d}"


def now() -> datetime:
    """Return the time of a commit."""
    return datetime.now(UTC)
