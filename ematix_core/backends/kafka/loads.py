"""Which loads of a job a cluster has: noted beside an offset of a group, in the transaction of their messages."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ematix_core.backends.kafka.client import Line, consumer
from ematix_core.backends.kafka.messages import name_of
from ematix_core.backends.kafka.offsets import Cluster
from ematix_core.backends.protocols import LoadRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.backends.kafka.settings import KafkaSettings
    from ematix_core.backends.kafka.transactions import Transactions

_BYTES = 4096
"""So long may a note be: https://kafka.apache.org/documentation/#brokerconfigs_offset.metadata.max.bytes."""


class Loads:
    """The latest loads of one scope into one topic, as many as a note holds.

    The group has no members. Its offset, of the topic's first partition, counts the loads. A cluster forgets a group
    whose offset has not moved for `offsets.retention.minutes`, a week.
    """

    def __init__(self, settings: KafkaSettings, topic: str, scope: str, *, within: bool) -> None:
        """Ask the cluster. `within`: for a transaction: what others have left open is waited for."""
        line, self._scope = Line(settings), scope
        self._place = name_of(topic, 0)
        isolation = "read_committed" if within else "read_uncommitted"
        client = consumer(line, {"group.id": f"ematix.{scope}", "isolation.level": isolation})
        try:
            self._group = client.consumer_group_metadata()
            offsets, notes = Cluster(client, line, topic, f"topic {topic}").noted([self._place])
        finally:
            client.close()
        self._count = offsets.get(self._place, 0)
        self._known: list[list[Any]] = json.loads(notes.get(self._place) or "[]")

    def find(self, load_id: str) -> LoadRecord | None:
        """Return the load with this id."""
        for known, at, counts in self._known:
            if known == load_id:
                return LoadRecord(self._scope, known, datetime.fromisoformat(at), None, counts)
        return None

    def note(self, record: LoadRecord, transactions: Transactions) -> None:
        """Put one more load into the transaction."""
        told = {name: number for name, number in record.counts.items() if number}
        known = [*self._known, [record.load_id, record.loaded_at.isoformat(), told]]
        while len(text := _text(known)) > _BYTES:
            known = known[1:]
        transactions.send({self._place: self._count + 1}, self._group, text)


def _text(known: Sequence[list[Any]]) -> str:
    return json.dumps(known, separators=(",", ":"))
