"""A folder as a source of messages: each file that comes is one.

A message is a file at one state: its position is the path and the time of its last change, so a file of the same name
that comes later is another message.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ematix_core.backends.objects.listing import glob_to_regex
from ematix_core.backends.objects.settings import settings_of
from ematix_core.backends.storage.folder import HIDDEN
from ematix_core.backends.storage.paths import below, told
from ematix_core.errors import AccessError, MissingSourceError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.scheduler.messages import AT_ONCE, LARGEST, Message, parsed, path_of, stamp

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator

    from ematix_core.model.connection import Connection
    from ematix_core.model.message import MessageSource

_log = logging.getLogger(__name__)

DONE = "done"
UNFINISHED = (".tmp", ".part")
SETTLED = 2.0
"""A file that has not changed for so many seconds is complete."""
_MAGIC = re.compile(r"[*?\[{]")
_BILLION = 1_000_000_000


@dataclass(frozen=True)
class _File:
    """A file as it was seen: path below the connection, size, time of change (ns); and when, by the monotonic clock."""

    path: str
    size: int
    changed: int
    seen: float

    @property
    def position(self) -> str:
        return f"{self.path}@{stamp(self.changed)}"

    def is_same(self, other: _File) -> bool:
        return (self.size, self.changed) == (other.size, other.changed)


class Inbox:
    """Implements `MessagePoller` for a local folder."""

    def __init__(self, source: MessageSource, connection: Connection) -> None:
        self._where = f"message source {source.name}"
        if connection.kind != "objects":
            raise UnsupportedError(
                f"connection {connection.name} of kind {connection.kind} has no folders", where=self._where,
                hint="Give inbox() a connection of kind objects; a database's table is declared by queue().",
            )  # fmt: skip
        self._root = Path(settings_of(connection).root).expanduser().absolute()
        self._after = source.after
        pattern = below(source.path)
        self._matches = re.compile(glob_to_regex(pattern)).fullmatch
        self._folder = self._root / folder_of(pattern)
        self._seen: dict[str, _File] = {}
        self._left_out: set[str] = set()

    def check(self) -> None:
        if not self._folder.is_dir():
            raise MissingSourceError(
                f"there is no folder {self._folder}", where=self._where,
                hint=f"Make it (mkdir -p {self._folder}), or correct the connection's path or path=.",
            )  # fmt: skip
        needed = os.R_OK | os.X_OK | (os.W_OK if self._after != "keep" else 0)
        if not os.access(self._folder, needed):
            wish = "read" if self._after == "keep" else "read and changed"
            raise AccessError(
                f"the folder {self._folder} cannot be {wish}", where=self._where,
                hint="Give this user the right to do so, or leave files where they are with after='keep'.",
            )  # fmt: skip

    def poll(self, known: Container[str], limit: int = AT_ONCE) -> list[Message]:
        self.check()
        with told(f"list {self._folder}"):
            files = sorted(self._files(), key=lambda file: (file.changed, file.path))
        before, self._seen = self._seen, {}
        found: list[Message] = []
        for file in files:
            if file.position in known:
                continue
            first = before.get(file.path, file)
            self._seen[file.path] = first if first.is_same(file) else file
            if len(found) < limit and _is_settled(file, self._seen[file.path]):
                found += self._message(file)
        return found

    def remaining(self, positions: Collection[str]) -> list[str]:
        return [position for position in positions if self._after != "keep" and self._is_there(position)]

    def done(self, position: str) -> None:
        if self._after == "keep" or not self._is_there(position):
            return
        file = self._root / path_of(position)
        with told(f"{self._after} {file}"):
            failpoint("inbox.done.before")
            if self._after == "delete":
                file.unlink(missing_ok=True)
            else:
                _move(file, position)
            failpoint("inbox.done.after")

    def close(self) -> None:
        """Nothing is open."""

    def _files(self) -> Iterator[_File]:
        now = time.monotonic()
        for folder, folders, names in os.walk(self._folder, onerror=self._unlisted):
            folders[:] = [name for name in folders if not name.startswith(HIDDEN) and not self._is_done(name)]
            for name in names:
                path = Path(folder, name)
                shown = path.relative_to(self._root).as_posix()
                if name.startswith(HIDDEN) or name.endswith(UNFINISHED) or not self._matches(shown):
                    continue
                found = self._state(path, shown)
                if found is not None:
                    yield _File(shown, found.st_size, found.st_mtime_ns, now)

    def _is_done(self, name: str) -> bool:
        return self._after == "move" and name == DONE

    def _state(self, path: Path, shown: str) -> os.stat_result | None:
        """Return a file's state; None for what cannot be a message."""
        try:
            shown.encode()  # a store keeps text
            found = path.stat()
        except UnicodeEncodeError:
            self._leave_out(shown, "its name is no UTF-8")
        except FileNotFoundError:  # it has just gone
            pass
        except OSError as error:
            self._leave_out(shown, f"it cannot be looked at: {error.strerror}")
        else:
            if stat.S_ISREG(found.st_mode):
                return found
            self._leave_out(shown, "it is no ordinary file")
        return None

    def _message(self, file: _File) -> list[Message]:
        try:
            return [Message(file.position, self._payload(file))]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._leave_out(file.path, f"it cannot be read: {error.strerror}")
            return []

    def _payload(self, file: _File) -> Any:  # noqa: ANN401 - plain data
        with (self._root / file.path).open("rb") as opened:
            return payload_of(opened.read(LARGEST + 1), file.path)

    def _unlisted(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # it has just gone
            self._leave_out(str(error.filename), f"it cannot be listed: {error.strerror}")

    def _leave_out(self, path: str, why: str) -> None:
        if path not in self._left_out:
            self._left_out.add(path)
            _log.warning("%s: %r is left out, because %s", self._where, path, why)

    def _is_there(self, position: str) -> bool:
        """Say whether the file is there, in the very state that the position speaks of."""
        try:
            changed = (self._root / path_of(position)).stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return False
        return position.endswith(f"@{stamp(changed)}")


def payload_of(content: bytes, path: str) -> Any:  # noqa: ANN401 - plain data
    """Return what a message says, by a file's content up to one byte more than the most that is kept."""
    if len(content) > LARGEST or b"\0" in content:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return parsed(text) if path.lower().endswith(".json") else text


def folder_of(pattern: str) -> str:
    """Return the folder below which a pattern looks."""
    fixed = pattern.split("/")[:-1]
    while any(_MAGIC.search(part) for part in fixed):
        fixed.pop()
    return "/".join(fixed)


def _is_settled(file: _File, first: _File) -> bool:
    """Say whether the file has not changed for a while: by the time of its change, or as seen here."""
    age = time.time_ns() - file.changed
    return age >= SETTLED * _BILLION or file.seen - first.seen >= SETTLED


def _move(file: Path, position: str) -> None:
    folder = file.parent / DONE
    folder.mkdir(exist_ok=True)
    place = folder / file.name
    if place.exists():  # of an earlier message: the time of the change tells them apart
        place = folder / f"{file.stem}-{position.rpartition('@')[2]}{file.suffix}"
    try:
        file.rename(place)
    except FileNotFoundError:  # another scheduler was faster
        return
