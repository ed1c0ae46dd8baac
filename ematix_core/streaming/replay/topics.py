"""Replaying letters that are in a topic: a group reads them, whose positions are in the rows' transactions."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import StreamQuery
from ematix_core.errors import ConflictError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.streaming.control import Control, Until
from ematix_core.streaming.letters import NEW, letters_table
from ematix_core.streaming.opening import reader_of
from ematix_core.streaming.reading import SharedReading
from ematix_core.streaming.replay.rows import Replayed, opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from ematix_core.backends.protocols import Session
    from ematix_core.backends.stream_protocols import HeldSource, OffsetsSession, Polled, Positions, SharedSource
    from ematix_core.engine.environment import Environment
    from ematix_core.model.job import Target
    from ematix_core.model.stream import Stream
    from ematix_core.model.table import TableName
    from ematix_core.streaming.replay.rows import Again

_ABOUT = "ematix."
_OPTIONS = {"session_timeout": "6 seconds"}
"""So long a replay that was killed keeps its partitions from the next one; brokers allow no less unless told to."""


class TopicReplay:
    """The letters of one target."""

    def __init__(self, env: Environment, stream: Stream, target: Target) -> None:
        self._env, self._stream, self._target = env, stream, target
        self._table = letters_table(stream, target)

    def run(self, letter_ids: Sequence[str] | None) -> Replayed:
        """Replay all that came since the last time, up to what there is now."""
        if letter_ids is not None:
            raise UnsupportedError(
                f"the dead letters of {self._target.name} are in topic {self._table}, of which none can be taken alone",
                hint=f"Replay all that are new: flow dlq replay {self._stream.name} --all.",
            )
        source = self._opened()
        group = f"{reader_of(self._stream, self._target)}.replay"
        loaded = 0
        failed: dict[str, str] = {}
        try:
            with opened(self._env, self._stream, self._target) as again:
                again.landing.positions()  # which ends what a killed replay has left open
                notes = self._notes(group)
                polling = SharedReading(
                    self._env, source, self._stream, group,
                    Until(before=source.end()), control=Control(), keeps=False,
                )  # fmt: skip
                polling.begin(dict)
                while not polling.ended():
                    if (polled := polling.poll(0, 0, 0.0)) is not None:
                        done = self._once(again, source, polled)
                        loaded += done.loaded
                        failed |= done.failed
                if not source.assigned():
                    raise ConflictError(
                        "another replay is at these letters", where=f"topic {self._table}",
                        hint="Nothing was loaded. Say it again when that one has ended.",
                    )  # fmt: skip
        finally:
            source.close()
        return Replayed(loaded, failed, notes)

    def _opened(self) -> SharedSource:
        connection = self._env.connection(self._target.connection or self._stream.source)
        return cast("SharedSource", registry.stream_source(connection, StreamQuery(str(self._table), _OPTIONS)))

    def _notes(self, group: str) -> tuple[str, ...]:
        """Say when the cluster has no position of the group: there was no replay, or it was too long ago."""
        looking = self._opened()
        try:
            known, _ = cast("HeldSource", looking).hold(group)
        finally:
            looking.close()
        if known:
            return ()
        note = (
            f"group {group} has no position in topic {self._table}, so that all its letters were replayed: none was "
            "before, or the cluster has forgotten it (offsets.retention.minutes)"
        )
        return (note,)

    def _once(self, again: Again, source: SharedSource, polled: Polled) -> Replayed:
        letters = [one for one in map(_letter, polled.rows.to_pylist()) if self._is_own(one)]
        if not letters:
            return Replayed(0, {})
        tried = again.tried(letters)
        books = _Moving(source, polled.positions, self._table, _failed(letters, tried.failed))
        failpoint("stream.replay.before")
        again.landing.land_again(tried.rows, books, f"{self._stream.name}-replay-{secrets.token_hex(8)}")
        failpoint("stream.replay.after")
        return Replayed(len(tried.ids), tried.failed)

    def _is_own(self, letter: Mapping[str, Any]) -> bool:
        return (letter.get("stream"), letter.get("target_table")) == (self._stream.name, str(self._target.name))


@dataclass(frozen=True)
class _Moving:
    """Positions in the topic of letters move with the rows, and with the letters of those that failed again."""

    source: SharedSource
    after: Positions
    table: TableName
    failed: pa.Table | None

    def begin(self, session: Session, where: str) -> None:
        """Allow it: the cluster looks at the consumer when the positions are sent."""

    def record(self, session: Session, watermark: str | None, counts: Mapping[str, int]) -> None:
        """Write the letters, and put the positions into the transaction."""
        del watermark, counts
        keeping = cast("OffsetsSession", session)
        if self.failed is not None:
            cast("Any", keeping).keep_letters(self.table, self.failed)
        keeping.send_positions(self.source, self.after)


def _letter(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message says as a letter, by the names of its columns."""
    headers = {one["key"]: one["value"] for one in message["_headers"] or ()}
    told: dict[str, Any] = {
        name.removeprefix(_ABOUT): (value or b"").decode() for name, value in headers.items() if name.startswith(_ABOUT)
    }
    at = told.get("event_ts")
    return told | {
        "record_key": message["_key"],
        "record_value": message["value"],
        "event_ts": datetime.fromisoformat(at) if at else None,
        "partition_name": told.get("partition_name"),
        "record_headers": told.get("record_headers"),
        "record_offset": int(told["record_offset"]) if "record_offset" in told else None,
    }


def _failed(letters: Sequence[Mapping[str, Any]], failed: Mapping[str, str]) -> pa.Table | None:
    """Return the letters of those that failed again, with the new error and one more attempt."""
    import pyarrow as pa

    rows = [
        {**one, "error": failed[one["letter_id"]], "attempt": int(one["attempt"]) + 1, "state": NEW}
        for one in letters
        if one["letter_id"] in failed
    ]
    return pa.Table.from_pylist(rows) if rows else None
