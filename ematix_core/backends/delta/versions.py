"""What a target has read of its tables, for its next session: nothing is read twice that has not changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.delta.log import entry_path, newest, renewed

if TYPE_CHECKING:
    from ematix_core.backends.delta.log import Snapshot
    from ematix_core.backends.storage.folder import Folder


class Versions:
    """The newest versions of the tables below a folder, each read from the store when it is asked for.

    Of a table that was read before, two entries of the log are looked at: whether that version is still what it was,
    so that the table is the same one, and whether there is a next one. A version is in use by one session at a time.
    """

    def __init__(self, root: Folder) -> None:
        self._root = root
        self._kept: dict[str, Snapshot] = {}

    def newest(self, path: str) -> Snapshot | None:
        """Return the newest version of the table of a path, None when there is no such table."""
        kept = self._kept.pop(path, None)
        if kept is None:
            return newest(self._root.at(path))
        following = kept.place.read(entry_path(kept.number + 1))
        if kept.place.read(entry_path(kept.number)) != kept.entry:
            return newest(kept.place)
        return kept if following is None else renewed(kept, following)

    def keep(self, path: str, snapshot: Snapshot) -> None:
        """Have a version ready for the next session that asks for it."""
        if snapshot.is_as_opened:
            self._kept[path] = snapshot

    def forget(self) -> None:
        """Forget all versions."""
        self._kept.clear()
