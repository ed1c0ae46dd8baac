"""What a stream does when its topic, or its group, changes while it is consumed."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.cimpl import NewPartitions

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import ConnectError, MissingSourceError
from ematix_core.streaming import consume_stream
from ematix_core.streaming.control import Control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ematix_core.model.stream import Stream
    from tests.servers.kafka import KafkaCluster

SECONDS = 30


@pytest.fixture
def warehouse(tmp_path: Path) -> ematix.Connection:
    return ematix.SQLiteConnection("warehouse", path=str(tmp_path / "warehouse.db"))


def stream_of(kafka: KafkaCluster, warehouse: ematix.Connection, topic: str, **options: Any) -> Stream:  # noqa: ANN401 - options are what a user writes
    return ematix.stream(
        topic, source=ematix.KafkaConnection("events", url=kafka.url), source_query=topic, mode="append",
        target=warehouse, target_table="clicks", batch_seconds=0.1, options=options,
    )  # fmt: skip


def ids(warehouse: ematix.Connection) -> list[int]:
    with closing(registry.source(warehouse)) as source:
        try:
            return sorted(row["id"] for row in source.read(Query(table="clicks")).read_all().to_pylist())
        except (ConnectError, MissingSourceError):  # neither file nor table yet
            return []


def wait_for(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.05)


@contextmanager
def consumed(stream: Stream) -> Iterator[list[BaseException]]:
    """Consume in a thread; yield the errors that it ended with."""
    control, errors = Control(), []

    def consume() -> None:
        try:
            consume_stream(stream, control=control)
        except BaseException as error:  # noqa: BLE001 - for the test to look at
            errors.append(error)

    thread = threading.Thread(target=consume)
    thread.start()
    try:
        yield errors
    finally:
        control.stop()
        thread.join(SECONDS)
    assert not thread.is_alive()


def produce(kafka: KafkaCluster, topic: str, *numbers: int, partition: int = 0) -> None:
    kafka.produce(topic, [(None, f'{{"id": {number}}}') for number in numbers], partition=partition)


def test_partitions_that_are_added_are_read_from_their_beginning(
    kafka: KafkaCluster, warehouse: ematix.Connection
) -> None:
    topic = kafka.topic("growing")
    produce(kafka, topic, 1)
    with consumed(stream_of(kafka, warehouse, topic, refresh="1 second")) as errors:
        wait_for(lambda: ids(warehouse) == [1], "the first record is loaded")
        admin = kafka.admin  # a client that nobody holds ends at once, with its requests
        admin.create_partitions([NewPartitions(topic, 3)])[topic].result(SECONDS)
        produce(kafka, topic, 2, partition=1)
        produce(kafka, topic, 3, partition=2)
        wait_for(lambda: ids(warehouse) == [1, 2, 3], "records of the new partitions are loaded")
    assert errors == []


def test_a_topic_that_is_removed_ends_its_stream_by_name(kafka: KafkaCluster, warehouse: ematix.Connection) -> None:
    topic = kafka.topic("leaving")
    produce(kafka, topic, 1)
    with consumed(stream_of(kafka, warehouse, topic, refresh="1 second")) as errors:
        wait_for(lambda: ids(warehouse) == [1], "the record is loaded")
        admin = kafka.admin
        admin.delete_topics([topic])[topic].result(SECONDS)
        wait_for(lambda: bool(errors), "the stream has ended")
    assert isinstance(errors[0], MissingSourceError)
    assert topic in str(errors[0])


def test_a_member_with_an_instance_comes_back_to_its_partitions_without_a_rebalance(
    kafka: KafkaCluster, warehouse: ematix.Connection
) -> None:
    topic = kafka.topic("static", partitions=2)
    stream = stream_of(kafka, warehouse, topic, instance="first", session_timeout="30 seconds")
    produce(kafka, topic, 1)
    admin = kafka.admin

    def member() -> tuple[str | None, int]:
        (found,) = admin.describe_consumer_groups([topic])[topic].result(SECONDS).members
        return found.group_instance_id, len(found.assignment.topic_partitions)

    with consumed(stream) as errors:
        wait_for(lambda: ids(warehouse) == [1], "the record is loaded")
        assert member() == ("first", 2)
    produce(kafka, topic, 2)
    assert member() == ("first", 2)  # it has gone, and its partitions are kept for it
    with consumed(stream) as errors:
        wait_for(lambda: ids(warehouse) == [1, 2], "the next record is loaded")
        assert member() == ("first", 2)
    assert errors == []
