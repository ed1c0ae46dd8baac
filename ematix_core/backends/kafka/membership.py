"""Being a member of a consumer group: which partitions come and go, and where each goes on."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING

from ematix_core.backends.kafka.messages import name_of
from ematix_core.backends.kafka.offsets import checked, places

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import Consumer, TopicPartition

    from ematix_core.backends.kafka.offsets import Cluster
    from ematix_core.backends.kafka.options import StreamOptions
    from ematix_core.backends.stream_protocols import Positions

_ASK_SECONDS = 0.5
"""So often a member that works says that it is there; `max.poll.interval.ms` is longer."""


@dataclass(frozen=True)
class Came:
    """Partitions that are this consumer's from here on, with the offsets that they go on from."""

    offsets: dict[str, int]


@dataclass(frozen=True)
class Went:
    """Partitions that are not this consumer's any more."""

    partitions: frozenset[str]


class Membership:
    """The driver's callbacks, which it calls from within `consume` and `close`. `changes` is what they have told.

    A member stays in its group while its rows are worked on, however long it is until the next poll: see `_ask`.
    """

    def __init__(self, saved: Callable[[Sequence[str]], Positions], options: StreamOptions, where: str) -> None:
        self._saved = saved
        self._options = options
        self._where = where
        self.cluster: Cluster | None = None
        self.changes: list[Came | Went] = []
        self.failure: BaseException | None = None
        """What was raised while partitions came: the member must begin anew."""
        self._left = Event()
        self._asking: Thread | None = None

    def enter(self, client: Consumer, topic: str) -> None:
        """Subscribe to the topic, and say from now on that this member is there."""
        self.failure = None
        self.changes.clear()
        client.subscribe([topic], on_assign=self.came, on_revoke=self.went, on_lost=self.went)
        self._left.clear()
        self._asking = Thread(target=self._ask, args=(client,), name="kafka-presence", daemon=True)
        self._asking.start()

    def leave(self) -> None:
        """Say it no longer; comes before the client is closed."""
        if self._asking is not None:
            self._left.set()
            self._asking.join()
            self._asking = None

    def came(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Take the partitions over, each from where it was left."""
        names = [name_of(one.topic, one.partition) for one in partitions]
        try:
            offsets = self._starts(names)
        except BaseException as error:  # noqa: BLE001 - raised again by the poll; the driver would crash on it
            self.failure = error
            return
        consumer.incremental_assign(places(offsets))
        self.changes.append(Came(offsets))

    def went(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Let the partitions go, given up or lost; the driver takes them away itself."""
        self.changes.append(Went(frozenset(name_of(one.topic, one.partition) for one in partitions)))

    def _starts(self, names: list[str]) -> dict[str, int]:
        cluster = self.cluster
        if not names or cluster is None:
            return {}
        known = checked(self._saved(names), names, self._where)
        if rest := [name for name in names if name not in known]:
            known |= cluster.committed(rest)
        known = cluster.kept(known, self._options.on_lost)
        rest = [name for name in names if name not in known]
        return known | (cluster.begins(rest) if self._options.start == "earliest" else cluster.ends(rest))

    def _ask(self, client: Consumer) -> None:
        """Ask for no messages, again and again, in a thread of its own.

        librdkafka leaves the group when it was not asked for so long as `max.poll.interval.ms`, and asking for none
        counts: https://github.com/confluentinc/librdkafka/pull/4176. It takes nothing from the queue and calls nothing
        back, so that partitions are still given up within `poll` only.
        """
        while not self._left.wait(_ASK_SECONDS):
            client.consume(0, 0)
