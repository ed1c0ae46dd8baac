"""What a name in FROM means: the folder of a table below the connection, and a version of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.delta.change_feed import WORD, changes
from ematix_core.backends.delta.log import LOG, is_table, newest, opened
from ematix_core.backends.storage.folder import HIDDEN
from ematix_core.backends.storage.paths import below
from ematix_core.errors import MissingSourceError, near

if TYPE_CHECKING:
    from ematix_core.backends.delta.change_feed import Changes
    from ematix_core.backends.delta.log import Snapshot
    from ematix_core.backends.storage.folder import Folder
    from ematix_core.model.table import TableName

_NEAR_SHOWN = 500


def table_path(table: TableName) -> str:
    """Return a table's path below the connection: `analytics.events` is `analytics/events`."""
    return below(f"{table.schema}/{table.name}" if table.schema else table.name)


def look_up(root: Folder, name: str, schema: str = "") -> Snapshot | Changes:
    """Return as `find` does, or the changes that a name such as `orders@changes v3..v7` asks for."""
    plain, at, asked = name.rpartition(f"@{WORD}")
    return changes(find(root, plain, schema), asked) if at else find(root, name, schema)


def find(root: Folder, name: str, schema: str = "") -> Snapshot:
    """Return the table that a name stands for, such as `orders`, `silver/orders` or `orders@v3`.

    Raises MissingSourceError with near names, SourceError for `../`.
    """
    written = f"{schema}/{name}" if schema else name
    plain, _, at = written.rpartition("@")
    for candidate, version in ((written, ""), (plain, at)):
        if not candidate:
            continue
        paths = [below(candidate)]
        if "." in candidate and "/" not in candidate:
            paths.append(candidate.replace(".", "/"))
        for path in paths:
            place = root.at(path)
            if version and is_table(place):
                return opened(place, version)
            if not version and (found := newest(place)) is not None:
                return found
    known = tables(root)
    if not root.is_folder(""):
        raise MissingSourceError(
            f"nothing to read: there is no folder {root.shown}", hint="Check path= of the connection."
        )
    raise MissingSourceError(f"there is no Delta table {written} below {root.shown}", hint=near(written, known))


def tables(root: Folder) -> list[str]:
    """Return the names of the tables below the folder, up to some hundreds."""
    found: list[str] = []
    waiting = [""] if root.is_folder("") else []
    while waiting and len(found) < _NEAR_SHOWN:
        path = waiting.pop()
        names = root.names(path)
        if LOG in names:
            found.append(path)
            continue
        below_it = (f"{path}/{name}" if path else name for name in names if not name.startswith(HIDDEN))
        waiting += [each for each in below_it if root.is_folder(each)]
    return sorted(found)
