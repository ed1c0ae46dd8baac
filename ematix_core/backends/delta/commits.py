"""What the commits of a table say, one by one, as they stand in its log."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ematix_core.backends.delta.log import LOG
from ematix_core.errors import SourceError, UnsupportedError

if TYPE_CHECKING:
    from ematix_core.backends.storage.folder import Folder

_COMMIT = re.compile(r"(\d{20})\.json")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Actions:
    """One commit, as far as it concerns who reads new rows.

    https://github.com/delta-io/delta/blob/master/PROTOCOL.md#actions

    `added` and `removed` are the actions of files with `dataChange`; those without rearrange rows and change none.
    """

    version: int
    committed_at: datetime = _EPOCH
    operation: str = ""
    added: list[dict[str, Any]] = field(default_factory=list)
    removed: int = 0
    table_id: str = ""
    """The table's id, when the commit sets it."""
    new_schema: bool = False

    def take(self, action: dict[str, Any]) -> None:
        """Note one action of the commit."""
        for kind, values in action.items():
            if kind == "add" and values.get("dataChange", True):
                self.added.append(values)
            elif kind == "remove" and values.get("dataChange", True):
                self.removed += 1
            elif kind == "metaData":
                self.table_id, self.new_schema = values["id"], True
            elif kind == "protocol":
                self.new_schema = True
            elif kind == "commitInfo":
                self.operation = str(values.get("operation", ""))
                at = values.get("inCommitTimestamp", values.get("timestamp"))
                self.committed_at = self.committed_at if at is None else _EPOCH + timedelta(milliseconds=int(at))


def commits(place: Folder) -> list[int]:
    """Return the versions whose commits are in the log, ascending: the first ones are cleaned away some day."""
    return sorted(int(found[1]) for name in place.names(LOG) if (found := _COMMIT.fullmatch(name)))


def read_commit(place: Folder, version: int) -> Actions | None:
    """Return a commit, None when it is not in the log. Raises SourceError for one that is damaged."""
    path = f"{LOG}/{version:020d}.json"
    content = place.read(path)
    if content is None:
        return None
    actions = Actions(version)
    try:
        for line in content.splitlines():
            if line.strip():
                actions.take(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"the commit is damaged: {error}", where=f"{place.shown}/{path}") from error
    if actions.committed_at == _EPOCH:  # a writer need not say; its files do
        times = [int(added.get("modificationTime", 0)) for added in actions.added]
        actions.committed_at = _EPOCH + timedelta(milliseconds=max(times, default=0))
    return actions


def path_of(added: dict[str, Any], where: str) -> str:
    """Return the path below the table of a file. Raises UnsupportedError for what is not read as it stands there."""
    path = unquote(added["path"])
    if "://" in added["path"] or path.startswith("/"):
        raise UnsupportedError(f"the table's file {path} is outside of its folder, as in a shallow clone", where=where)
    if added.get("deletionVector"):
        raise UnsupportedError(
            f"the table's file {path} has a deletion vector, which ematix does not read", where=where,
            hint="Have its writer drop the feature: ALTER TABLE .. DROP FEATURE deletionVectors.",
        )  # fmt: skip
    return path
