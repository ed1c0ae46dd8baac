"""The record of loads beside a table: which of them count is said by the table's own log.

Every load of a scope writes a new file `_ematix/<scope>-<number>.json` into the table's folder, and its commit notes
the number as the version of the application `ematix:<scope>`. So rows and bookkeeping become visible in one step: a
file whose number no commit has noted says nothing. The log keeps these numbers when it drops old commits, and readers
and VACUUM leave names that begin with `_` alone.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ematix_core.backends.protocols import LoadRecord, SourceFile
from ematix_core.errors import SourceError

if TYPE_CHECKING:
    from ematix_core.backends.delta.log import Snapshot
    from ematix_core.backends.storage.folder import Folder

FOLDER = "_ematix"
_LOADS_KEPT = 200
_SWEPT_EVERY = 20
"""Loads after which files that no longer count are removed: to list a folder in a bucket takes a request or more."""
_GRACE_SECONDS = 3600
"""How long files that no longer count are kept, for readers that began before."""


def app_id(scope: str) -> str:
    """Return the application under which the log has the scope's loads."""
    return f"ematix:{scope}"


def key(scope: str) -> str:
    """Return the scope as a part of a file's name."""
    return sha256(scope.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Ledger:
    """The loads of one scope into one table, the latest last, and the files that they have brought in."""

    number: int = 0
    loads: tuple[LoadRecord, ...] = ()
    files: tuple[SourceFile, ...] = ()
    since_swept: int = 0
    """How many loads there were since files that no longer count were removed."""

    def find(self, load_id: str) -> LoadRecord | None:
        """Return the load with this id."""
        return next((load for load in reversed(self.loads) if load.load_id == load_id), None)

    def recorded(self, record: LoadRecord, files: tuple[SourceFile, ...]) -> Ledger:
        """Return the ledger with one more load."""
        merged = {file.path: file for file in (*self.files, *files)}
        earlier = () if record.replaces else self.loads[-_LOADS_KEPT + 1 :]
        since_swept = (self.since_swept + 1) % _SWEPT_EVERY
        return replace(self, loads=(*earlier, record), files=tuple(merged.values()), since_swept=since_swept)

    def to_json(self) -> bytes:
        """Return the file's content."""
        loads = [
            {
                "scope": load.scope, "load_id": load.load_id, "loaded_at": load.loaded_at.isoformat(),
                "watermark": load.watermark, "counts": dict(load.counts),
            }
            for load in self.loads
        ]  # fmt: skip
        files = [[file.path, file.size, file.modified] for file in self.files]
        content = {"ematix": 1, "loads": loads, "files": files, "since_swept": self.since_swept}
        return json.dumps(content, indent=1).encode()


class Books:
    """The bookkeeping below a connection, as one target reads it: a ledger that counts is read once, as it stays."""

    def __init__(self, root: Folder) -> None:
        self._root = root
        self._ledgers: dict[tuple[str, str], Ledger] = {}
        self._tables: dict[str, str] = {}

    def begin(self) -> None:
        """Begin a session: where a scope's loads go is looked up anew."""
        self._tables.clear()

    def ledger(self, table: Snapshot, scope: str) -> Ledger:
        """Return the scope's ledger as of a version. Raises SourceError when the log names one that is not there."""
        number = table.transaction(app_id(scope))
        if number is None:
            return Ledger()
        known = self._ledgers.get((table.place.shown, scope))
        if known is None or known.number != number:
            known = self._keep(table.place, scope, _read(table.place, scope, number))
        return known

    def write(self, place: Folder, scope: str, ledger: Ledger) -> int:
        """Write the ledger under a number that nobody has used, and return the number, for the commit to note."""
        number = max(ledger.number + 1, time.time_ns() // 1000)
        content = ledger.to_json()
        while not place.put_new(_path(scope, number), content):
            number += 1
        self._keep(place, scope, _from_json(number, content))
        return number

    def table_of(self, scope: str) -> str:
        """Return the path of the table that a scope's last load went to, or "": a hint where to look, no more."""
        if scope not in self._tables:
            self._tables[scope] = (self._root.read(f"{FOLDER}/{key(scope)}") or b"").decode()
        return self._tables[scope]

    def point(self, scope: str, table: str) -> None:
        """Note where a scope's loads go."""
        if self.table_of(scope) != table:
            self._root.put(f"{FOLDER}/{key(scope)}", table.encode())
            self._tables[scope] = table

    def _keep(self, place: Folder, scope: str, ledger: Ledger) -> Ledger:
        self._ledgers[place.shown, scope] = ledger
        return ledger


def _read(place: Folder, scope: str, number: int) -> Ledger:
    path = _path(scope, number)
    content = place.read(path)
    try:
        return _from_json(number, content or b"{}")
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"the bookkeeping of {scope} is {'damaged' if content else 'missing'}, and the table's log names it",
            where=f"{place.shown}/{path}",
            hint=f"Restore the file: without the folder {FOLDER} loads would be made twice.",
        ) from error


def _from_json(number: int, content: bytes) -> Ledger:
    data: dict[str, Any] = json.loads(content)
    loads = [LoadRecord(**{**load, "loaded_at": datetime.fromisoformat(load["loaded_at"])}) for load in data["loads"]]
    return Ledger(number, tuple(loads), tuple(SourceFile(*file) for file in data["files"]), data.get("since_swept", 0))


def expire(place: Folder, scope: str, number: int, replaced: int) -> None:
    """Remove the scope's files that no longer count, unless somebody may still be reading them.

    `number` is of the one that counts, `replaced` of the one that counted until now.
    """
    oldest = time.time_ns() - _GRACE_SECONDS * 1_000_000_000
    own, kept = f"{FOLDER}/{key(scope)}-", {_path(scope, number), _path(scope, replaced)}
    place.remove(
        file.path
        for file in place.walk(FOLDER)
        if file.path.startswith(own) and file.path not in kept and file.modified < oldest
    )


def _path(scope: str, number: int) -> str:
    return f"{FOLDER}/{key(scope)}-{number}.json"
