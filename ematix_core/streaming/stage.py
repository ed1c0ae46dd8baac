"""What a stream keeps between micro-batches, as a protocol: a window, a join, or a join with a window behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from ematix_core.engine.environment import Environment
    from ematix_core.model.stream import Stream
    from ematix_core.streaming.state.entries import Entry


class Stage(Protocol):
    """Takes rows in, and tells results; how rows are taken is each one's own. For one thread at a time.

    The state is a function of its entries, so that those since the last checkpoint are what a checkpoint adds.
    """

    def tick(self, partitions: Iterable[str], *, drained: bool = False) -> pa.Table | None:
        """Return what is to be told since no rows come; `drained`: none that there were are left."""
        ...

    def entries(self) -> Sequence[Entry]:
        """Return what was added since the last call."""
        ...

    def snapshot(self) -> Sequence[Entry]:
        """Return all that is kept, in place of every entry before."""
        ...

    def restore(self, entries: Iterable[Entry]) -> None:
        """Add what was added before, and forget what was told."""
        ...

    def state(self) -> dict[str, Any]:
        """Return as plain data: `watermark`, `newest`, `bytes`, and `groups` or `rows`."""
        ...

    def interrupt(self) -> None:
        """Stop what runs, from another thread."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


def stage_of(env: Environment, stream: Stream) -> Stage:
    """Return what the stream keeps its rows in, empty."""
    if stream.join is not None and stream.window is not None:
        from ematix_core.streaming.joins.windowed import WindowedJoinStage

        return WindowedJoinStage(stream.join, stream.window, env.clock, stream.functions)
    if stream.join is not None:
        from ematix_core.streaming.joins.stage import JoinStage

        return JoinStage(stream.join, env.clock)
    from ematix_core.streaming.windows.stage import WindowStage

    assert stream.window is not None  # noqa: S101 - for mypy: it is asked of a stream that keeps something
    return WindowStage(stream.window, env.clock, stream.functions)


def declared_of(stream: Stream) -> Mapping[str, Any]:
    """Return what the state depends on, as plain data for JSON."""
    from ematix_core.streaming.joins.declared import declared as of_join
    from ematix_core.streaming.windows.declared import declared as of_window

    found = of_join(stream.join) if stream.join is not None else {}
    behind = of_window(stream.window) if stream.window is not None else {}
    # Of a window behind a join with its name, as both have an `on`.
    return found | ({f"window.{name}": value for name, value in behind.items()} if found else behind)
