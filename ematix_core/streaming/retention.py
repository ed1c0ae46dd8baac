"""What a source's system keeps for the consumers of a stream: told, and dropped when the stream is no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ematix_core.backends.stream_protocols import RetainingSource
from ematix_core.engine.environment import Environment
from ematix_core.errors import EmatixError, UnsupportedError
from ematix_core.streaming.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from ematix_core.model.project import Project
    from ematix_core.model.stream import Stream


_T = TypeVar("_T")


def retained(stream: Stream, project: Project) -> dict[str, str]:
    """Return what is kept for each target's consumer, in words; nothing for sources that keep nothing."""
    return _for_each(stream, project, lambda source: source.retained())


def drop_retained(stream: Stream, project: Project) -> dict[str, tuple[str, ...]]:
    """Drop what is kept for each target's consumer, and return what that was.

    Raises UnsupportedError for sources that keep nothing, LockedError while a consumer reads.
    """
    dropped = _for_each(stream, project, lambda source: tuple(source.drop()))
    if not dropped:
        raise UnsupportedError(
            f"the system of {stream.source_query} keeps nothing for stream {stream.name} that could be dropped",
            hint="PostgreSQL does, for streams of changes: a replication slot.",
        )
    return dropped


def _for_each(stream: Stream, project: Project, ask: Callable[[RetainingSource], _T]) -> dict[str, _T]:
    env = Environment(project)
    found: dict[str, _T] = {}
    for target in stream.targets:
        source = open_source(env, stream, target)
        try:
            if isinstance(source, RetainingSource):
                found[stream.label(target)] = ask(source)
        except EmatixError as error:
            raise error.at(f"stream {stream.name}").masked(env.redactor.mask) from error.__cause__
        finally:
            source.close()
    return found
