"""A prefix of an object store as a place for files. See `folder` for what its methods mean.

Its commit point is a conditional put. There are no locks, so that a session never removes what another one may be
writing; and no links: foreign readers are shown a list of the files, as Athena, Trino and Hive read it
(`<table>/_symlink_format_manifest/manifest`).
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, cast

from ematix_core.backends.storage.access import driver
from ematix_core.backends.storage.client import Client
from ematix_core.backends.storage.folder import HIDDEN, StoredFile, UnknownOutcomeError
from ematix_core.errors import ConnectError, EmatixError, MissingSourceError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from duckdb import DuckDBPyConnection
    from pyarrow.fs import FileSystem

    from ematix_core.backends.storage.access import Access
    from ematix_core.backends.storage.folder import Shown
    from ematix_core.backends.storage.known import Entry

_SHOWN_TO_OTHERS = "_symlink_format_manifest/manifest"


class RemoteFolder:
    """Implements `Folder`."""

    local = False

    def __init__(self, access: Access, client: Client | None = None) -> None:
        self._access = access
        self._client = client or Client(access)

    @property
    def shown(self) -> str:
        """The URL."""
        return self._access.url

    @property
    def uri(self) -> str:
        """The URL."""
        return self._access.url

    @property
    def options(self) -> Mapping[str, str]:
        """The options of access, for delta-rs."""
        return self._access.delta_options()

    def at(self, path: str) -> RemoteFolder:
        """Return the folder of this path, reached by the same client."""
        return RemoteFolder(replace(self._access, prefix=self._key(path)), self._client)

    def mount(self, connection: DuckDBPyConnection) -> None:
        """Have the connection open locations of this place."""
        from ematix_core.backends.storage.mounted import mount

        mount(self._client, connection)

    def unmount(self, connection: DuckDBPyConnection) -> None:
        """Have the connection forget this place."""
        from ematix_core.backends.storage.mounted import unmount

        unmount(self._client, connection)

    def filesystem(self) -> FileSystem:
        """Return what Arrow opens the locations of this place by."""
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        from ematix_core.backends.storage.mounted import MountedFileSystem

        return PyFileSystem(FSSpecHandler(MountedFileSystem(self._client)))  # type: ignore[abstract] # wrong stubs

    def location(self, path: str) -> str:
        """Return what DuckDB opens the path by."""
        return self._client.location(self._key(path))

    def path(self, location: str) -> str:
        """Return the path of a location."""
        return self._path(self._client.key(location))

    def is_file(self, path: str) -> bool:
        """Say whether there is such an object."""
        try:
            return bool(path) and bool(self._client.entry(self._key(path)))
        except MissingSourceError:
            return False

    def is_folder(self, path: str) -> bool:
        """Say whether there is an object below the path; the place itself is there whenever its bucket is."""
        found = next(self._client.listed(self._key(path)), None)
        return found is not None or not path

    def stat(self, path: str) -> StoredFile:
        """Return one object's entry."""
        return self._stored(self._client.entry(self._key(path)))

    def modified(self, location: str) -> int:
        """Return the modification time (ns)."""
        return _nanoseconds(self._client.entry(self._client.key(location)).changed)

    def walk(self, below: str = "") -> Iterator[StoredFile]:
        """Yield the data files below a folder in order of their paths."""
        found = []
        start = len(below) + 1 if below else 0
        for entry in self._client.listed(self._key(below)):
            path = self._path(entry.key)
            if not any(part.startswith(HIDDEN) for part in path[start:].split("/")):
                found.append(self._stored(entry))
        yield from sorted(found, key=lambda file: file.path.split("/"))

    def names(self, folder: str) -> list[str]:
        """Return the names of all entries of a folder."""
        return sorted(key.rstrip("/").rpartition("/")[2] for key in self._client.children(self._key(folder)))

    def open(self, location: str) -> BinaryIO:
        """Open a file for reading at any position."""
        from ematix_core.backends.storage.mounted import ObjectReader

        return cast("BinaryIO", ObjectReader(self._client, self._client.key(location)))

    def create(self, location: str) -> BinaryIO:
        """Open a new file for writing."""
        from ematix_core.backends.storage.mounted import ObjectWriter

        return cast("BinaryIO", ObjectWriter(self._client, self._client.key(location)))

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, or None when it is not there."""
        try:
            return self._client.get(self._key(path))
        except MissingSourceError:
            return None

    def put(self, path: str, content: bytes) -> None:
        """Write a small file in one step."""
        self._client.put(self._key(path), content)

    def put_new(self, path: str, content: bytes) -> bool:
        """Write a small file in one step unless it exists.

        The answer to a put may be lost, and the client sends it again: then our own content is what is in the way.
        """
        exceptions = driver().exceptions
        try:
            self._client.put(self._key(path), content, new=True)
        except EmatixError as error:
            if self._holds(path, content, error):
                return True
            if isinstance(error.__cause__, exceptions.AlreadyExistsError | exceptions.PreconditionError):
                return False
            if isinstance(error, ConnectError):
                raise self._unknown(path, error) from error
            raise
        return True

    def _holds(self, path: str, content: bytes, error: EmatixError) -> bool:
        try:
            return self.read(path) == content
        except EmatixError:
            raise self._unknown(path, error) from error

    def _unknown(self, path: str, error: EmatixError) -> UnknownOutcomeError:
        return UnknownOutcomeError(
            f"the answer to the commit was lost: {error.what}", where=f"{self.shown}/{path}",
            hint="It may yet come to be. Run the job again: what is committed is not loaded twice.",
        )  # fmt: skip

    def copy(self, path: str, to: str) -> None:
        """Copy an object within the store."""
        self._client.copy(self._key(path), self._key(to))

    def make_folder(self, path: str) -> None:
        """Do nothing: an object store has no folders."""

    def sync(self, paths: Iterable[str]) -> None:
        """Do nothing: an object is kept before its put is answered."""

    def remove(self, paths: Iterable[str], *, emptied: bool = False) -> None:
        """Remove objects."""
        del emptied
        self._client.delete(self._key(path) for path in paths)

    def remove_empty(self) -> None:
        """Do nothing: an object store has no folders."""

    def note(self, path: str, size: int) -> None:
        """Spare a look at the object."""
        self._client.note(self._key(path), size)

    @contextlib.contextmanager
    def written(self, folder: str = "") -> Iterator[None]:
        """Remove what was written inside when it ends with an exception."""
        client, below = self._client, self._key(folder)
        client.finished.clear()
        client.filling.add(below)
        try:
            yield
        except BaseException:
            for writer in list(client.writing.values()):
                with contextlib.suppress(EmatixError, OSError):
                    writer.close()
            with contextlib.suppress(EmatixError):  # what cannot be removed is swept away later
                client.delete(client.finished)
            raise
        finally:
            client.filling.discard(below)

    def build_view(self, view: str, files: Shown) -> None:
        """Do nothing: a list is written in one step."""

    def extend_view(self, view: str, files: Shown) -> None:
        """Do nothing: a list is written in one step."""

    def expose(self, table: str, view: str, files: Shown) -> None:
        """Put a list of the files where readers of the table look for it."""
        del view
        self.put(f"{table}/{_SHOWN_TO_OTHERS}", self._list(files))

    def is_exposed(self, table: str, view: str, files: Shown) -> bool:
        """Say whether the table's list names these files."""
        del view
        return self.read(f"{table}/{_SHOWN_TO_OTHERS}") == self._list(files)

    def _list(self, files: Shown) -> bytes:
        return "".join(f"{self._client.bucket}/{self._key(path)}\n" for path, _ in files).encode()

    def check_free(self, table: str) -> None:
        """Raise UnsupportedError when there is something of another's making below the table's name."""
        for entry in self._client.listed(self._key(table)):
            if self._path(entry.key) != f"{table}/{_SHOWN_TO_OTHERS}":
                raise UnsupportedError(
                    f"{self.shown}/{table} holds files that ematix did not write",
                    hint="Name another table, or move the files away: a target's folder is ematix's own.",
                )

    @contextlib.contextmanager
    def lock(self, path: str, wait: float) -> Iterator[None]:
        """Keep nobody out: of two writers the later one's commit is refused."""
        del path, wait
        yield

    def _stored(self, entry: Entry) -> StoredFile:
        return StoredFile(
            self._path(entry.key), self._client.location(entry.key), entry.size, _nanoseconds(entry.changed), self
        )

    def _key(self, path: str) -> str:
        return "/".join(part for part in (self._access.prefix, path) if part)

    def _path(self, key: str) -> str:
        return key.removeprefix(f"{self._access.prefix}/") if self._access.prefix else key


def _nanoseconds(moment: datetime) -> int:
    """Return whole seconds: a list may tell fractions, a look at one object never does."""
    return int(moment.timestamp()) * 1_000_000_000
