"""A join with a window behind it: what the join tells goes into the window, whose watermark follows the join's."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ematix_core.streaming.joins.stage import JoinStage
from ematix_core.streaming.windows.stage import Taken, WindowStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    import pyarrow as pa

    from ematix_core.model.function import Function
    from ematix_core.model.join import Join
    from ematix_core.model.window import Window
    from ematix_core.streaming.state.entries import Entry

_JOIN = "join"
"""What the window takes for its one partition."""
_OF_WINDOW = "of_window"
"""The fact that an entry is one of the window's."""


class WindowedJoinStage(JoinStage):
    """One join and its window. What `take` and `tick` return is the join's, for `aggregated`."""

    def __init__(
        self, join: Join, window: Window, clock: Callable[[], datetime], functions: Sequence[Function] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.window = WindowStage(window, clock, functions, now)
        super().__init__(join, clock, now)

    def aggregated(self, results: pa.Table | None) -> Taken:
        """Take what the last `take` or `tick` told, as the SQL has made it, and return what the window tells then."""
        settled = self.settled
        newest = {} if settled is None else {_JOIN: settled}
        if results is None:
            return Taken(self.window.tick((_JOIN,), newest))
        return self.window.take(results, newest, (_JOIN,))

    def entries(self) -> Sequence[Entry]:
        """Return what was added since the last call."""
        return [*super().entries(), *_marked(self.window.entries())]

    def snapshot(self) -> Sequence[Entry]:
        """Return all that is kept, in place of every entry before."""
        return [*super().snapshot(), *_marked(self.window.snapshot())]

    def restore(self, entries: Iterable[Entry]) -> None:
        """Add what was added before, and forget what was told."""
        known = list(entries)
        super().restore(one for one in known if _OF_WINDOW not in one.facts)
        self.window.restore(one for one in known if _OF_WINDOW in one.facts)

    def state(self) -> dict[str, Any]:
        """Return what is kept, as plain data for people: the watermark is the window's, and the newest times theirs."""
        join, window = super().state(), self.window.state()
        return {**join, "groups": window["groups"], "bytes": join["bytes"] + window["bytes"],
                "watermark": window["watermark"]}  # fmt: skip

    def interrupt(self) -> None:
        """Stop what runs, from another thread."""
        super().interrupt()
        self.window.interrupt()

    def close(self) -> None:
        """Release everything."""
        super().close()
        self.window.close()


def _marked(entries: Iterable[Entry]) -> list[Entry]:
    return [replace(one, facts={**one.facts, _OF_WINDOW: True}) for one in entries]
