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

    def find(self, load_id: str) -> LoadRecord | None:
        """Return the load with this id."""
        return next((load for load in reversed(self.loads) if load.load_id == load_id), None)

    def recorded(self, record: LoadRecord, files: tuple[SourceFile, ...]) -> Ledger:
        """Return the ledger with one more load."""
        merged = {file.path: file for file in (*self.files, *files)}
        earlier = () if record.replaces else self.loads[-_LOADS_KEPT + 1 :]
        return replace(self, loads=(*earlier, record), files=tuple(merged.values()))

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
        return json.dumps({"ematix": 1, "loads": loads, "files": files}, indent=1).encode()


def read(table: Snapshot, scope: str) -> Ledger:
    """Return the scope's ledger as of a version. Raises SourceError when the log names one that is not there."""
    number = table.transaction(app_id(scope))
    if number is None:
        return Ledger()
    path = _path(scope, number)
    content = table.place.read(path)
    try:
        data: dict[str, Any] = json.loads(content or b"{}")
        loads = [
            LoadRecord(**{**load, "loaded_at": datetime.fromisoformat(load["loaded_at"])}) for load in data["loads"]
        ]
        return Ledger(number, tuple(loads), tuple(SourceFile(*file) for file in data["files"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"the bookkeeping of {scope} is {'damaged' if content else 'missing'}, and the table's log names it",
            where=f"{table.place.shown}/{path}",
            hint=f"Restore the file: without the folder {FOLDER} loads would be made twice.",
        ) from error


def write(place: Folder, scope: str, ledger: Ledger) -> int:
    """Write the ledger under a number that nobody has used, and return the number, for the commit to note."""
    number = max(ledger.number + 1, time.time_ns() // 1000)
    content = ledger.to_json()
    while not place.put_new(_path(scope, number), content):
        number += 1
    return number


def expire(place: Folder, scope: str, number: int) -> None:
    """Remove the scope's files that no longer count, unless somebody may still be reading them."""
    oldest = time.time_ns() - _GRACE_SECONDS * 1_000_000_000
    own = f"{FOLDER}/{key(scope)}-"
    place.remove(
        file.path
        for file in place.walk(FOLDER)
        if file.path.startswith(own) and file.path != _path(scope, number) and file.modified < oldest
    )


def _path(scope: str, number: int) -> str:
    return f"{FOLDER}/{key(scope)}-{number}.json"


def table_of(root: Folder, scope: str) -> str:
    """Return the path of the table that a scope's last load went to, or "": a hint where to look, no more."""
    return (root.read(f"{FOLDER}/{key(scope)}") or b"").decode()


def point(root: Folder, scope: str, table: str) -> None:
    """Note where a scope's loads go."""
    if table_of(root, scope) != table:
        root.put(f"{FOLDER}/{key(scope)}", table.encode())
