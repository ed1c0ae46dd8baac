"""A table that is read without end, by the versions of its log: the rows that each one added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from ematix_core.backends.stream_protocols import TableVersion
from ematix_core.backends.tailing import (
    PARTITION,
    Added,
    FileRows,
    bounded,
    choice,
    nanoseconds,
    not_of_this_source,
    only_position,
    wait_for_rows,
)
from ematix_core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from ematix_core.backends.stream_protocols import Polled, PollLimits, Positions, Start

ON_REWRITE = ("fail", "ignore_deletes", "skip_change_commits", "ignore_changes")
"""What becomes of a version that removes or changes rows, in the words of Spark's Delta source:
https://docs.delta.io/latest/delta-streaming.html#ignore-updates-and-deletes
"""


@dataclass(frozen=True)
class AddedFile:
    """A data file that a version has added: path below the table, bytes, values of its partition, rows if told."""

    path: str
    size: int
    partition: tuple[str | None, ...] = ()
    rows: int | None = None


@dataclass(frozen=True)
class Commit:
    """What a version changed in a table's data. `token`: what `TableLog.after` is told to go on behind it.

    `removed`: how many files it took away, None when nobody can say any more what it did beside adding.
    """

    version: int
    committed_at: datetime
    token: str
    added: tuple[AddedFile, ...] = ()
    removed: int = 0
    operation: str = ""

    def told(self) -> TableVersion:
        """Return what a `VersionLog` tells of it."""
        counts = [file.rows for file in self.added]
        rows = None if None in counts else sum(count or 0 for count in counts)
        return TableVersion(self.version, self.committed_at, self.operation, len(self.added), self.removed, rows)


class TableLog(Protocol):
    """The log of one table, as a kind keeps it. Every method may block, and may repeat."""

    shown: str
    """What errors call the table."""

    def after(self, version: int, token: str) -> Commit | None:
        """Return the next commit behind a version, None when it is the newest.

        `token`: of that version's commit; "" when it is not known. Raises SourceError when what came next is no
        longer told, or when this is not the table that the token is of.
        """
        ...

    def bounds(self) -> tuple[int, int]:
        """Return the first version that `after` can return, and the newest. Raises MissingSourceError for no table."""
        ...

    def earliest(self) -> tuple[int, str]:
        """Return version and token behind which `after` begins with the oldest rows that there are."""
        ...

    def latest(self) -> tuple[int, str]:
        """Return the newest version and its token."""
        ...

    def since(self, moment: datetime) -> tuple[int, str]:
        """Return version and token behind which the first commit comes that is not older than that time."""
        ...

    def read(self, file: AddedFile) -> Iterator[pa.RecordBatch]:
        """Yield the file's rows, always in the same order. Raises MissingSourceError when it is gone."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class VersionTail:
    """Implements `StreamSource` for a table with a log. Its positions are `[version, file, row, [token, path]]`.

    All of `version` has been read; and of the version that comes next, so many files, and so many rows of another one.
    `path` is that of the last file that was read in part or whole, so that it is noticed when another stands there.
    """

    def __init__(self, log: TableLog, on_rewrite: str) -> None:
        """Begin nowhere yet. Raises ConfigError for an `on_rewrite` that is none of ON_REWRITE."""
        self._log = log
        self._where = log.shown
        self._on_rewrite = choice(on_rewrite, "on_rewrite", ON_REWRITE, self._where)
        self._version, self._file, self._row, self._token, self._last = -1, 0, 0, "", ""
        self._begun = False
        self._commit: Commit | None = None
        self._rows: FileRows | None = None

    def seek(self, start: Start) -> None:
        version, file, row, token, last = self._place(start)
        self._commit = self._rows = None
        self._version, self._file, self._row, self._token, self._last = version, file, row, token, last
        self._begun = True

    def poll(self, limits: PollLimits) -> Polled | None:
        if not self._begun:
            self.seek("earliest")
        return wait_for_rows(self._next, limits, self.positions)

    def positions(self) -> Positions:
        if not self._begun:
            return {}
        return {PARTITION: [self._version, self._file, self._row, [self._token, self._last]]}

    def end(self) -> Positions:
        return behind_version(self._log.bounds()[1])

    def commit(self, positions: Positions) -> None:
        """Do nothing: the consumer keeps the positions."""

    def close(self) -> None:
        self._log.close()

    def _place(self, start: Start) -> tuple[int, int, int, str, str]:
        if isinstance(start, Mapping):
            version, file, row, state = only_position(start, 3, self._where)
            match state:
                case [str(token), str(last)]:
                    return version, file, row, token, last
            raise not_of_this_source(start, self._where)
        if isinstance(start, datetime):
            nanoseconds(start, self._where)
            return self._placed(self._log.since(start))
        known = {"earliest": self._log.earliest, "latest": self._log.latest}
        return self._placed(known[choice(start, "start", tuple(known), self._where)]())

    @staticmethod
    def _placed(behind: tuple[int, str]) -> tuple[int, int, int, str, str]:
        version, token = behind
        return version, 0, 0, token, ""

    def _next(self, limits: PollLimits) -> pa.RecordBatch | None:
        while (inside := bounded(limits, (self._version, self._file, self._row))) is not None:
            if self._commit is None and not self._open():
                return None
            if (rows := self._take(inside)) is not None:
                return rows
        return None

    def _open(self) -> bool:
        """Look for the next commit; say whether there is one."""
        found = self._log.after(self._version, self._token)
        if found is not None:
            self._require_wanted(found)
            self._require_same_files(found)
            self._commit = found
        return found is not None

    def _take(self, limits: PollLimits) -> pa.RecordBatch | None:
        """Return rows of the commit, or None after moving on behind a file or behind the commit."""
        commit = self._commit
        if commit is None:
            return None
        files = self._wanted(commit)
        if self._file >= len(files):
            self._version, self._token = commit.version, commit.token
            self._file, self._row, self._last = 0, 0, ""
            self._commit = None
            return None
        file = files[self._file]
        try:
            if self._rows is None:
                event_ns = nanoseconds(commit.committed_at, self._where)
                self._rows = FileRows(self._log.read(file), Added(event_ns, file.path, commit.version), self._row)
            rows = self._rows.take(limits)
        except BaseException:
            self._rows = None
            raise
        self._last = file.path
        if rows is None:
            self._file, self._row, self._rows = self._file + 1, 0, None
        else:
            self._row = self._rows.row
        return rows

    def _wanted(self, commit: Commit) -> Sequence[AddedFile]:
        return () if commit.removed and self._on_rewrite == "skip_change_commits" else commit.added

    def _require_same_files(self, commit: Commit) -> None:
        """Raise SourceError when what was read of the commit before is not what stands there now."""
        read = self._file + (self._row > 0)
        if read and [file.path for file in self._wanted(commit)][read - 1 : read] != [self._last]:
            raise SourceError(
                f"version {self._version + 1} was read in part, and is no longer kept", where=self._where,
                hint='Load what is missing by a job, then seek "latest".',
            )  # fmt: skip

    def _require_wanted(self, commit: Commit) -> None:
        """Raise SourceError for a version that removed or changed rows, unless the option allows it."""
        if not commit.removed or self._on_rewrite in {"skip_change_commits", "ignore_changes"}:
            return
        if not commit.added and self._on_rewrite == "ignore_deletes":
            return
        did = "changed rows" if commit.added else "deleted rows"
        operation = f" ({commit.operation})" if commit.operation else ""
        passing = "" if commit.added else 'on_rewrite="ignore_deletes" or '
        raise SourceError(
            f"version {commit.version} {did}{operation}, and a stream gives new rows only", where=self._where,
            hint=f'Pass {passing}on_rewrite="skip_change_commits" to pass such versions over, or "ignore_changes" for '
            "the rows of all the files that they wrote, unchanged ones again among them.",
        )  # fmt: skip


def behind_version(version: int) -> Positions:
    """Return the positions to seek so that the rows that come after this version are read; -1 for all."""
    return {PARTITION: [version, 0, 0, ["", ""]]}


class LogVersions:
    """Implements `VersionLog` by a table's log."""

    def __init__(self, log: TableLog) -> None:
        self._log = log

    def newest(self) -> int:
        return self._log.bounds()[1]

    def versions(self, after: int, limit: int) -> Sequence[TableVersion]:
        found: list[TableVersion] = []
        first, newest = self._log.bounds()
        version = max(after, first - 1)
        while len(found) < limit and version < newest and (commit := self._log.after(version, "")) is not None:
            found.append(commit.told())
            version = commit.version
        return found

    def close(self) -> None:
        self._log.close()
