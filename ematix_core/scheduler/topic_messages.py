"""A topic as a source of messages: each of its messages is one.

The broker keeps, for a group of the source's name, the offset before which the store knows every message. So a
scheduler that takes over begins there, and the store tells apart what it has seen already.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.errors import EmatixError, UnsupportedError
from ematix_core.failpoint import failpoint
from ematix_core.scheduler.messages import AT_ONCE, LARGEST, Message, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterator

    from ematix_core.backends.stream_protocols import SharedSource
    from ematix_core.model.connection import Connection
    from ematix_core.model.message import MessageSource

_SILENCE = "10 seconds"
"""A scheduler that died holds its partitions for so long."""
_JOIN_SECONDS = 5.0
"""So long a look waits for the group to let this scheduler have partitions."""


class TopicMessages:
    """Implements `MessagePoller` for a topic."""

    def __init__(self, source: MessageSource, connection: Connection, mask: Callable[[str], str] = str) -> None:
        """Take the connection with its secrets resolved, and what hides them in errors."""
        self._where = f"message source {source.name}"
        self._mask = mask
        self._group = f"ematix.{source.name}"
        self._waiting: deque[tuple[str, int, Message]] = deque()
        self._joined = False
        query = StreamQuery(source.topic, {"session_timeout": _SILENCE, "refresh": 5.0}, source.begin)
        with self._told():
            found = registry.stream_source(connection, query)
            if not hasattr(found, "join"):
                raise UnsupportedError(
                    f"connection {connection.name} of kind {connection.kind} has no topics",
                    hint="A folder is declared by inbox(), a table by queue() or versions().",
                )
            self._source = cast("SharedSource", found)

    def check(self) -> None:
        with self._told():
            self._source.end()

    def poll(self, known: Container[str], limit: int = AT_ONCE) -> list[Message]:
        with self._told():
            if not self._joined:
                self._source.join(self._group, lambda _: {})
                self._joined = True
            self._forget(known)
            if len(self._waiting) < limit:
                self._take(limit - len(self._waiting))
            # A partition that another scheduler has now is that one's to tell of.
            mine = set(self._source.assigned())
            self._waiting = deque(one for one in self._waiting if one[0] in mine)
            self._forget(known)
        return [message for _, _, message in self._waiting if message.position not in known][:limit]

    def remaining(self, positions: Collection[str]) -> list[str]:
        """Return nothing: messages stay in the topic."""
        del positions
        return []

    def done(self, position: str) -> None:
        """Do nothing: messages stay in the topic."""

    def close(self) -> None:
        self._source.close()

    def _take(self, limit: int) -> None:
        end = time.monotonic() + _JOIN_SECONDS
        polled = None
        while polled is None and not self._source.assigned() and time.monotonic() < end:
            polled = self._source.poll(PollLimits(rows=limit, seconds=0.1))
        if polled is None:
            polled = self._source.poll(PollLimits(rows=limit, seconds=0))
        if polled is None:
            return
        columns = polled.rows.select(["_partition", "_offset", "value"]).to_pydict()
        for partition, offset, value in zip(columns["_partition"], columns["_offset"], columns["value"], strict=True):
            self._waiting.append((partition, offset, Message(f"{partition}@{offset}", _payload(value))))

    def _forget(self, known: Container[str]) -> None:
        """Commit the offsets before which every message is known, partition by partition."""
        passed: dict[str, int] = {}
        stuck: set[str] = set()
        left: deque[tuple[str, int, Message]] = deque()
        for partition, offset, message in self._waiting:
            if partition not in stuck and message.position in known:
                passed[partition] = offset + 1
            else:
                stuck.add(partition)
                left.append((partition, offset, message))
        self._waiting = left
        if passed:
            failpoint("topic.commit.before")
            self._source.commit(passed)
            failpoint("topic.commit.after")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except EmatixError as error:
            raise error.masked(self._mask).at(self._where) from None


def _payload(value: bytes | None) -> Any:  # noqa: ANN401 - plain data of any shape
    """Return JSON parsed, other text as it is, and nothing for a tombstone, for other bytes and for more than 1 MiB."""
    if value is None or len(value) > LARGEST:
        return None
    try:
        return parsed(value.decode())
    except UnicodeDecodeError:
        return None
