"""Topics that are read without end, by one consumer for itself or as a member of a group."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ematix_core.backends.kafka.buffer import Buffer
from ematix_core.backends.kafka.client import Line, cluster_id, consumer, driver
from ematix_core.backends.kafka.failures import GONE, LOST, translate
from ematix_core.backends.kafka.membership import Came, Membership
from ematix_core.backends.kafka.messages import collector_at_rest, name_of, parted
from ematix_core.backends.kafka.offsets import Cluster, places, split
from ematix_core.backends.kafka.options import session_seconds, stream_options
from ematix_core.backends.kafka.settings import settings_of
from ematix_core.backends.stream_protocols import Start, order_of, up_to
from ematix_core.errors import ConfigError, MissingSourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from confluent_kafka import Consumer, Message

    from ematix_core.backends.stream_protocols import Polled, PollLimits, Positions, StreamQuery
    from ematix_core.model.connection import Connection

_LOGGER = logging.getLogger("ematix.kafka")
_GATHER = 0.005
"""Seconds for which more messages are taken after the first: batches of one message cost most of the time."""
_SLICE = 0.2
"""Seconds of one wait, so that Ctrl-C is noticed."""
_BLOCK = 2048
"""Messages of one call: of 100,000 at once, each takes the processor three times as long, for want of cache."""
_PASSING = frozenset({"_ALL_BROKERS_DOWN", "_TRANSPORT", "_TIMED_OUT", "_MAX_POLL_EXCEEDED", "_RESOLVE"})
"""Errors after which librdkafka goes on by itself. When it does not get on, the next look at the topics says so."""


class KafkaStream:
    """Implements `SharedSource`. A partition's position is the offset of its next message, its name `topic:number`."""

    payload = "value"

    def __init__(self, connection: Connection, query: StreamQuery) -> None:
        """Connect to nothing yet. Raises MissingDriverError, and ConfigError for a setting or an option."""
        driver()
        self._name = query.name
        self._where = f"topic {query.name} of connection {connection.name}"
        self._options = stream_options(query, self._where)
        self._line = Line(settings_of(connection))
        self._client: Consumer | None = None
        self._cluster: Cluster | None = None
        self._group = ""
        self._membership: Membership | None = None
        self._holds = False
        self._buffer = Buffer()
        self._failures: list[Message] = []
        self._looked = 0.0
        self._begun = False
        self._opened()  # librdkafka refuses wrong settings at once

    def seek(self, start: Start) -> None:
        if self._membership is not None:
            raise ConfigError("a member of a group does not seek", where=self._where,
                              hint="Its partitions go on from what `saved` says.")  # fmt: skip
        offsets = self._required_cluster().starts(start, self._options.on_lost)
        self._failures.clear()
        self._buffer.begin(offsets)
        self._consumer.assign(places(offsets))
        self._begun, self._looked = True, time.monotonic()

    def join(self, group: str, saved: Callable[[Sequence[str]], Positions]) -> None:
        """Go on as a member of the group."""
        self._close()
        self._group = group
        self._membership = Membership(saved, self._options, self._where)
        self._subscribe()

    def hold(self, group: str) -> tuple[dict[str, int], dict[str, str]]:
        """Read by itself, in the name of a group that has no members; called once, before `seek`.

        Returns the offsets that the group has committed, and the notes beside them, by partition.
        """
        self._close()
        self._group, self._holds = group, True
        cluster = self._required_cluster()
        return cluster.noted(cluster.partitions())

    def assigned(self) -> Sequence[str]:
        """Return the names of the partitions that are this consumer's."""
        return list(self._buffer.assigned)

    def silence(self) -> float:
        return session_seconds(self._line.configured(self._options.client))

    def poll(self, limits: PollLimits) -> Polled | None:
        self._ready()
        deadline = time.monotonic() + limits.seconds
        goal: Positions | None = None
        while (polled := self._buffer.take(limits)) is None:
            self._raise_failures()
            if goal is not None and reached(self._buffer.positions, goal):
                break
            left = deadline - time.monotonic()
            if left > 0:
                self._fetch(limits, min(left, _SLICE))
            elif goal is not None:
                raise self._line.failure(self._line.settings.timeout)
            elif limits.seconds:
                break
            elif not self._fetch(limits, 0):
                # One look: what was there when it began has to come, and that takes the time of an answer.
                goal, deadline = up_to(self.end(), limits.before), time.monotonic() + self._line.settings.timeout
        return polled

    def positions(self) -> Positions:
        return dict(self._buffer.positions)

    def end(self) -> Positions:
        cluster = self._required_cluster()
        partitions = self._buffer.assigned if self._begun else cluster.partitions()
        return cluster.ends(partitions)

    def commit(self, positions: Positions) -> None:
        if not (self._group or self._options.group):
            return
        offsets = {name: int(place) for name, place in positions.items() if name in self._buffer.assigned}  # type: ignore[arg-type]  # ours are whole numbers
        if not offsets:
            return
        commit_offsets(self._consumer, offsets, self._where)

    def close(self) -> None:
        self._close()

    def group_metadata(self) -> Any:  # noqa: ANN401 - an opaque object of the driver
        """Return what its offsets are committed by; None when it has no group. A member is fenced by it."""
        grouped = self._membership is not None or self._holds
        return self._consumer.consumer_group_metadata() if grouped else None

    def cluster_id(self) -> str:
        """Return the id of the cluster. May block."""
        return cluster_id(self._consumer, self._line)

    @property
    def _consumer(self) -> Consumer:
        return self._client if self._client is not None else self._opened()

    def _required_cluster(self) -> Cluster:
        client = self._consumer
        if self._cluster is None:
            self._cluster = Cluster(client, self._line, self._name, self._where)
        return self._cluster

    def _opened(self) -> Consumer:
        self._client = consumer(self._line, self._options.consumer(self._group))
        self._cluster = Cluster(self._client, self._line, self._name, self._where)
        return self._client

    def _subscribe(self) -> None:
        membership = self._membership
        assert membership is not None  # noqa: S101 - only members subscribe
        membership.cluster = self._required_cluster()
        membership.cluster.partitions()  # which says when there is no such topic
        membership.enter(self._consumer, self._name)
        self._begun, self._looked = True, time.monotonic()

    def _close(self) -> None:
        client, self._client, self._cluster = self._client, None, None
        self._failures.clear()
        self._buffer.begin({})
        self._begun = False
        if self._membership is not None:
            self._membership.leave()
        if client is not None:
            client.close()

    def _fetch(self, limits: PollLimits, seconds: float) -> bool:
        """Consume messages, and say whether there were any, or ends of partitions. Waits for the first of them."""
        left = max(1, min(limits.rows, limits.bytes // self._buffer.wide))
        messages = self._consume(min(left, _BLOCK), _GATHER if seconds else 0, limits)
        if not messages and seconds:
            messages = self._consume(1, seconds, limits)
        found = bool(messages)
        while messages:
            left -= len(messages)
            whole = left > 0 and len(messages) in {1, _BLOCK}
            messages = self._consume(min(left, _BLOCK), _GATHER, limits) if whole else []
        return found

    def _consume(self, count: int, seconds: float, limits: PollLimits) -> list[Message]:
        module = driver()
        with collector_at_rest() if count > 1 else nullcontext():  # one is what is waited for
            try:
                messages: list[Message] = self._consumer.consume(count, seconds)
            except module.KafkaException as error:
                raise translate(error, "messages cannot be read", self._where) from error
            went = self._rearrange()
            if messages:
                rows, marks, errors = parted(messages)
                self._failures += errors
                marks = [mark for mark in marks if mark.partition not in went]
                before = {name: place for name, place in limits.before.items() if isinstance(place, int)}
                self._buffer.add(rows, marks, None if self._name.startswith("^") else self._name, before)
        return messages

    def _rearrange(self) -> set[str]:
        """Take note of partitions that came and went; return the latter."""
        went: set[str] = set()
        membership = self._membership
        if membership is None:
            return went
        for change in membership.changes:
            if isinstance(change, Came):
                self._buffer.come(change.offsets)
            else:
                went |= change.partitions
                self._buffer.go(change.partitions)
        membership.changes.clear()
        if (failure := membership.failure) is not None:
            self._close()  # which leaves the group; the next poll joins it anew
            membership.changes.clear()
            raise failure
        return went

    def _raise_failures(self) -> None:
        while self._failures:
            message = self._failures.pop(0)
            self._fail(message)

    def _fail(self, message: Any) -> None:  # noqa: ANN401 - a message of the driver that holds an error
        error = message.error()
        name = error.name()
        topic, number = message.topic(), message.partition()
        partition = name_of(topic, number) if topic is not None and number is not None and number >= 0 else ""
        if name in _PASSING or (error.retriable() and not error.fatal()):
            _LOGGER.warning("%s: %s", self._where, error.str())
            return
        if name in LOST and partition in self._buffer.assigned:
            self._restart(partition)
            return
        if "GROUP_AUTHORIZATION" in name and not (self._group or self._options.group):
            return  # nothing is asked of the group
        if error.fatal() and self._membership is not None:
            self._close()
        if name in GONE:
            raise MissingSourceError(f"{partition or topic or self._name} is gone: {error.str()}", where=self._where,
                                     hint="The topic was removed, or this user may not see it.")  # fmt: skip
        raise translate(error, f"partition {partition}" if partition else "messages cannot be read", self._where)

    def _restart(self, partition: str) -> None:
        """Go on with the oldest message when that is asked for. Raises SourceError, again at the next poll."""
        offset = self._buffer.positions[partition]
        found = {partition: offset}
        try:
            found = self._required_cluster().kept({partition: offset}, self._options.on_lost)
        finally:
            self._consumer.incremental_unassign(places({partition: 0}))
            self._consumer.incremental_assign(places(found))
        self._buffer.come(found)

    def _ready(self) -> None:
        if self._membership is not None and not self._begun:
            self._subscribe()
        elif not self._begun:
            self.seek("earliest")
        self._look_around()

    def _look_around(self) -> None:
        """Take note, from time to time, of partitions that are new. Raises ConnectError when no broker answers."""
        if time.monotonic() - self._looked < self._options.refresh:
            return
        cluster = self._required_cluster()
        partitions = cluster.partitions()
        self._looked = time.monotonic()
        if self._membership is not None:
            return  # the group's own affair
        gone = [name for name in self._buffer.assigned if name not in partitions]
        if gone:
            self._remove(gone)
        if new := [name for name in partitions if name not in self._buffer.assigned]:
            offsets = cluster.begins(new)
            self._consumer.incremental_assign(places(offsets))
            self._buffer.come(offsets)

    def _remove(self, gone: Collection[str]) -> None:
        _LOGGER.warning("%s: %s is gone", self._where, ", ".join(sorted({split(name)[0] for name in gone})))
        self._consumer.incremental_unassign(places(dict.fromkeys(gone, 0)))
        self._buffer.go(gone)


def reached(positions: Positions, goal: Positions) -> bool:
    """Say whether the positions have come as far as the goal."""
    return all(order_of(positions.get(name)) >= order_of(place) for name, place in goal.items())


def commit_offsets(client: Consumer, offsets: Mapping[str, int], where: str) -> None:
    """Commit a group's positions. Raises ConflictError when the partitions have become another's."""
    module = driver()
    try:
        done = client.commit(offsets=places(offsets), asynchronous=False) or []
    except module.KafkaException as error:
        raise translate(error, "the group's positions were not committed", where) from error
    for one in done:
        if one.error is not None:
            raise translate(one.error, f"the position of {name_of(one.topic, one.partition)} was not committed", where)
