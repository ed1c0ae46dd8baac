"""The change data feed of a table as a query: which rows each version inserted, updated and deleted.

A version has files of changes, or it has none; then the rows of its added files are inserts and those of its removed
files are deletes: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#reader-requirements-for-cdc

Not by delta-rs's `load_cdf`: it gives a stream that can be read once, and does not find files of partitions whose
values are escaped in paths, such as `p=a%20b` (deltalake 1.6.6).
"""

# ruff: noqa: S608 - statements are built from quoted names and literals
from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ematix_core.backends.delta.commits import commits
from ematix_core.backends.delta.log import LOG, DataFile, opened, time_of
from ematix_core.backends.delta.scan import FILE, Layout, Piece, literal, scan
from ematix_core.backends.duck.connection import quote
from ematix_core.errors import EmatixError, MissingSourceError, SourceError, UnsupportedError
from ematix_core.model.table import Column
from ematix_core.types import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ematix_core.backends.delta.log import Snapshot

WORD = "changes"
CHANGE_TYPE, VERSION, TIMESTAMP = "_change_type", "_commit_version", "_commit_timestamp"
PROPERTY = "delta.enableChangeDataFeed"
_RANGE = re.compile(r"(?:(?P<one>(?!.*\.\.).+)|(?P<first>.*?)\s*\.\.\s*(?P<last>.*))?")
# Up to so many groups of files are branches of their own, which DuckDB leaves out unread by version or type.
_BRANCHES = 256
_NO_CHANGES = "NULL"


@dataclass(frozen=True)
class Group:
    """Files of one version whose rows are one kind of change; "" where the files say which."""

    version: int
    milliseconds: int
    kind: str
    files: tuple[DataFile, ...]


@dataclass(frozen=True)
class Changes:
    """The changes of some versions of a table, with the columns that it has now."""

    base: Snapshot
    groups: tuple[Group, ...]

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield the location and the size in bytes of each file."""
        for group in self.groups:
            for file in group.files:
                yield self.base.place.location(file.path), file.size

    def query(self) -> str:
        """Return the query for the table's columns and those of the feed."""
        if not self.groups:
            return self._branch([Group(0, 0, _NO_CHANGES, ())])
        if len(self.groups) <= _BRANCHES:
            return "\nUNION ALL ".join(self._branch([group]) for group in self.groups)
        kinds = dict.fromkeys(group.kind for group in self.groups)
        return "\nUNION ALL ".join(self._branch([g for g in self.groups if g.kind == kind]) for kind in kinds)

    def _branch(self, groups: Sequence[Group]) -> str:
        base, kind = self.base, groups[0].kind
        told_by_files = () if kind else (Column(CHANGE_TYPE, Text),)
        files = [(file, group) for group in groups for file in group.files]
        pieces = [Piece(number, file) for number, (file, _) in enumerate(files)]
        rows = scan(Layout(base.place, (*base.columns, *told_by_files), base.partition_by), pieces, positions=True)
        selected = [quote(column.name) for column in base.columns]
        selected.append(CHANGE_TYPE if told_by_files else f"CAST({literal(kind)} AS VARCHAR) AS {CHANGE_TYPE}")
        selected.append(f"CAST({_by_file([group.version for _, group in files])} AS BIGINT) AS {VERSION}")
        moments = _by_file([group.milliseconds for _, group in files])
        selected.append(f"CAST(make_timestamp({moments} * 1000) AS TIMESTAMPTZ) AS {TIMESTAMP}")
        return f"SELECT {', '.join(selected)} FROM ({rows})"


def _by_file(values: Sequence[int]) -> str:
    if len(set(values)) <= 1:
        return f"CAST({values[0] if values else 0} AS BIGINT)"
    return f"list_element([{', '.join(map(str, values))}], {FILE} + 1)"


def changes(base: Snapshot, asked: str) -> Changes:
    """Return the changes that a name asks for by what stands behind `@changes`: `v3..v7`, `v3..`, a time, nothing.

    Without a first version: from where the table has kept its feed since, as far as its log reaches. Raises
    UnsupportedError for versions without a feed, MissingSourceError for those whose log is gone, SourceError for what
    is no range.
    """
    clash = [column.name for column in base.columns if column.name in {CHANGE_TYPE, VERSION, TIMESTAMP}]
    if clash:
        raise UnsupportedError(f"the table has a column {clash[0]!r} of its own", where=base.place.shown)
    first, last = _range(base, asked)
    oldest = commits(base.place)[0]
    if first is not None and first < oldest:
        raise MissingSourceError(
            f"the log begins with version {oldest}, so the changes of version {first} are gone",
            where=base.place.shown, hint=f"Read from there: @{WORD} v{oldest}..",
        )  # fmt: skip
    begin = oldest if first is None else first
    kept = base.change_feed if last < begin else _kept(base, begin)
    found: list[Group] = []
    for version in range(begin, last + 1):
        entry = _Entry.read(base, version)
        kept = kept if entry.kept is None else entry.kept
        groups = entry.groups()
        if kept:
            found += groups
        elif first is not None and groups:
            raise _without(base, version)
        else:
            found.clear()
    if not kept and not found:
        raise _without(base, max(last, 0))
    return Changes(base, tuple(found))


def _without(base: Snapshot, version: int) -> UnsupportedError:
    return UnsupportedError(
        f"the Delta table kept no change data feed in version {version}", where=base.place.shown,
        hint=f"Set the table's property {PROPERTY} to true: the feed begins with what is written from then on.",
    )  # fmt: skip


def _range(base: Snapshot, asked: str) -> tuple[int | None, int]:
    """Return the first version, if one was named, and the last."""
    parts = _RANGE.fullmatch(asked.strip())
    assert parts is not None  # noqa: S101 - every part of the pattern may be anything, or be missing
    begin, end = parts["one"] or parts["first"] or "", parts["one"] or parts["last"] or ""
    first, last = _version(base, begin, first=True), _version(base, end, first=False)
    newest = base.version
    if last is not None and last > newest:
        raise MissingSourceError(f"there is no version {last}: the newest is {newest}", where=base.place.shown)
    if first is not None and last is not None and first > last and "v" in begin and "v" in end:
        raise SourceError(f"{asked.strip()!r} ends before it begins", where=base.place.shown)
    return first, newest if last is None else last


def _version(base: Snapshot, text: str, *, first: bool) -> int | None:
    if not text:
        return None
    if re.fullmatch(r"v\d+", text):
        return int(text[1:])
    moment = time_of(text)
    if moment is None:
        raise SourceError(
            f"{text!r} is no version and no time", where=base.place.shown,
            hint=f"Write orders@{WORD} v3..v7, orders@{WORD} v3.. or orders@{WORD} 2026-01-31T12:00:00Z..",
        )  # fmt: skip
    at = moment.timestamp() * 1000
    known = [(int(entry["version"]), int(entry["timestamp"])) for entry in base.raw.history()]
    if first:
        return min((version for version, made in known if made >= at), default=base.version + 1)
    return max((version for version, made in known if made <= at), default=-1)


def _kept(base: Snapshot, begin: int) -> bool:
    """Say whether the table kept a feed when the version began."""
    if begin == 0:
        return False  # the entry of version 0 says it
    try:
        return opened(base.place, f"v{begin}").change_feed
    except EmatixError:  # no checkpoint is as old, so that the version cannot be made up any more
        return base.change_feed


def _says(configuration: dict[str, str]) -> bool:
    return configuration.get(PROPERTY, "").lower() == "true"


@dataclass(frozen=True)
class _Entry:
    """What an entry of the log says of changes. `kept`: the feed is on from here, or off, if the entry says so."""

    version: int
    milliseconds: int
    files: dict[str, tuple[DataFile, ...]]
    kept: bool | None = None

    @classmethod
    def read(cls, base: Snapshot, version: int) -> _Entry:
        path = f"{LOG}/{version:020}.json"
        files: dict[str, list[DataFile]] = {"add": [], "remove": [], "cdc": []}
        made, kept = 0, None
        content = base.place.read(path)
        if content is None:
            raise MissingSourceError(
                f"the log has no entry of version {version} any more", where=f"{base.place.shown}/{path}"
            )
        for line in filter(None, content.splitlines()):
            ((kind, action),) = json.loads(line).items()
            match kind:
                case "commitInfo":
                    made = int(action.get("inCommitTimestamp") or action.get("timestamp") or 0)
                case "metaData":
                    kept = _says(action.get("configuration") or {})
                case "add" | "remove" | "cdc" if kind == "cdc" or action["dataChange"]:
                    files[kind].append(_file(base, action))
        return cls(version, made, {kind: tuple(found) for kind, found in files.items()}, kept)

    def groups(self) -> list[Group]:
        if self.files["cdc"]:
            return [Group(self.version, self.milliseconds, "", self.files["cdc"])]
        kinds = (("insert", self.files["add"]), ("delete", self.files["remove"]))
        return [Group(self.version, self.milliseconds, kind, files) for kind, files in kinds if files]


def _file(base: Snapshot, action: dict[str, Any]) -> DataFile:
    path = unquote(action["path"])
    if "://" in action["path"] or path.startswith("/"):
        raise UnsupportedError(
            f"the table's file {path} is outside of its folder, as in a shallow clone", where=base.place.shown
        )
    if action.get("deletionVector"):
        raise UnsupportedError("a version has deletion vectors, which ematix does not read", where=base.place.shown)
    values = action.get("partitionValues")
    if values is None and base.partition_by:
        raise UnsupportedError(
            f"the log does not say of which partition the removed file {path} was", where=base.place.shown
        )
    partition = tuple((values or {}).get(name) for name in base.partition_by)
    return DataFile(path, int(action.get("size") or 0), None, partition)
