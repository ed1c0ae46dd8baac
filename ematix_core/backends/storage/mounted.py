"""The files of an object store as DuckDB and Arrow open them: an fsspec file system over obstore.

DuckDB's own extension for object stores is a download, which a closed network lacks, and knows other credentials.
DuckDB asks for the byte ranges that a query needs, some megabytes at a time and from several threads; the requests are
made by obstore, outside of the interpreter's lock.
"""

from __future__ import annotations

import io
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from fsspec import AbstractFileSystem

from ematix_core.backends.storage.handover import HandedOverError, handing_over
from ematix_core.errors import MissingSourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.storage.client import Client

    Guard = Callable[[], AbstractContextManager[None]]


def mount(client: Client, connection: DuckDBPyConnection) -> None:
    """Have the connection open locations of the client's bucket; a second time does nothing."""
    if not connection.filesystem_is_registered(client.protocol):
        connection.register_filesystem(MountedFileSystem(client))


def unmount(client: Client, connection: DuckDBPyConnection) -> None:
    """Have the connection forget the client's bucket."""
    if connection.filesystem_is_registered(client.protocol):
        connection.unregister_filesystem(client.protocol)


class MountedFileSystem(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """What DuckDB's `register_filesystem` takes. A path is a location of the client's bucket, or its key."""

    cachable = False

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.protocol = client.protocol
        self._client = client

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:  # noqa: ANN401 - the signature of fsspec
        """Open a file; a written one is there when it has been closed."""
        kind = ObjectReader if "r" in mode else ObjectWriter
        with handing_over():
            return kind(self._client, self._client.key(path), handing_over)

    def info(self, path: str, **_: Any) -> dict[str, Any]:  # noqa: ANN401 - the signature of fsspec
        """Return name, size and type of a file, also of one that is being written."""
        key = self._client.key(path)
        writer = self._client.writing.get(key)
        with handing_over():
            return {"name": path, "size": writer.tell() if writer else self._client.entry(key).size, "type": "file"}

    def exists(self, path: str, **_: Any) -> bool:  # noqa: ANN401 - the signature of fsspec
        """Say whether there is such a file."""
        return self.isfile(path)

    def isfile(self, path: str) -> bool:
        """Say whether there is such a file."""
        key = self._client.key(path)
        if key in self._client.writing or self._client.is_new(key):
            return key in self._client.writing
        try:
            with handing_over():
                return bool(self._client.entry(key))
        except HandedOverError as error:
            if isinstance(error.__cause__, MissingSourceError):
                return False
            raise

    def isdir(self, path: str) -> bool:
        """Say yes: an object store has no folders that could be missing."""
        del path
        return True

    def modified(self, path: str) -> datetime:
        """Return the time of a file's last change."""
        with handing_over():
            return self._client.entry(self._client.key(path)).changed

    def glob(self, path: str, **_: Any) -> list[str]:  # noqa: ANN401 - the signature of fsspec
        """Return the path itself: what a pattern matches was decided before DuckDB sees a name."""
        return [path]

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: ANN401, FBT001, FBT002 - the signature of fsspec
        """Return nothing: DuckDB asks whether the folder that it writes to is empty, and ours need not be."""
        del path, detail
        return []

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:  # noqa: ANN401, FBT001, FBT002 - the signature of fsspec
        """Do nothing: an object store has no folders."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of fsspec
        """Do nothing: an object store has no folders."""


class ObjectReader(io.RawIOBase):
    """Reads byte ranges of one object.

    DuckDB reads either by position, which is a seek and a read in one thread and in others at the same time; or on and
    on, which may be one thread after the other. So a seek holds for the next read of its thread, and for others unless
    they seek themselves; a read without a seek goes on where the last one ended, and ends what earlier seeks asked for.
    """

    def __init__(self, client: Client, key: str, guard: Guard = nullcontext) -> None:
        super().__init__()
        self._client = client
        self._guard = guard
        self._entry = client.entry(key)
        self._position = 0
        self._round = 0
        self._sought = threading.local()

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return where the next read of this thread begins."""
        found: tuple[int, int] | None = getattr(self._sought, "at", None)
        return found[0] if found and found[1] == self._round else self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Say where the next read begins."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._entry.size}[whence]
        self._position = start + offset
        self._sought.at = (self._position, self._round)
        return self._position

    def size(self) -> int:
        """Return the bytes of the object."""
        return self._entry.size

    def read(self, size: int | None = -1) -> bytes:
        """Return up to so many bytes."""
        found: tuple[int, int] | None = getattr(self._sought, "at", None)
        if found and found[1] == self._round:
            start, self._sought.at = found[0], None
        else:
            start = self._position
            self._round += 1
        left = max(0, self._entry.size - start)
        length = left if size is None or size < 0 else min(size, left)
        self._position = start + length  # before the request, during which other threads go on
        with self._guard():
            return self._client.get_range(self._entry, start, length) if length else b""

    def readall(self) -> bytes:
        """Return all that is left."""
        return self.read()

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        """Read into a buffer."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


class ObjectWriter(io.RawIOBase):
    """Writes one object, in parts as it grows. Nobody sees it before it has been closed."""

    def __init__(self, client: Client, key: str, guard: Guard = nullcontext) -> None:
        super().__init__()
        self._client = client
        self._guard = guard
        self._key = key
        self._raw = client.upload(key)
        self._written = 0
        client.writing[key] = cast("BinaryIO", self)

    def writable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._written

    def write(self, buffer: Any) -> int:  # noqa: ANN401 - bytes or a buffer
        """Add bytes."""
        with self._guard(), self._client.told("write", self._key):
            self._raw.write(bytes(buffer))
        self._written += len(buffer)
        return len(buffer)

    def flush(self) -> None:
        """Do nothing: what is written is sent in whole parts, the rest at the end."""

    def close(self) -> None:
        """Finish the object."""
        if self.closed:
            return
        try:
            with self._guard(), self._client.told("write", self._key):
                self._raw.close()
            self._client.note(self._key, self._written)
        finally:
            self._client.writing.pop(self._key, None)
            self._client.finished.append(self._key)
            super().close()
