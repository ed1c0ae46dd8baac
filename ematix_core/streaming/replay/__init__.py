"""Dead letters once more: decoded, shaped and loaded as if they had just been polled.

- `rows`: what letters say, and which of them can be loaded.
- `marks`: how a letter is marked as loaded: with its rows where that is one transaction, else after them.
- `tables`, `topics`: the letters of a target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.config.settings import Settings
from ematix_core.engine.environment import Environment
from ematix_core.errors import EmatixError, UnsupportedError
from ematix_core.streaming.replay.rows import Replayed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.model.connection import ConnectionLookup
    from ematix_core.model.stream import Stream

__all__ = ["Replayed", "replay_letters"]


def replay_letters(
    stream: Stream,
    project: ConnectionLookup | None = None,
    *,
    letter_ids: Sequence[str] | None = None,
    value: bytes | None = None,
) -> Replayed:
    """Load the new and parked letters with these ids (None: all new ones) again; `value` stands for the bytes of one.

    None is ever loaded twice. Those that are loaded become "replayed" in the transaction of their rows, or in a lake
    (Delta, files) after it, where the commit of the rows names them. Those that fail again get the new error and one
    more attempt. Letters in a topic are replayed all together, from where the last replay has come, in transactions
    that move that place; those that fail again are written to its end. Raises ConflictError when another replay was
    faster, UnsupportedError for letters of a source of rows, of a window or a join, and for ids of letters in a topic.
    """
    if stream.keeps_state:
        raise UnsupportedError(
            "a letter that is replayed would be a row of the target, and this one has results of several",
            where=f"stream {stream.name}", hint="Send the mended message to the source again.",
        )  # fmt: skip
    from ematix_core.streaming.replay.tables import TableReplay
    from ematix_core.streaming.replay.topics import TopicReplay

    env = Environment(project=project, settings=Settings.load())
    loaded = 0
    failed: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    try:
        for target in stream.targets:
            if env.connection(target.connection or stream.source).kind == "kafka":
                one = TopicReplay(env, stream, target).run(letter_ids)
            else:
                one = TableReplay(env, stream, target).run(letter_ids, value)
            loaded += one.loaded
            failed |= one.failed
            notes += one.notes
    except EmatixError as error:
        raise error.at(f"stream {stream.name}").masked(env.redactor.mask) from error.__cause__
    return Replayed(loaded, failed, notes)
