"""Positions of a stream, noted in its target in the transaction of the rows before them.

Each load moves the positions from where this consumer read them to where it has come. When they are not there any more
another consumer was faster, or this one was thrown out and did not know: then the load is rolled back. So each row is
in the target once, whoever was paused, killed or replaced in between.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from ematix_core.backends.protocols import LoadRecord
from ematix_core.errors import ConflictError, UnsupportedError
from ematix_core.streaming.pairing import PairedSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ematix_core.backends.protocols import Session
    from ematix_core.backends.stream_protocols import (
        OffsetsSession,
        Position,
        Positions,
        SharedSource,
        StreamSource,
    )


def moved(before: Positions, after: Positions) -> dict[str, Position]:
    """Return the positions that are others than before."""
    return {partition: place for partition, place in after.items() if before.get(partition) != place}


@dataclass(frozen=True)
class Noted:
    """What a target has noted of a stream: its positions, and the name of the state that belongs to them."""

    positions: dict[str, Position] = field(default_factory=dict)
    state: str = ""


def noted(session: Session, scope: str) -> Noted:
    """Return what the target has noted."""
    return _noted(session.last_load(scope))


class PositionBookkeeping:
    """The bookkeeping of one micro-batch: see Bookkeeping in `engine.bookkeeping`."""

    def __init__(self, scope: str, load_id: str, at: datetime, *, before: Noted, after: Noted) -> None:
        """`after`: the positions that this load moves, and the state with them; `before`: what the target had."""
        self._scope = scope
        self._load_id = load_id
        self._at = at
        self._before = before
        self._after = after
        self._found = Noted()

    def begin(self, session: Session, where: str) -> LoadRecord | None:
        """Make sure that the target's positions are still where this consumer read them."""
        done = session.find_load(self._scope, self._load_id)
        if done is not None:
            return done
        last = session.last_load(self._scope)
        self._found = _noted(last)
        if last is not None:
            self._at = max(self._at, last.loaded_at + timedelta(microseconds=1))
        hint = "Nothing was loaded twice. This consumer begins again where that one has come."
        was, now = self._before.positions, self._found.positions
        for partition in self._after.positions:
            if now.get(partition) != was.get(partition):
                raise ConflictError(
                    f"another consumer of this stream has loaded partition {partition} meanwhile: it is at "
                    f"{now.get(partition)}, and was at {was.get(partition)}", where=where, hint=hint,
                )  # fmt: skip
        if self._found.state != self._before.state:
            raise ConflictError(
                "another consumer of this stream has changed its state meanwhile", where=where, hint=hint
            )
        return None

    def record(self, session: Session, watermark: str | None, counts: Mapping[str, int]) -> None:
        """Note the positions after the rows, beside those of other partitions."""
        del watermark  # that of a job; a stream has positions
        value: dict[str, Any] = {"type": "positions", "value": {**self._found.positions, **self._after.positions}}
        if self._after.state:
            value["state"] = self._after.state
        text = json.dumps(value, sort_keys=True)
        session.record_load(LoadRecord(self._scope, self._load_id, self._at, text, counts, replaces=True), ())


class OffsetBookkeeping:
    """The bookkeeping of a micro-batch whose target is of the source's own system, which keeps the positions itself.

    In one cluster they are committed in the transaction of the rows, and a consumer that was replaced is shut out.
    Between two, they are committed after it.
    """

    def __init__(self, source: StreamSource, after: Noted) -> None:
        self._source = source
        self._after = after
        self.sent = False
        """Whether the positions were part of the transaction."""

    def begin(self, session: Session, where: str) -> None:
        """Allow it: the target looks at the consumer when the positions are sent."""

    def record(self, session: Session, watermark: str | None, counts: Mapping[str, int]) -> None:
        """Put the positions into the transaction, when it is one of the source's cluster."""
        del watermark, counts
        keeping, after, source = cast("OffsetsSession", session), self._after, self._source
        parts = source.parted(after.positions) if isinstance(source, PairedSource) else [(source, after.positions)]
        together = all(keeping.can_send(one) for one, _ in parts)
        if after.state and not together:
            raise no_transaction("")
        for one, positions in parts if together else ():
            if positions:
                keeping.send_positions(cast("SharedSource", one), positions, after.state)
                self.sent = True


def no_transaction(stream: str) -> UnsupportedError:
    """Return the error of a stream that keeps a state and whose topics are of two clusters."""
    return UnsupportedError(
        "source and target are topics of two clusters, which have no transaction together: after a crash, the state "
        "would be another one than the positions",
        where=f"stream {stream}" if stream else "",
        hint="Load the results into a topic of the source's cluster, or into a table.",
    )  # fmt: skip


def _noted(record: LoadRecord | None) -> Noted:
    if record is None or not record.watermark:
        return Noted()
    found = json.loads(record.watermark)
    return Noted(found["value"], found.get("state", ""))
