"""Fixtures of tests on Kafka: the broker of `make servers`, and one of a test's own that may be killed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.servers.own import own_server
from tests.servers.reach import account, url
from tools.servers.broker import Broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import Message

    from tools.servers.server import Server

SECONDS = 30
Record = (
    tuple[str | bytes | None, str | bytes | None]
    | tuple[str | bytes | None, str | bytes | None, list[tuple[str, str | bytes | None]]]
)
"""Key, value, and headers if there are any."""


@dataclass(frozen=True)
class KafkaCluster:
    """A cluster by the URL of an administrator, `kafka://HOST:PORT`, and what tests do with it."""

    url: str

    @property
    def config(self) -> dict[str, str]:
        """The settings of a client of confluent-kafka."""
        return Broker.from_url(self.url).config

    @property
    def bootstrap(self) -> str:
        """`HOST:PORT`."""
        return Broker.from_url(self.url).bootstrap

    @property
    def admin(self) -> AdminClient:
        """A client for topics, groups, ACLs and settings."""
        return AdminClient({**self.config})

    def user(self, role: str) -> Broker:
        """Return another way in, on the broker of `make servers` only.

        `plain`, `scram256`, `scram512`: an administrator by SASL; the same with `_tls`. `tls`: without a certificate
        of the client's; `mutual`: with one. `unprivileged` may do what a test allows `User:ematix_unprivileged`.
        """
        return Broker.from_url(account("kafka", role))

    def topic(self, name: str = "", partitions: int = 1, **config: str) -> str:
        """Make a topic and return its name once it can be written to; `-` and a number are added to the name.

        `config` has `_` for `.`: `cleanup_policy="compact"`.
        """
        full = f"{name or 'test'}-{uuid4().hex[:8]}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        admin = self.admin
        admin.create_topics([NewTopic(full, partitions, 1, config=settings)])[full].result(SECONDS)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            known = admin.list_topics(full, timeout=SECONDS).topics[full]
            if len(known.partitions) == partitions and all(part.leader >= 0 for part in known.partitions.values()):
                return full
            time.sleep(0.02)
        message = f"topic {full} has no leader after {SECONDS} s"
        raise TimeoutError(message)

    def produce(
        self,
        topic: str,
        records: Sequence[Record],
        *,
        partition: int = -1,
        transaction: Literal["commit", "abort"] | None = None,
    ) -> None:
        """Write `(key, value)` or `(key, value, headers)` and wait until the broker has them all.

        `transaction`: None for none; else how it ends, `commit` or `abort`.
        """
        failures: list[object] = []
        # An idempotent producer takes half a second to begin. This one tries nothing again: what goes wrong is told.
        own = {"transactional.id": f"test-{uuid4().hex[:8]}"} if transaction else {"acks": "all", "retries": "0"}
        producer = Producer(self.config | own)
        if transaction:
            producer.init_transactions(SECONDS)
            producer.begin_transaction()
        for record in records:
            producer.produce(
                topic, key=record[0], value=record[1], partition=partition,
                headers=record[2] if len(record) > 2 else None,
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )  # fmt: skip
            producer.poll(0)
        left = producer.flush(SECONDS)
        assert not left, f"{left} records were not written to {topic} within {SECONDS} s"
        assert not failures, failures[:3]
        if transaction == "commit":
            producer.commit_transaction(SECONDS)
        elif transaction == "abort":
            producer.abort_transaction(SECONDS)

    def consume(self, topic: str, count: int, *, isolation: str = "read_committed") -> list[Message]:
        """Return the first `count` messages of a topic, fewer if it ends before; those of a partition are in order."""
        consumer = Consumer(
            self.config
            | {"group.id": f"test-{uuid4().hex[:8]}", "isolation.level": isolation, "enable.partition.eof": "true"}
            | {"enable.auto.commit": "false"}
        )
        try:
            partitions = consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            found: list[Message] = []
            ended: set[int] = set()
            while len(found) < count and len(ended) < len(partitions):
                message = consumer.poll(SECONDS)
                assert message is not None, f"{topic} gave nothing for {SECONDS} s after {len(found)} messages"
                if (error := message.error()) is None:
                    found.append(message)
                elif error.name() == "_PARTITION_EOF":
                    ended.add(message.partition() or 0)
                else:
                    raise KafkaException(error)
            return found
        finally:
            consumer.close()


@dataclass(frozen=True)
class OwnKafka(KafkaCluster):
    """A broker of the test's own: `server.kill()` is `kill -9`, `server.start()` brings it back with its data."""

    server: Server


@pytest.fixture(scope="session")
def kafka() -> KafkaCluster:
    """Return the cluster of `make servers`, or the one that EMATIX_TEST_KAFKA_URL names."""
    return KafkaCluster(url("kafka"))


@pytest.fixture
def own_kafka() -> Iterator[OwnKafka]:
    """Yield a broker on a folder and ports of its own; both are gone at the end."""
    with own_server("kafka") as server:
        yield OwnKafka(server.url, server)
