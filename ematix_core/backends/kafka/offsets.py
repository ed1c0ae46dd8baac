"""Places in the partitions of topics: names, positions that are sought, and what a cluster says of them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ematix_core.backends.kafka.client import driver, partitions_of, topics
from ematix_core.backends.kafka.failures import ANEW, GONE, translate
from ematix_core.backends.kafka.messages import name_of
from ematix_core.backends.kafka.options import STARTS
from ematix_core.backends.tailing import choice, nanoseconds, not_of_this_source
from ematix_core.errors import MissingSourceError, SourceError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from confluent_kafka import Consumer, TopicPartition

    from ematix_core.backends.kafka.client import Line
    from ematix_core.backends.stream_protocols import Positions, Start

# What ListOffsets takes for a time: https://kafka.apache.org/protocol#The_Messages_ListOffsets
_END, _BEGIN = -1, -2
_PAUSE = 0.2
_NAME = re.compile(r"([^:]+):(\d+)")


def split(partition: str) -> tuple[str, int]:
    """Return topic and number of a partition's name."""
    topic, _, number = partition.rpartition(":")
    return topic, int(number)


def places(offsets: Mapping[str, int], note: str = "") -> list[TopicPartition]:
    """Return partitions with their offsets, and a note that is committed with each, in the driver's form."""
    made = driver().TopicPartition
    return [made(*split(partition), offset, note) for partition, offset in offsets.items()]


class Cluster:
    """What is asked of a cluster about the topics of one name. Every method may block."""

    def __init__(self, consumer: Consumer, line: Line, name: str, where: str) -> None:
        """`name`: of a topic, or a regular expression that begins with `^`."""
        self._consumer = consumer
        self._line = line
        self._name = name
        self._where = where

    def partitions(self) -> list[str]:
        """Return the names of all partitions. Raises MissingSourceError when there is no such topic."""
        if not self._name.startswith("^"):
            found = {self._name: partitions_of(self._consumer, self._line, self._name)}
        else:
            every = topics(self._consumer, self._line)
            found = {topic: count for topic, count in every.items() if re.search(self._name, topic)}
            if not found:
                raise MissingSourceError(
                    f"no topic is called like {self._name!r}", where=self._line.settings.where,
                    hint=f"There are {len(every)} topics: {', '.join(sorted(every)[:20])}.",
                )  # fmt: skip
        return [name_of(topic, number) for topic in sorted(found) for number in range(found[topic])]

    def starts(self, start: Start, on_lost: str) -> dict[str, int]:
        """Return the offsets of every partition for a start; see `kept` for `on_lost`."""
        partitions = self.partitions()
        if isinstance(start, Mapping):
            given = checked(start, partitions, self._where)
            rest = [partition for partition in partitions if partition not in given]
            return self.kept(given, on_lost) | self.begins(rest)
        if isinstance(start, datetime):
            return self.since(partitions, start)
        choice(start, "start", STARTS, self._where)
        return self.begins(partitions) if start == "earliest" else self.ends(partitions)

    def begins(self, partitions: Iterable[str]) -> dict[str, int]:
        """Return the offsets of the oldest messages that are kept."""
        return self._asked(dict.fromkeys(partitions, _BEGIN))

    def ends(self, partitions: Iterable[str]) -> dict[str, int]:
        """Return the offsets behind the newest messages that may be read: committed ones, under read_committed."""
        return self._asked(dict.fromkeys(partitions, _END))

    def since(self, partitions: Collection[str], moment: datetime) -> dict[str, int]:
        """Return the offsets of the first messages that are not older; the ends of partitions without one."""
        at = -(-nanoseconds(moment, self._where) // 1_000_000)  # Kafka has milliseconds
        found = self._asked(dict.fromkeys(partitions, max(at, 0)))
        ends = self.ends([partition for partition, offset in found.items() if offset < 0])
        return found | ends

    def kept(self, wanted: Mapping[str, int], on_lost: str) -> dict[str, int]:
        """Return the offsets to go on from. Raises SourceError for one whose message is no longer there.

        With `on_lost="earliest"`, such a partition goes on with its oldest message.
        """
        begins, ends = self.begins(wanted), self.ends(wanted)
        lost = {
            partition: offset for partition, offset in wanted.items()
            if not begins[partition] <= offset <= max(ends[partition], begins[partition])
        }  # fmt: skip
        if lost and on_lost != "earliest":
            partition, offset = next(iter(lost.items()))
            raise lost_error(partition, offset, (begins[partition], ends[partition]), self._where)
        return {**wanted, **{partition: begins[partition] for partition in lost}}

    def committed(self, partitions: Iterable[str]) -> dict[str, int]:
        """Return what the group has committed, of the partitions of which it has."""
        return self.noted(partitions)[0]

    def noted(self, partitions: Iterable[str]) -> tuple[dict[str, int], dict[str, str]]:
        """Return what the group has committed, and the notes with it, of the partitions of which it has."""
        asked = places(dict.fromkeys(partitions, 0))
        module = driver()
        try:
            found = self._consumer.committed(asked, timeout=self._line.settings.timeout)
        except module.KafkaException as error:
            raise translate(error, "the group's positions cannot be read", self._where) from error
        there = {name_of(one.topic, one.partition): one for one in self._well(found) if one.offset >= 0}
        return {name: one.offset for name, one in there.items()}, {n: one.metadata or "" for n, one in there.items()}

    def _asked(self, times: Mapping[str, int]) -> dict[str, int]:
        if not times:
            return {}
        module, deadline = driver(), time.monotonic() + self._line.settings.timeout
        while True:
            try:
                found = self._consumer.offsets_for_times(places(times), timeout=self._line.settings.timeout)
                return {name_of(one.topic, one.partition): one.offset for one in self._well(found)}
            except module.KafkaException as error:
                name = error.args[0].name()
                if name in {"_TIMED_OUT", "_TRANSPORT"}:
                    raise self._line.failure(self._line.settings.timeout) from error
                # A broker that has just started does not lead its partitions yet; the driver calls them unknown.
                if name != ANEW and (name not in GONE or not set(times) <= set(self.partitions())):
                    raise translate(error, "the offsets cannot be asked for", self._where) from error
                if time.monotonic() > deadline:
                    raise self._line.failure(self._line.settings.timeout) from error
            time.sleep(_PAUSE)

    def _well(self, found: list[TopicPartition]) -> list[TopicPartition]:
        for one in found:
            if one.error is not None:
                raise translate(one.error, f"partition {name_of(one.topic, one.partition)}", self._where)
        return found


def checked(positions: Positions, known: Collection[str], where: str) -> dict[str, int]:
    """Return positions as offsets. Raises SourceError for those of another source or of a partition that is gone."""
    found: dict[str, int] = {}
    for partition, offset in positions.items():
        if _NAME.fullmatch(partition) is None or not _is_offset(offset):
            raise not_of_this_source(positions, where)
        if partition not in known:
            raise SourceError(
                f"there is no partition {partition} (any more)", where=where,
                hint="The topic was removed or made anew, or these are positions of another source.",
            )  # fmt: skip
        found[partition] = int(offset)  # type: ignore[arg-type]  # a whole number, as was checked
    return found


def lost_error(partition: str, offset: int, kept: tuple[int, int], where: str) -> SourceError:
    """Return the error for messages that are gone. `kept`: the first offset that is there, and that behind the last."""
    first, behind = kept
    if offset >= first:
        return SourceError(
            f"position {offset} is beyond the end of partition {partition}, which is at {behind}: it is a wrong one, "
            "or the topic was made anew", where=where,
            hint=f'Seek a position up to {behind}, or "earliest" or "latest", or pass on_lost="earliest" to go on with '
            "the oldest message that there is.",
        )  # fmt: skip
    return SourceError(
        f"messages {offset} to {first - 1} of partition {partition} are no longer kept", where=where,
        hint='Load what is missing by a job and seek a later position, or pass on_lost="earliest" to go on with the '
        "oldest message that there is. A longer retention.ms avoids it.",
    )  # fmt: skip


def _is_offset(value: Any) -> bool:  # noqa: ANN401 - what somebody saved
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
