"""Topics against the suite of streams."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ematix_core.backends.stream_protocols import StreamQuery
from ematix_core.model.connection import Connection, KafkaConnection
from ematix_core.testing import StreamConformance
from tests.servers.reach import url

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.testing import Reached

_RUN = uuid4().hex[:8]
_BEGIN = int(time.time()) - 3600


class TestKafka(StreamConformance):
    times: Any = {}  # noqa: RUF012 - how many parts of a topic have come

    @staticmethod
    def connection(_folder: Path) -> Connection:
        return KafkaConnection("events", url=url("kafka"))

    def query(self, name: str) -> StreamQuery:
        return StreamQuery(f"{_RUN}.{name}")

    def arrive(self, system: Reached, name: str, ids_: list[int]) -> datetime:
        servers, topic = {"bootstrap.servers": system.connection.settings()["url"][len("kafka://") :]}, f"{_RUN}.{name}"
        if topic not in self.times:
            admin = AdminClient(servers)  # a client that nobody holds ends at once, with its requests
            admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
        self.times[topic] = at = self.times.get(topic, _BEGIN) + 60
        producer = Producer({**servers, "linger.ms": 0})
        for number in ids_:
            producer.produce(topic, str(number).encode(), timestamp=at * 1000)
        assert producer.flush(30) == 0
        return datetime.fromtimestamp(at, UTC)
