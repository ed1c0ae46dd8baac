"""A prefix of an object store as a source of messages: each object that comes is one.

As with a folder, a message is an object at one state. An object is complete as soon as it is listed.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from ematix_core.backends.objects.listing import glob_to_regex
from ematix_core.backends.objects.settings import settings_of
from ematix_core.backends.storage.paths import below
from ematix_core.errors import MissingSourceError
from ematix_core.failpoint import failpoint
from ematix_core.scheduler.inbox import DONE, UNFINISHED, folder_of, payload_of
from ematix_core.scheduler.messages import AT_ONCE, LARGEST, Message, path_of, stamp

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator

    from ematix_core.backends.storage.folder import Folder, StoredFile
    from ematix_core.model.connection import Connection
    from ematix_core.model.message import MessageSource

EVERY = 5.0
"""Seconds between two lists of the prefix, each of which is paid for."""


class RemoteInbox:
    """Implements `MessagePoller` for a prefix of an object store."""

    def __init__(self, source: MessageSource, connection: Connection) -> None:
        self._settings = settings_of(connection)
        self._after = source.after
        pattern = below(source.path)
        self._matches = re.compile(glob_to_regex(pattern)).fullmatch
        self._folder = folder_of(pattern)
        self._looked: float | None = None

    def check(self) -> None:
        self._place().is_folder(self._folder)

    def poll(self, known: Container[str], limit: int = AT_ONCE) -> list[Message]:
        now = time.monotonic()
        if self._looked is not None and now - self._looked < EVERY:
            return []
        place = self._place()
        files = sorted(self._files(place), key=lambda file: (file.modified, file.path))
        new = [(file, position) for file in files if (position := _position(file)) not in known]
        found = [message for file, position in new[:limit] for message in _message(file, position)]
        self._looked = now if len(new) <= limit else None  # there is more: go on at once
        return found

    def remaining(self, positions: Collection[str]) -> list[str]:
        if self._after == "keep":
            return []
        place = self._place()
        return [position for position in positions if _is_there(place, position)]

    def done(self, position: str) -> None:
        place = self._place()
        if self._after == "keep" or not _is_there(place, position):
            return
        path = path_of(position)
        failpoint("inbox.done.before")
        if self._after == "move":
            folder, _, name = path.rpartition("/")
            done = "/".join(part for part in (folder, DONE) if part)
            to = f"{done}/{name}"
            if place.is_file(to):  # of an earlier message: the time of the change tells them apart
                stem, dot, ending = name.rpartition(".")
                to = f"{done}/{stem or name}-{position.rpartition('@')[2]}{dot if stem else ''}{ending if stem else ''}"
            place.copy(path, to)
        place.remove([path])
        failpoint("inbox.done.after")

    def close(self) -> None:
        """Nothing is open."""

    def _place(self) -> Folder:
        """Return the place with nothing known of it: objects come and go."""
        return self._settings.folder()

    def _files(self, place: Folder) -> Iterator[StoredFile]:
        for file in place.walk(self._folder):
            folders = file.path.split("/")[:-1]
            if self._after == "move" and DONE in folders:
                continue
            if self._matches(file.path) and not file.path.endswith(UNFINISHED):
                yield file


def _position(file: StoredFile) -> str:
    return f"{file.path}@{stamp(file.modified)}"


def _is_there(place: Folder, position: str) -> bool:
    try:
        return _position(place.stat(path_of(position))) == position
    except MissingSourceError:
        return False


def _message(file: StoredFile, position: str) -> list[Message]:
    try:
        with file.open() as opened:
            return [Message(position, payload_of(opened.read(LARGEST + 1), file.path))]
    except MissingSourceError:  # it has just gone
        return []
