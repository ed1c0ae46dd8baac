"""A process that is replaced, for what streams keep: the next one begins with what was written of the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ematix_core.streaming.stage import Stage
from ematix_core.streaming.state.entries import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S", bound=Stage)


def replaced(at_work: S, stage: Callable[[], S], segments: list[bytes], how: str) -> tuple[S, list[bytes]]:
    """Return a new stage in place of the one at work, and the segments that it was restored from.

    `how`: `log` when what was added since the last one is written, `all` when everything is.
    """
    written = pack({}, at_work.entries() if how == "log" else at_work.snapshot())
    segments = [*segments, written] if how == "log" else [written]
    at_work.close()
    after = stage()
    after.restore([entry for segment in segments for entry in unpack(segment)])
    return after, segments
