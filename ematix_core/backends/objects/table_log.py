"""The manifests of a table of ours as a `TableLog`: what each version added, and the rows of its files."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from ematix_core.backends.objects.listing import table_listing
from ematix_core.backends.objects.manifest import DataFile, History, Manifest
from ematix_core.backends.objects.source import ObjectSource
from ematix_core.backends.version_tail import AddedFile, Commit
from ematix_core.errors import MissingSourceError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa

    from ematix_core.model.connection import Connection


class ManifestLog:
    """Implements `TableLog`. A token is the number of a version's files and a digest of their names.

    By it a later version is known to have only added files, also when the manifests in between have expired.
    """

    def __init__(self, connection: Connection, table: str) -> None:
        self.shown = f"table {table} of connection {connection.name}"
        self._source = ObjectSource(connection)
        self._history = History(self._source.store, table)

    def after(self, version: int, token: str) -> Commit | None:
        known = self._known()
        if known[-1] < version:
            raise self._anew()
        later = [one for one in known if one > version]
        if not later:
            if token and self._token(self._manifest(version)) != token:
                raise self._anew()
            return None
        following = self._manifest(later[0])
        if version in known:
            base = self._manifest(version)
            if token and self._token(base) != token:
                raise self._anew()
            before = {file.path for file in base.files}
            added = [file for file in following.files if file.path not in before]
            return self._commit(following, added, removed=len(before - {file.path for file in following.files}))
        if not token:
            return self._commit(following, following.files)
        count = int(token.partition(":")[0])
        if _token(following.files[:count]) != token:
            raise SourceError(
                f"what versions {version + 1} to {following.version} changed is no longer told: rows were removed",
                where=self.shown,
                hint="Keep versions for longer than streams may stand still (grace_seconds of the connection); now "
                'load what is missing by a job, then seek "latest".',
            )
        return self._commit(following, following.files[count:])

    def bounds(self) -> tuple[int, int]:
        known = self._known()
        return known[0], known[-1]

    def earliest(self) -> tuple[int, str]:
        return self._known()[0] - 1, _token(())

    def latest(self) -> tuple[int, str]:
        newest = self._manifest(self._known()[-1])
        return newest.version, self._token(newest)

    def since(self, moment: datetime) -> tuple[int, str]:
        known = self._known()
        for version in reversed(known):
            manifest = self._manifest(version)
            if manifest.committed_at < moment:
                return version, self._token(manifest)
        if known[0] == 1:
            return self.earliest()
        raise SourceError(
            f"what was new at {moment} is no longer told: the oldest version kept is {known[0]}", where=self.shown,
            hint='Seek a later time, or "earliest" for the table as it was then and all that came later.',
        )  # fmt: skip

    def read(self, file: AddedFile) -> Iterator[pa.RecordBatch]:
        """Yield the rows with the columns of the newest version: NULL in files that are older than a column."""
        newest = self._manifest(self._known()[-1])
        one = replace(newest, files=(DataFile(file.path, file.rows, file.size),), uniform=False)
        listing = table_listing(self._source.store, self._history.table, one)
        if not self._source.store.is_file(f"{self._history.data}/{file.path}"):
            raise MissingSourceError(
                f"the file {file.path} of a version that is still to be read is no longer kept", where=self.shown,
                hint='Load what is missing by a job, then seek "latest".',
            )  # fmt: skip
        yield from self._source.read_listing(listing)

    def close(self) -> None:
        self._source.close()

    def _known(self) -> list[int]:
        known = self._history.versions()
        if not known:
            raise MissingSourceError("there is no such table", where=self.shown)
        return known

    def _manifest(self, version: int) -> Manifest:
        return self._history.version(version)

    @staticmethod
    def _token(manifest: Manifest) -> str:
        return _token(manifest.files)

    def _commit(self, manifest: Manifest, added: Sequence[DataFile], removed: int = 0) -> Commit:
        files = tuple(AddedFile(file.path, file.size, (), file.rows) for file in added)
        return Commit(manifest.version, manifest.committed_at, self._token(manifest), files, removed)

    def _anew(self) -> SourceError:
        return SourceError(
            "the table has been made anew: it is not the one that these positions are of", where=self.shown,
            hint='Seek "earliest" to read the new table from its beginning.',
        )  # fmt: skip


def _token(files: Sequence[DataFile]) -> str:
    digest = blake2b(digest_size=8)
    for file in files:
        digest.update(file.path.encode() + b"\0")
    return f"{len(files)}:{digest.hexdigest()}"
