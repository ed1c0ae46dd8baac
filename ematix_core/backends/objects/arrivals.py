"""Which files of a folder have been read, kept small: a time before which all have been, and those around it.

Files are taken in the order of their last change. Of what is older than a window, only the number and a digest are
known, so that what is kept has the size of the window, however many files there have been. A file that comes later than
that is noticed, because there are more old files then than there were.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Key: TypeAlias = tuple[int, str, int]
"""A file at one state: time of its last change (ns), path, size."""


@dataclass
class Old:
    """Files from before a time: how many there are, and a digest of them that does not depend on their order."""

    count: int = 0
    digest: int = 0

    def add(self, file: Key) -> None:
        """Count one more."""
        self.count += 1
        text = "\0".join(map(str, file)).encode("utf-8", "surrogateescape")
        self.digest ^= int.from_bytes(blake2b(text, digest_size=8).digest(), "big")

    def has_more_than(self, other: Old) -> bool:
        """Say whether there are files here that are not there: surely so, for files may have gone meanwhile."""
        return self.count > other.count or (self.count == other.count and self.digest != other.digest)


@dataclass
class Arrivals:
    """What has been read. `before`: the time (ns) before which every file has been; `old` are those files."""

    before: int = 0
    old: Old = field(default_factory=Old)
    files: int = 0
    """How many files have been read in all, or passed over by a seek."""
    _read: dict[str, tuple[int, int]] = field(default_factory=dict)
    _order: list[Key] = field(default_factory=list)

    @classmethod
    def until(cls, before: int, old: Old, later: Iterable[Key]) -> Arrivals:
        """Return what has been read when all these have been."""
        made = cls(before, old, old.count)
        for file in later:
            made.note(file)
        return made

    def note(self, file: Key) -> None:
        """Count a file as read, at this state."""
        self.files += 1
        self.pass_over(file)

    def pass_over(self, file: Key) -> None:
        """Take another state of a file that has been read for the one that was read."""
        changed, path, size = file
        self._read[path] = (changed, size)
        heapq.heappush(self._order, (changed, path, size))

    def has(self, file: Key) -> bool:
        """Say whether this file was read at this state. For files that are not older than `before`."""
        return self._read.get(file[1]) == (file[0], file[2])

    def has_other_state(self, file: Key) -> bool:
        """Say whether the file was read at another state, as far as that is still known."""
        return file[1] in self._read and not self.has(file)

    def advance(self, before: int) -> None:
        """Forget the single files that are older than this time. All the files before it have been read."""
        if before <= self.before:
            return
        self.before = before
        while self._order and self._order[0][0] < before:
            file = heapq.heappop(self._order)
            if self.has(file):
                del self._read[file[1]]
                self.old.add(file)

    def state(self) -> dict[str, Any]:
        """Return it as data for JSON."""
        later = sorted((changed, path, size) for path, (changed, size) in self._read.items())
        return {
            "before": self.before, "old": self.old.count, "digest": f"{self.old.digest:016x}",
            "read": [list(file) for file in later],
        }  # fmt: skip

    @classmethod
    def of_state(cls, files: int, state: dict[str, Any]) -> Arrivals:
        """Return what `state` has made the data of. Raises KeyError, TypeError or ValueError for other data."""
        made = cls(int(state["before"]), Old(int(state["old"]), int(state["digest"], 16)), files)
        for changed, path, size in state["read"]:
            made.pass_over((int(changed), str(path), int(size)))
        return made
