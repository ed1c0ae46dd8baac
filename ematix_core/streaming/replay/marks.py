"""How letters are marked as loaded: in the transaction of their rows, or by what the rows' commit says of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ematix_core.backends.protocols import LoadRecord
from ematix_core.errors import ConflictError
from ematix_core.failpoint import failpoint
from ematix_core.sql import letters as statements
from ematix_core.streaming.letter_changes import change_letters
from ematix_core.streaming.letters import NEW, PARKED, REPLAYED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ematix_core.backends.protocols import Session, Target
    from ematix_core.model.table import TableName
    from ematix_core.streaming.replay.rows import Tried

OPEN = (NEW, PARKED)
_MEANWHILE = "Nothing was loaded. Say it again for those that are left."


@dataclass(frozen=True)
class Letters:
    """The table with the letters of a stream's target, which is open. It may have letters of other targets, too."""

    stream: str
    loaded: TableName
    """Where the rows go."""
    table: TableName
    target: Target

    @property
    def scope(self) -> str:
        """The name of the replays of these letters in the target's bookkeeping."""
        return f"{self.stream}:{self.table}:replay"

    def find(self, session: Session, ids: Sequence[str], where: str) -> list[tuple[str, str]]:
        """Return id and load of each open letter with one of the ids. Raises ConflictError for an id without any."""
        query = statements.newest(
            self.table, ("letter_id", "load_id"), self.target.dialect, states=len(OPEN), ids=len(ids),
            of_target=True,
        )  # fmt: skip
        rows = session.query(query, self._open() | statements.bound_as("id", ids)).to_pylist()
        found = [(row["letter_id"], row["load_id"]) for row in rows]
        if missing := sorted(set(ids) - {letter_id for letter_id, _ in found}):
            raise ConflictError(
                f"letter {missing[0]} was replayed or purged by somebody else meanwhile",
                where=where, hint=_MEANWHILE,
            )  # fmt: skip
        return found

    def mark(self, session: Session, ids: Sequence[str], loads: Sequence[str] = ()) -> None:
        """Mark the open ones as replayed; `loads`: only those that these loads have made."""
        change = statements.change_state(
            self.table, self.target.dialect, states=len(OPEN), ids=len(ids), loads=len(loads), of_target=True
        )
        bound = self._open() | statements.bound_as("id", ids) | statements.bound_as("load", loads)
        session.execute(change, {**bound, "to": REPLAYED})

    def fail(self, session: Session, failed: Mapping[str, str]) -> None:
        """Note the errors of those that failed again."""
        again = statements.failed_again(self.table, self.target.dialect)
        for letter_id, error in failed.items():
            session.execute(again, {**self.bound, "id_0": letter_id, "error": error})

    @property
    def bound(self) -> dict[str, str]:
        """What every statement on these letters takes."""
        return {"stream": self.stream, "target": str(self.loaded)}

    def _open(self) -> dict[str, str]:
        return self.bound | statements.bound_as("state", OPEN)


@dataclass(frozen=True)
class TransactionMarks:
    """Marks in the transaction of the rows."""

    letters: Letters
    without_rows = True
    """Whether marks are made by a load, also where there are no rows."""

    def settle(self) -> None:
        """Do nothing: rows and marks are never apart."""

    def books(self, tried: Tried, load_id: str) -> _Marking:
        """Return the bookkeeping of the rows' load."""
        del load_id
        return _Marking(self.letters, tried)

    def finish(self, tried: Tried) -> None:
        """Do nothing, see `settle`."""


@dataclass(frozen=True)
class _Marking:
    """Letters change their state with their rows, if they still can."""

    letters: Letters
    tried: Tried

    def begin(self, session: Session, where: str) -> LoadRecord | None:
        """Wait for other replays of these letters, and make sure that none of them has been loaded meanwhile."""
        session.find_load(self.letters.scope, "")
        if self.tried.ids:
            self.letters.find(session, self.tried.ids, where)
        return None

    def record(self, session: Session, watermark: str | None, counts: Mapping[str, int]) -> None:
        """Mark those that were loaded, and note the errors of the others."""
        del watermark, counts
        if self.tried.ids:
            self.letters.mark(session, self.tried.ids)
        self.letters.fail(session, self.tried.failed)


@dataclass
class LakeMarks:
    """Marks after the rows, where each table has commits of its own.

    The rows' commit notes which letters they are of. A replay begins by marking those that the one before has noted, so
    that one that died between the two commits repeats nothing.
    """

    letters: Letters
    clock: Callable[[], datetime]
    without_rows = False
    _last: LoadRecord | None = None
    _next: LoadRecord | None = None

    def settle(self) -> None:
        """Mark what the last replay has loaded."""
        with self.letters.target.inspect() as session:
            session.columns(self.letters.loaded)
            self._last = session.last_load(self.letters.scope)
        self._mark(_noted(self._last), {})

    def books(self, tried: Tried, load_id: str) -> _Noting:
        """Return the bookkeeping of the rows' load, which is refused when there was another replay meanwhile."""
        with self.letters.target.inspect() as session:
            session.columns(self.letters.table)
            found = self.letters.find(session, tried.ids, f"table {self.letters.loaded}") if tried.ids else []
        text = json.dumps(found)
        self._next = LoadRecord(self.letters.scope, load_id, self.clock(), text, {}, replaces=True)
        return _Noting(self._next, self._last)

    def finish(self, tried: Tried) -> None:
        """Mark what was loaded, and note the errors of the others."""
        self._mark(_noted(self._next), tried.failed)
        if tried.rows.num_rows:
            self._last = self._next
        failpoint("stream.mark.after")

    def _mark(self, noted: Sequence[tuple[str, str]], failed: Mapping[str, str]) -> None:
        if not noted and not failed:
            return
        # All letters of a load came with it: one that came later, of the same record, is of another load.
        ids, loads = sorted({one for one, _ in noted}), sorted({load for _, load in noted})

        def change(session: Session) -> int:
            if ids:
                self.letters.mark(session, ids, loads)
            self.letters.fail(session, failed)
            return len(ids) + len(failed)

        change_letters(self.letters.target, self.letters.table, change)


@dataclass(frozen=True)
class _Noting:
    """The commit of rows notes which letters they are of."""

    load: LoadRecord
    last: LoadRecord | None

    def begin(self, session: Session, where: str) -> LoadRecord | None:
        """Make sure that there was no other replay meanwhile."""
        if session.last_load(self.load.scope) != self.last:
            raise ConflictError("letters were replayed by somebody else meanwhile", where=where, hint=_MEANWHILE)
        return None

    def record(self, session: Session, watermark: str | None, counts: Mapping[str, int]) -> None:
        """Note them."""
        del watermark, counts
        session.record_load(self.load, ())


def _noted(record: LoadRecord | None) -> list[tuple[str, str]]:
    """Return id and load of the letters that a load has noted."""
    text = record.watermark if record is not None else None
    return [(letter_id, load_id) for letter_id, load_id in json.loads(text or "[]")]
