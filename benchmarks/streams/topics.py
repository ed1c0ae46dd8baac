"""Topics of records of about 170 bytes, JSON if nothing else is said, and what is counted in them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.servers import URLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

_BLOCK = 10_000
_WAITING = 100_000
_SECONDS = 60
KEPT = "quantity > 4"
"""The filter of all contenders: half of the records pass."""


def url(server: str) -> str:
    """Return the administrator's URL of a server that `make servers` started."""
    return str(json.loads(URLS.read_text(encoding="utf-8"))[server])


def bootstrap() -> str:
    """Return `HOST:PORT` of the broker."""
    return urlsplit(url("kafka")).netloc


def record(number: int) -> bytes:
    """Return one record; its fields depend on the number alone."""
    minute, second = number // 60 % 60, number % 60
    return (
        f'{{"id":{number},"seen":"2026-11-29T12:{minute:02}:{second:02}Z","who":"user-{number % 9973:06}",'
        f'"quantity":{number % 10},"price":{number % 7919 / 100},"page":"/products/{number % 997:04}/details",'
        f'"country":"DE","session":"{number * 2654435761 % 2**64:020}"}}'
    ).encode()


def made(partitions: int = 1) -> str:
    """Make a topic and return its name."""
    name = f"bench-{uuid4().hex[:10]}"
    admin = AdminClient({"bootstrap.servers": bootstrap()})
    admin.create_topics([NewTopic(name, partitions, 1, config={"message.timestamp.type": "LogAppendTime"})])[
        name
    ].result(_SECONDS)
    while len(admin.list_topics(name, timeout=_SECONDS).topics[name].partitions) < partitions:
        time.sleep(0.05)
    return name


def dropped(names: list[str]) -> None:
    """Remove topics."""
    admin = AdminClient({"bootstrap.servers": bootstrap()})
    for future in admin.delete_topics(names).values():
        future.result(_SECONDS)


def filled(partitions: int, records: int, of: Callable[[int], bytes] = record) -> str:
    """Make a topic with so many records, the same number in each partition, and return its name."""
    name = made(partitions)
    producer = Producer({
        "bootstrap.servers": bootstrap(), "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 20,
        "batch.size": 1_000_000, "queue.buffering.max.messages": 200_000,
    })  # fmt: skip
    for first in range(0, records, _BLOCK):
        block = [{"value": of(number)} for number in range(first, min(first + _BLOCK, records))]
        producer.produce_batch(name, block, partition=first // _BLOCK % partitions)
        while len(producer) > _WAITING:
            producer.poll(0.1)
    if producer.flush(_SECONDS):
        message = f"topic {name} was not filled within {_SECONDS} s"
        raise TimeoutError(message)
    return name


def messages(name: str, quiet: float) -> Iterator[tuple[float, list[Message]]]:
    """Yield what becomes readable under read_committed, with the time (Unix seconds) at which it did.

    Ends when nothing has come for `quiet` seconds.
    """
    consumer = Consumer({
        "bootstrap.servers": bootstrap(), "group.id": name, "enable.auto.commit": False, "fetch.wait.max.ms": 5,
        "auto.offset.reset": "earliest",
    })  # fmt: skip
    parts = consumer.list_topics(name, timeout=_SECONDS).topics[name].partitions
    consumer.assign([TopicPartition(name, part, 0) for part in parts])
    last = time.monotonic()
    try:
        while time.monotonic() - last < quiet:
            found = [one for one in consumer.consume(5000, 0.005) if one.error() is None]
            if found:
                last = time.monotonic()
            yield time.time(), found
    finally:
        consumer.close()


@dataclass(frozen=True)
class Written:
    """How many committed messages a topic has, and when the broker took the first and the last, in Unix seconds."""

    messages: int
    first: float
    last: float


def written(name: str) -> Written:
    """Read a topic to its end."""
    times: list[float] = []
    for _, found in messages(name, quiet=2):
        times += [one.timestamp()[1] / 1000 for one in found]
    return Written(len(times), min(times, default=0.0), max(times, default=0.0))


def end(name: str) -> int:
    """Return the sum of the offsets at which the partitions end; messages of open transactions count."""
    consumer = Consumer({"bootstrap.servers": bootstrap(), "group.id": name})
    try:
        parts = consumer.list_topics(name, timeout=_SECONDS).topics[name].partitions
        return sum(consumer.get_watermark_offsets(TopicPartition(name, part), timeout=_SECONDS)[1] for part in parts)
    finally:
        consumer.close()
