"""What a place for files offers to the kinds that keep files there.

Every path is relative to the place and uses `/`. Locations are what DuckDB opens: absolute paths, or URLs that a
mounted connection knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ematix_core.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from duckdb import DuckDBPyConnection
    from pyarrow.fs import FileSystem

HIDDEN = (".", "_")
"""How names begin that are no data."""
Shown = Sequence[tuple[str, str]]
"""What readers of a table's folder see: the path of each data file, and its name below that folder."""


class UnknownOutcomeError(ConnectError):
    """A commit was sent, and its answer was lost: what it names must stay. Another attempt finds out."""


@dataclass(frozen=True)
class StoredFile:
    """A data file: `path` below the connection, `location` as DuckDB opens it, size, modification time in ns.

    `unpacked`: what is at `location` is plain, though `path` ends like a compressed file.
    """

    path: str
    location: str
    size: int
    modified: int
    folder: Folder = field(repr=False, compare=False)
    unpacked: bool = False

    def open(self) -> BinaryIO:
        """Open the file for reading at any position."""
        return self.folder.open(self.location)


class Folder(Protocol):
    """A place for files. It need not exist until something is written. Failures are errors of ours."""

    local: bool
    """Whether it is a folder of this machine: `lock` keeps other writers out, and what was written must be synced."""

    @property
    def shown(self) -> str:
        """The place as its user knows it."""
        ...

    @property
    def uri(self) -> str:
        """The place as delta-rs opens it."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """What delta-rs has to be told to open it."""
        ...

    def at(self, path: str) -> Folder:
        """Return the folder of this path as a place of its own."""
        ...

    def mount(self, connection: DuckDBPyConnection) -> None:
        """Have a connection to DuckDB open the locations of this place."""
        ...

    def unmount(self, connection: DuckDBPyConnection) -> None:
        """Have a connection forget this place, which nothing reads any more."""
        ...

    def filesystem(self) -> FileSystem | None:
        """Return what Arrow opens the locations of this place by; None for its own."""
        ...

    def location(self, path: str) -> str:
        """Return the location of a path; of the place itself for ""."""
        ...

    def path(self, location: str) -> str:
        """Return the path of a location."""
        ...

    def is_file(self, path: str) -> bool:
        """Say whether there is such a file."""
        ...

    def is_folder(self, path: str) -> bool:
        """Say whether there is such a folder; "" is the place itself."""
        ...

    def stat(self, path: str) -> StoredFile:
        """Return one file's entry. Raises MissingSourceError."""
        ...

    def modified(self, location: str) -> int:
        """Return the modification time (ns) of a file by its location."""
        ...

    def walk(self, below: str = "") -> Iterator[StoredFile]:
        """Yield the data files below a folder in order of their paths; hidden names (`.x`, `_x`) are left out."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of all entries of a folder in order, hidden ones too; none when it is missing."""
        ...

    def open(self, location: str) -> BinaryIO:
        """Open a file for reading at any position."""
        ...

    def create(self, location: str) -> BinaryIO:
        """Open a new file for writing; it is there when it has been closed."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, or None when it is not there."""
        ...

    def put(self, path: str, content: bytes) -> None:
        """Write a small file in one step, over an older one."""
        ...

    def put_new(self, path: str, content: bytes) -> bool:
        """Write a small file in one step unless it exists; False when it does. The commit point of a load.

        No two contents may be equal. Raises UnknownOutcomeError when nobody can say whether it was written.
        """
        ...

    def copy(self, path: str, to: str) -> None:
        """Copy a file, over an older one."""
        ...

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it, where a place has folders."""
        ...

    def sync(self, paths: Iterable[str]) -> None:
        """Bring data files and the folders that name them to the disk, before they are committed."""
        ...

    def remove(self, paths: Iterable[str], *, emptied: bool = False) -> None:
        """Remove files or whole folders; missing ones are no error. `emptied`: also folders that are empty then."""
        ...

    def remove_empty(self) -> None:
        """Remove the place itself if nothing is in it."""
        ...

    def note(self, path: str, size: int) -> None:
        """Take a data file that never changes as known, so that reading it does not begin with a look at it."""
        ...

    def written(self, folder: str = "") -> AbstractContextManager[None]:
        """Remove the files that were written inside, as far as that is known, when it ends with an exception.

        `folder`: where they go, by names that nobody has used; data files there that are read have been noted.
        """
        ...

    def build_view(self, view: str, files: Shown) -> None:
        """Prepare what foreign readers are going to see."""
        ...

    def extend_view(self, view: str, files: Shown) -> None:
        """Add the last of the files to a view that holds the others, in one step; nothing if it is there."""
        ...

    def expose(self, table: str, view: str, files: Shown) -> None:
        """Show a prepared view, of these files, to the readers of the table's folder, in one step."""
        ...

    def is_exposed(self, table: str, view: str, files: Shown) -> bool:
        """Say whether readers of the table's folder see this view, the last of the files included."""
        ...

    def check_free(self, table: str) -> None:
        """Raise UnsupportedError when the table's folder holds something that we did not write."""
        ...

    def lock(self, path: str, wait: float) -> AbstractContextManager[None]:
        """Keep other writers of a table out, where a place can; raises LockedError after `wait` seconds."""
        ...
