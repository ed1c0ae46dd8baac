"""Replaying letters that are kept in a table beside the target."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from ematix_core.failpoint import failpoint
from ematix_core.sql import letters as statements
from ematix_core.streaming.letters import COLUMNS, NEW, known_names, letters_table
from ematix_core.streaming.replay.marks import OPEN, LakeMarks, Letters, TransactionMarks
from ematix_core.streaming.replay.rows import Replayed, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.engine.environment import Environment
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.landing import Landing
    from ematix_core.streaming.replay.rows import Again

_AT_ONCE = 500
"""So many letters are one transaction: their ids stand in statements."""
_NAMES = tuple(column.name for column in COLUMNS)


class TableReplay:
    """The letters of one target."""

    def __init__(self, env: Environment, stream: Stream, target: Target) -> None:
        self._env, self._stream, self._target = env, stream, target
        self._table = letters_table(stream, target)

    def run(self, letter_ids: Sequence[str] | None, value: bytes | None) -> Replayed:
        """Replay those with these ids, or all new ones."""
        loaded = 0
        failed: dict[str, str] = {}
        with opened(self._env, self._stream, self._target) as again:
            marks = self._marks(again.landing)
            marks.settle()
            while letters := self._letters(again.landing, letter_ids, tuple(failed)):
                done = self._once(again, marks, letters, value)
                loaded += done.loaded
                failed |= done.failed
        return Replayed(loaded, failed)

    def _marks(self, landing: Landing) -> TransactionMarks | LakeMarks:
        letters = Letters(self._stream.name, self._target.name, self._table, landing.target)
        if landing.target.dialect.commits_each_table:
            return LakeMarks(letters, self._env.clock)
        return TransactionMarks(letters)

    def _letters(
        self, landing: Landing, letter_ids: Sequence[str] | None, failed: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the next open letters, each id once, without those that failed again just now."""
        states = (NEW,) if letter_ids is None else OPEN
        wanted = [one for one in letter_ids or () if one not in failed][:_AT_ONCE]
        if letter_ids is not None and not wanted:
            return []
        with landing.target.inspect() as session:
            existing = session.columns(self._table)
            if existing is None:
                return []
            query = statements.newest(
                self._table, known_names(_NAMES, existing), landing.target.dialect, states=len(states), ids=len(wanted),
                limit=_AT_ONCE + len(failed), of_target=True,
            )  # fmt: skip
            bound = {"stream": self._stream.name, "target": str(self._target.name)} | statements.bound_as(
                "state", states
            )
            found = session.query(query, bound | statements.bound_as("id", wanted)).to_pylist()
        return list({one["letter_id"]: one for one in found if one["letter_id"] not in failed}.values())[:_AT_ONCE]

    def _once(
        self, again: Again, marks: TransactionMarks | LakeMarks, letters: list[dict[str, Any]], value: bytes | None
    ) -> Replayed:
        tried = again.tried(letters, value)
        load_id = f"{self._stream.name}-replay-{secrets.token_hex(8)}"
        books = marks.books(tried, load_id)
        failpoint("stream.replay.before")
        if marks.without_rows or tried.rows.num_rows:
            again.landing.land_again(tried.rows, books, load_id)
        failpoint("stream.replay.after")
        marks.finish(tried)
        return Replayed(len(tried.ids), tried.failed)
