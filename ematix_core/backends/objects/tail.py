"""A folder that is read without end, by listing: each file that comes, whatever its name, once."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ematix_core.backends.objects.arrivals import Arrivals, Key, Old
from ematix_core.backends.objects.listing import Listing, files_of, fixed_folder
from ematix_core.backends.objects.malformed import left_out
from ematix_core.backends.objects.settings import TYPED, format_of
from ematix_core.backends.objects.source import ObjectSource
from ematix_core.backends.storage.paths import below
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
from ematix_core.errors import BadRowError, MissingSourceError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from ematix_core.backends.protocols import WantedType
    from ematix_core.backends.storage.folder import StoredFile
    from ematix_core.backends.stream_protocols import Polled, PollLimits, Positions, Start
    from ematix_core.model.connection import Connection

SETTLED = 2.0
"""A file that has not changed for so many seconds is complete."""
UNFINISHED = (".tmp", ".part")
ON_CHANGE = ("fail", "ignore", "reread")
_AT_ONCE = 10_000
"""So many waiting files are remembered; for more the folder is listed again."""
_BILLION = 1_000_000_000


@dataclass
class _Look:
    """What one listing has found, at a time of the clock: files to read, in order, at most _AT_ONCE."""

    now: int
    waiting: list[tuple[Key, StoredFile]]
    old: Old
    unread: int = 0
    """How many files are to be read, those among them that are not complete yet."""


class DirectoryTail:
    """Implements `StreamSource` for a folder or glob. Its positions are `[files, row, {...}]`.

    So many files have been read, and so many rows of another one; what they are, `Arrivals` keeps.
    """

    def __init__(
        self, connection: Connection, name: str, *, window: float, on_change: str,
        leave_out: bool = False, wanted: Callable[[], Mapping[str, WantedType]] | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        """`window`: seconds that a file may be late by, in the time of its last change. `clock` gives ns since 1970.

        `leave_out`, `wanted`: see `StreamQuery`; malformed lines are left out.
        """
        self._where = f"files {name} of connection {connection.name}"
        self._left_out: list[pa.Table] = []  # of the current file, told when all of it is read
        self._pattern = below(name)
        self._window = int(max(window, SETTLED) * _BILLION)
        self._leave_out = leave_out
        self._on_change = choice(on_change, "on_change", ON_CHANGE, self._where)
        self._clock = clock
        self._source = ObjectSource(connection)
        self._wanted = wanted
        self._arrivals = Arrivals()
        self._waiting: deque[tuple[Key, StoredFile]] = deque()
        self._limit = 0
        self._current: Key | None = None
        self._row = 0
        self._rows: FileRows | None = None
        self._seen: dict[str, tuple[Key, float]] = {}

    def seek(self, start: Start) -> None:
        if isinstance(start, Mapping):
            self._resume(start)
            return
        if isinstance(start, datetime):
            self._begin(self._passed_over(nanoseconds(start, self._where)))
            return
        choice(start, "start", ("earliest", "latest"), self._where)
        self._begin(Arrivals() if start == "earliest" else self._passed_over(None))

    def poll(self, limits: PollLimits) -> Polled | None:
        polled = wait_for_rows(self._next, limits, self.positions)
        if polled is None or polled.rows.num_rows:
            return polled
        return replace(polled, bad=self._left_out.pop())  # none are told of without rows but the lines left out

    def positions(self) -> Positions:
        state = self._arrivals.state() | {"open": self._current and list(self._current)}
        return {PARTITION: [self._arrivals.files, self._row, state]}

    def end(self) -> Positions:
        unread = self._look().unread + (self._current is not None)
        return {PARTITION: [self._arrivals.files + unread, 0, {}]}

    def commit(self, positions: Positions) -> None:
        """Do nothing: the consumer keeps the positions."""

    def close(self) -> None:
        self._source.close()

    def _begin(self, arrivals: Arrivals, current: Key | None = None, row: int = 0) -> None:
        self._arrivals, self._current, self._row = arrivals, current, row
        self._waiting.clear()
        self._limit = 0
        self._rows = None
        self._left_out.clear()

    def _resume(self, positions: Positions) -> None:
        files, row, state = only_position(positions, 2, self._where)
        try:
            arrivals = Arrivals.of_state(files, state)
            match state["open"]:
                case [int(changed), str(path), int(size)]:
                    self._begin(arrivals, (changed, path, size), row)
                case None if row == 0:
                    self._begin(arrivals)
                case _:
                    raise not_of_this_source(positions, self._where)
        except (KeyError, TypeError, ValueError) as error:
            raise not_of_this_source(positions, self._where) from error

    def _passed_over(self, until: int | None) -> Arrivals:
        """Return what has been read when everything older than `until` has been; for None, every complete file."""
        now = self._clock()
        settling = int(SETTLED * _BILLION) if self._source.store.local else 0
        kept, complete = now - self._window, now - settling
        until = complete + 1 if until is None else min(until, complete + 1)
        before, old, later = min(until, kept), Old(), []
        for file in self._files():
            if file.modified < before:
                old.add(_key(file))
            elif file.modified < until:
                later.append(_key(file))
        return Arrivals.until(before, old, later)

    def _next(self, limits: PollLimits) -> pa.RecordBatch | None:
        while (inside := bounded(limits, (self._arrivals.files, self._row))) is not None:
            if self._current is None and not self._open():
                return None
            if (rows := self._take(inside)) is not None:
                return rows
        return None

    def _open(self) -> bool:
        """Take the next file; say whether there is one."""
        if not self._waiting:
            self._refill()
        if not self._waiting:
            return False
        self._current, _ = self._waiting.popleft()
        return True

    def _refill(self) -> None:
        look = self._look()
        self._arrivals.old = look.old
        self._waiting.extend(look.waiting)
        # Files that are not complete are younger than the window, and those beyond the most are not yet known.
        self._limit = look.now - self._window
        if len(look.waiting) == _AT_ONCE:
            self._limit = min(self._limit, look.waiting[-1][0][0])
        self._advance()

    def _advance(self) -> None:
        """Forget single files that are older than the window and than the next one that waits."""
        following = self._waiting[0][0][0] if self._waiting else self._limit
        self._arrivals.advance(min(following, self._limit))

    def _take(self, limits: PollLimits) -> pa.RecordBatch | None:
        """Return rows of the current file, or None after moving on behind it."""
        current = self._current
        if current is None:
            return None
        try:
            if self._rows is None and not self._begin_file(current):
                return None
            rows = self._rows.take(limits) if self._rows is not None else None
        except BadRowError as error:
            self._rows = None
            raise _of_stream(error, self._row, leaves_out=self._leave_out) from error.__cause__
        except BaseException:
            self._rows = None
            raise
        if rows is None:
            self._end_file(current)
            return _no_row() if self._left_out else None
        if self._rows is not None:
            self._row = self._rows.row
        return rows

    def _begin_file(self, current: Key) -> bool:
        """Start reading; False when the file is not there any more as it was listed, and none of it has been read."""
        changed, path, size = current
        file = self._source.store.stat(path) if self._source.store.is_file(path) else None
        # To the second: some object stores tell the fractions when they list, and not when they are asked for one.
        if file is None or file.size != size or file.modified // _BILLION != changed // _BILLION:
            if self._row:
                what = "has gone" if file is None else "was changed"
                raise SourceError(
                    f"{path} {what} after {self._row} rows of it had been read", where=self._where,
                    hint="Load what is missing by a job, then seek a time after the file's.",
                )  # fmt: skip
            self._current = None
            return False
        told = self._keep_apart if self._leave_out else None
        wanted = self._wanted() if self._wanted and format_of(path)[0] not in TYPED else {}
        batches = self._source.read_listing(Listing(path, (file,)), told, wanted) if size else iter(())
        self._rows = FileRows(batches, Added(changed, path), self._row)
        return True

    def _keep_apart(self, lines: pa.Table) -> None:
        if self._current is not None:
            changed, path, _ = self._current
            self._left_out.append(left_out(lines, path, changed))

    def _end_file(self, current: Key) -> None:
        self._arrivals.note(current)
        self._current, self._row, self._rows = None, 0, None
        self._advance()

    def _look(self) -> _Look:
        """List the folder. Raises SourceError for a file that was changed after it was read, or came too late."""
        look = _Look(self._clock(), [], Old())
        before, self._seen = self._seen, {}
        candidates = ((_key(file), file) for file in self._unread(look))
        look.waiting = heapq.nsmallest(
            _AT_ONCE, (one for one in candidates if self._is_settled(one[0], look.now, before)), key=lambda one: one[0]
        )
        if look.old.has_more_than(self._arrivals.old):
            raise SourceError(
                "a file came too late: there are more files that have not been changed since "
                f"{_moment(self._arrivals.before)} than have been read", where=self._where,
                hint="Find it (find -newerct), load it by touching it, and set window= to how late files may be.",
            )  # fmt: skip
        return look

    def _unread(self, look: _Look) -> Iterator[StoredFile]:
        for file in self._files():
            key = _key(file)
            if file.modified < self._arrivals.before:
                look.old.add(key)
            elif self._arrivals.has(key):
                continue
            elif self._arrivals.has_other_state(key) and self._on_change != "reread":
                self._changed(key)
            elif key != self._current:
                look.unread += 1
                yield file

    def _changed(self, key: Key) -> None:
        if self._on_change == "fail":
            raise SourceError(
                f"{key[1]} was changed after it had been read",
                where=self._where,
                hint='Give changed files other names, or pass on_change="ignore" to pass them over, or "reread" for '
                "all their rows again.",
            )
        self._arrivals.pass_over(key)

    def _is_settled(self, key: Key, clock: int, before: dict[str, tuple[Key, float]]) -> bool:
        """Say whether the file has not changed for a while: by the time of its change, or as seen here.

        In an object store a file is complete as soon as it is there.
        """
        if not self._source.store.local or clock - key[0] >= SETTLED * _BILLION:
            return True
        now = time.monotonic()
        first = before.get(key[1], (key, now))
        self._seen[key[1]] = first if first[0] == key else (key, now)
        return now - self._seen[key[1]][1] >= SETTLED

    def _files(self) -> Iterator[StoredFile]:
        store = self._source.store
        folder = fixed_folder(self._pattern)
        if not store.is_folder(folder):
            raise MissingSourceError(
                f"there is no folder {store.location(folder)}", where=self._where,
                hint="Make it, or correct the connection's path or the name of what is read.",
            )  # fmt: skip
        yield from (file for file in files_of(store, self._pattern) if not file.path.endswith(UNFINISHED))


def _no_row() -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_pydict({})


def _key(file: StoredFile) -> Key:
    return file.modified, file.path, file.size


def _of_stream(error: BadRowError, rows: int, *, leaves_out: bool) -> BadRowError:
    """Return the error of a job as that of a stream. `rows`: read of the file before."""
    hint = "Move the file away: nothing of it can be read."
    if not leaves_out:
        hint = "Set on_error='dead_letter' to keep such lines aside and go on"
        hint += "." if rows else ", or correct the file."  # which may not change any more when rows of it are loaded
    shown = error.hint.partition("\n")[0]
    return BadRowError(error.what, where=error.where, hint=f"{shown}\n{hint}")


def _moment(changed: int) -> str:
    return f"{datetime.fromtimestamp(changed // _BILLION).astimezone():%Y-%m-%d %H:%M:%S %Z}"
