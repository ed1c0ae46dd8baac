"""A local folder as a place for files. See `folder` for what its methods mean."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

from ematix_core.backends.storage.folder import HIDDEN, StoredFile
from ematix_core.backends.storage.paths import told
from ematix_core.errors import LockedError, UnsupportedError
from ematix_core.failpoint import failpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from duckdb import DuckDBPyConnection

    from ematix_core.backends.storage.folder import Shown

_LOCK_POLL_SECONDS = 0.05
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV}


class LocalFolder:
    """Implements `Folder`."""

    local = True

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().absolute()
        self.options: Mapping[str, str] = {}

    @property
    def shown(self) -> str:
        """The absolute path."""
        return str(self.root)

    @property
    def uri(self) -> str:
        """The file URL."""
        return self.root.as_uri()

    def at(self, path: str) -> LocalFolder:
        """Return the folder of this path."""
        return LocalFolder(self.root / path)

    def mount(self, connection: DuckDBPyConnection) -> None:
        """Do nothing: DuckDB opens local files by itself."""

    def unmount(self, connection: DuckDBPyConnection) -> None:
        """Do nothing."""

    def filesystem(self) -> None:
        """Return None: Arrow opens local files by itself."""

    def location(self, path: str) -> str:
        """Return the absolute path of a path below the connection."""
        return str(self.root / path) if path else str(self.root)

    def path(self, location: str) -> str:
        """Return the path of a location."""
        return Path(location).relative_to(self.root).as_posix()

    def is_file(self, path: str) -> bool:
        """Say whether there is such a file."""
        return (self.root / path).is_file()

    def is_folder(self, path: str) -> bool:
        """Say whether there is such a folder (or a link to one)."""
        return (self.root / path).is_dir()

    def stat(self, path: str) -> StoredFile:
        """Return one file's entry."""
        with told(f"look at {path}"):
            found = (self.root / path).stat()
        return StoredFile(path, os.path.realpath(self.root / path), found.st_size, found.st_mtime_ns, self)

    def modified(self, location: str) -> int:
        """Return the modification time (ns) of a file by its location."""
        with told("look at a file"):
            return Path(location).stat().st_mtime_ns

    def walk(self, below: str = "") -> Iterator[StoredFile]:
        """Yield the data files below a folder in order of their paths; hidden names (`.x`, `_x`) are left out.

        A link to a folder is resolved once, when it is met: a table that is replaced meanwhile is listed as one
        version of it, never as a mixture.
        """
        with told(f"list {below or '.'}"):
            yield from _walk(self, Path(os.path.realpath(self.root / below)), below)

    def names(self, folder: str) -> list[str]:
        """Return the names of all entries of a folder, hidden ones too; none when it is missing."""
        try:
            return sorted(entry.name for entry in (self.root / folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def open(self, location: str) -> BinaryIO:
        """Open a file for reading."""
        with told("open a file"):
            return Path(location).open("rb")

    def create(self, location: str) -> BinaryIO:
        """Open a new file for writing."""
        with told("write a file"):
            return Path(location).open("xb")

    def read(self, path: str) -> bytes | None:
        """Return a small file's content, or None when it is not there."""
        with told(f"read {path}"):
            try:
                return (self.root / path).read_bytes()
            except FileNotFoundError:
                return None

    def put(self, path: str, content: bytes) -> None:
        """Write a small file in one step, over an older one."""
        with told(f"write {path}"):
            temporary = self._temporary(path, content)
            temporary.replace(self.root / path)

    def put_new(self, path: str, content: bytes) -> bool:
        """Write a small file in one step unless it exists; False when it does. The commit point of a load."""
        with told(f"write {path}"):
            temporary = self._temporary(path, content)
            try:
                os.link(temporary, self.root / path)
                failpoint("storage.put_new.linked")
                self.sync_folder(str(Path(path).parent))
            except FileExistsError:
                return False
            finally:
                temporary.unlink(missing_ok=True)
            return True

    def _temporary(self, path: str, content: bytes) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f"_new-{uuid4().hex}"
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return temporary

    def copy(self, path: str, to: str) -> None:
        """Copy a file."""
        with told(f"copy {path}"):
            (self.root / to).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.root / path, self.root / to)

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        with told(f"make the folder {path}"):
            (self.root / path).mkdir(parents=True, exist_ok=True)

    def sync(self, paths: Iterable[str]) -> None:
        """Bring data files and the folders that name them to the disk, before they are committed."""
        with told("bring the files to disk"):
            folders = set()
            for path in paths:
                _fsync(self.root / path)
                folders |= {parent for parent in (self.root / path).parents if parent.is_relative_to(self.root)}
            for folder in sorted(folders, reverse=True):
                _fsync(folder)

    def sync_folder(self, folder: str) -> None:
        """Bring a folder's names to the disk."""
        _fsync(self.root / folder)

    def remove(self, paths: Iterable[str], *, emptied: bool = False) -> None:
        """Remove files or whole folders, with `emptied` those above too that are empty then."""
        for path in paths:
            target = self.root / path
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target, ignore_errors=True)
            else:
                target.unlink(missing_ok=True)
            for folder in takewhile(lambda above: above != self.root, target.parents if emptied else ()):
                if any(folder.iterdir()):
                    break
                folder.rmdir()

    def remove_empty(self) -> None:
        """Remove the folder if nothing is in it."""
        with contextlib.suppress(OSError):  # it is not there, or somebody has put something into it
            self.root.rmdir()

    def note(self, path: str, size: int) -> None:
        """Do nothing: a look at a local file costs nothing."""

    @contextlib.contextmanager
    def written(self, folder: str = "") -> Iterator[None]:
        """Do nothing: with the lock held, what is left over goes when the next session begins."""
        del folder
        yield

    def build_view(self, view: str, files: Shown) -> None:
        """Make a folder with a hard link `name` to each data file `path`; where there are none, a symbolic link."""
        with told(f"make the folder {view}"):
            self.remove([view])
            made = {self.root / view}
            (self.root / view).mkdir(parents=True)
            for path, name in files:
                link = self.root / view / name
                if link.parent not in made:
                    link.parent.mkdir(parents=True, exist_ok=True)
                    made.add(link.parent)
                _link(self.root / path, link)
            for folder in made:
                _fsync(folder)

    def extend_view(self, view: str, files: Shown) -> None:
        """Add the link to the last file."""
        for path, name in files[-1:]:
            link = self.root / view / name
            with told(f"add to the folder {view}"):
                link.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):  # of the same file: their names are unique
                    _link(self.root / path, link)
                _fsync(link.parent)

    def expose(self, table: str, view: str, files: Shown) -> None:
        """Make the table's folder a symbolic link to `view`, in one step, unless it is one."""
        if self.is_exposed(table, view, files):
            return
        link = self.root / table
        with told(f"expose {table}"):
            link.parent.mkdir(parents=True, exist_ok=True)
            if link.is_dir() and not link.is_symlink():
                link.rmdir()  # empty: `check_free` has made sure
            temporary = link.parent / f".new-{uuid4().hex}"
            temporary.symlink_to(os.path.relpath(self.root / view, link.parent))
            temporary.replace(link)
            _fsync(link.parent)

    def is_exposed(self, table: str, view: str, files: Shown) -> bool:
        """Say whether the table's folder links to the view, and that to the last file."""
        link = self.root / table
        shown = link.is_symlink() and link.readlink().name == Path(view).name
        return shown and all((link / name).is_file() for _, name in files[-1:])

    def check_free(self, table: str) -> None:
        """Raise UnsupportedError when the table's folder holds something that we did not write."""
        folder = self.root / table
        for parent in folder.parents:
            if parent != self.root and parent.is_relative_to(self.root) and parent.is_symlink():
                raise UnsupportedError(f"{parent.relative_to(self.root)} is a table; {table} cannot be inside it")
        if folder.is_symlink() or not folder.exists():
            return
        if not folder.is_dir() or any(folder.iterdir()):
            raise UnsupportedError(
                f"{folder} holds files that ematix did not write",
                hint="Name another table, or move the files away: a target's folder is ematix's own.",
            )

    @contextlib.contextmanager
    def lock(self, path: str, wait: float) -> Iterator[None]:
        """Hold a lock file; raises LockedError when another process has it for longer than `wait` seconds."""
        with told(f"lock {path}"):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.root / path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _acquire(handle, self.root / path, time.monotonic() + wait)
            yield
        finally:
            os.close(handle)


def _walk(folder: LocalFolder, real: Path, shown: str) -> Iterator[StoredFile]:
    try:
        entries = sorted(os.scandir(real), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.name.startswith(HIDDEN):
            continue
        path = f"{shown}/{entry.name}" if shown else entry.name
        if entry.is_dir():
            yield from _walk(folder, Path(os.path.realpath(entry.path)), path)
        elif entry.is_file():
            try:
                found = entry.stat()
            except FileNotFoundError:  # it has just gone
                continue
            yield StoredFile(path, entry.path, found.st_size, found.st_mtime_ns, folder)


def _acquire(handle: int, path: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise LockedError(
                    f"another process is writing the table of {path}",
                    hint="One writer a table at a time: run it again when the other has ended.",
                ) from None
            time.sleep(_LOCK_POLL_SECONDS)
        else:
            return


def _link(source: Path, link: Path) -> None:
    try:
        os.link(source, link)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        link.symlink_to(os.path.relpath(source, link.parent))


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
