"""What topics do on a real broker: transactions, groups, what is not kept any more, and errors by name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pyarrow as pa
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.errors import (
    ConflictError,
    ConnectError,
    ConversionError,
    MissingSourceError,
    SourceError,
    UnsupportedError,
)
from ematix_core.model.connection import KafkaConnection
from ematix_core.model.table import TableName, columns_from
from tests.servers.reach import url

if TYPE_CHECKING:
    from ematix_core.backends.kafka.session import KafkaSession
    from ematix_core.backends.kafka.stream import KafkaStream
    from ematix_core.backends.kafka.writing import KafkaTarget

ROWS = pa.table({"id": [1, 2, 3], "name": ["one", None, ""]})


def connection(**options: Any) -> KafkaConnection:  # noqa: ANN401 - options are what a user writes
    return KafkaConnection("events", url=url("kafka"), options=options)


def servers() -> dict[str, Any]:
    return {"bootstrap.servers": url("kafka")[len("kafka://") :]}


@pytest.fixture
def topic() -> str:
    return made()


def made(partitions: int = 2, **settings: str) -> str:
    name = f"t{uuid4().hex[:12]}"
    config = {key.replace("_", "."): value for key, value in settings.items()}
    admin = AdminClient(servers())  # a client that nobody holds ends at once, with its requests
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result()
    return name


def source(name: str, **options: Any) -> KafkaStream:  # noqa: ANN401 - options are what a user writes
    return cast("KafkaStream", registry.stream_source(connection(), StreamQuery(name, options)))


def read(stream: KafkaStream) -> list[dict[str, Any]]:
    rows = []
    while (polled := stream.poll(PollLimits(seconds=0))) is not None:
        rows += polled.rows.to_pylist()
    return rows


def found(name: str, **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - options are what a user writes
    stream = source(name, **options)
    rows = read(stream)
    stream.close()
    return rows


def target(**options: Any) -> KafkaTarget:  # noqa: ANN401 - options are what a user writes
    return cast("KafkaTarget", registry.target(connection(**options)))


def load(session: KafkaSession, name: str, rows: pa.Table = ROWS) -> int:
    return session.load(TableName("", name), columns_from(rows.schema), rows.to_reader())


def test_rows_become_messages_with_keys(topic: str) -> None:
    with target(key_column="id").session() as session:
        assert load(session, topic) == 3
    rows = sorted(found(topic), key=lambda row: row["_key"])
    assert [row["_key"] for row in rows] == [b"1", b"2", b"3"]
    assert rows[0]["value"] == b'{"id":1,"name":"one"}'


def test_columns_of_the_message_go_where_they_came_from() -> None:
    topic, copied = made(retention_ms="-1"), made(retention_ms="-1")  # or the broker removes what is of 1970
    producer = Producer(servers())
    producer.produce(topic, b"7", b"k", partition=1, timestamp=1234, headers=[("h", b"1"), ("h", None)])
    producer.flush(30)
    (row,) = found(topic)
    rows = pa.Table.from_pylist([row], schema=source_schema(topic))
    with target(format="raw").session() as session:
        load(session, copied, rows)
    (again,) = found(copied)
    same = ("value", "_key", "_headers", "_event_ts", "_offset")
    assert {name: again[name] for name in same} == {name: row[name] for name in same}
    assert again["_partition"] == f"{copied}:1"
    assert row["_headers"] == [{"key": "h", "value": b"1"}, {"key": "h", "value": None}]


def source_schema(topic: str) -> pa.Schema:
    stream = source(topic)
    polled = stream.poll(PollLimits(seconds=30))
    stream.close()
    assert polled is not None
    return polled.rows.schema


def test_aborted_messages_are_never_seen_and_do_not_keep_a_drain_from_ending(topic: str) -> None:
    writer = target()
    with pytest.raises(ZeroDivisionError), writer.session() as session:  # noqa: PT012 - the load is what is undone
        load(session, topic)
        raise ZeroDivisionError
    stream = source(topic)
    assert read(stream) == []
    assert stream.positions() == stream.end()
    with writer.session() as session:
        load(session, topic)
    assert len(read(stream)) == 3
    assert stream.positions() == stream.end()
    stream.close()


def test_a_zombie_with_the_same_transactional_id_is_shut_out(topic: str) -> None:
    name = uuid4().hex
    zombie, heir = target(transactional_id=name), target(transactional_id=name)
    with pytest.raises(ConflictError, match="fenced"), zombie.session() as session:  # noqa: PT012 - the heir comes in between
        load(session, topic)
        with heir.session() as other:
            load(other, topic)
        load(session, topic)
    assert len(found(topic)) == 3


def test_a_message_that_is_refused_fails_the_transaction(topic: str) -> None:
    with pytest.raises(ConversionError, match="too large"), target().session() as session:
        load(session, topic, pa.table({"id": ["x" * 2_000_000, "y"]}))
    assert found(topic) == []


def test_tombstones_and_empty_payloads_are_told_apart(topic: str) -> None:
    producer = Producer(servers())
    producer.produce(topic, None, b"a", partition=0)
    producer.produce(topic, b"", b"b", partition=0)
    producer.flush(30)
    assert [row["value"] for row in found(topic)] == [None, b""]


def test_offsets_that_are_not_kept_are_an_error_unless_told_otherwise() -> None:
    name = made(1)
    with target().session() as session:
        load(session, name)
    admin = AdminClient(servers())
    for deleted in admin.delete_records([TopicPartition(name, 0, 2)]).values():
        deleted.result()
    stream = source(name)
    with pytest.raises(SourceError, match=r"messages 0 to 1 of partition .* are no longer kept"):
        stream.seek({f"{name}:0": 0})
    stream.close()
    stream = source(name, on_lost="earliest")
    stream.seek({f"{name}:0": 0})
    assert [row["_offset"] for row in read(stream)] == [2]
    stream.close()


def test_a_position_beyond_the_end_is_told_with_the_end() -> None:
    stream = source(made(1))
    (partition,) = stream.end()
    with pytest.raises(SourceError, match=rf"position 99 is beyond the end of partition {partition}, which is at 0"):
        stream.seek({partition: 99})
    stream.close()


def test_a_regular_expression_reads_several_topics() -> None:
    first, second = made(1), made(1)
    with target().session() as session:
        load(session, first)
        load(session, second)
    rows = found(f"^({first}|{second})$")
    assert {row["_topic"] for row in rows} == {first, second}
    assert len(rows) == 6


def test_topic_to_topic_is_exactly_once_by_the_positions_in_the_transaction(topic: str) -> None:
    out, group = made(), uuid4().hex
    with target().session() as session:
        load(session, topic)
    writer = target(format="raw")
    for attempt in range(2):
        stream = source(topic)
        stream.join(group, lambda _: {})
        try:
            polled, deadline = None, time.monotonic() + 20
            while polled is None and time.monotonic() < deadline:
                polled = stream.poll(PollLimits(seconds=30))
            assert polled is not None
            with writer.session() as session:
                assert session.can_send(stream)
                load(session, out, pa.Table.from_batches([polled.rows]))
                session.send_positions(stream, polled.positions)
                if attempt == 0:
                    raise ZeroDivisionError  # noqa: TRY301 - the failure half-way
        except ZeroDivisionError:
            pass
        finally:
            stream.close()
    assert sorted(row["value"] for row in found(out)) == sorted(row["value"] for row in found(topic))


def test_a_missing_topic_and_an_unreachable_broker_are_named(topic: str) -> None:
    with pytest.raises(MissingSourceError, match=f"there is no topic '{topic}x'"):
        source(f"{topic}x").poll(PollLimits())
    nowhere = KafkaConnection("nowhere", url="kafka://127.0.0.1:1", options={"timeout": 1})
    with pytest.raises(ConnectError, match="no broker answered for 1 s"):
        registry.stream_source(nowhere, StreamQuery(topic)).poll(PollLimits())


def test_a_job_that_goes_on_where_it_ended_is_refused_when_it_is_planned(topic: str) -> None:
    @ematix.job(
        source_connection=ematix.MemoryConnection("shop"), target=topic, target_connection=connection(), watermark="id"
    )
    def to_topic() -> str:
        return "SELECT 1 AS id"

    with pytest.raises(UnsupportedError, match=r"kafka does not remember how far a job has read(.|\n)*watermark="):
        to_topic.plan()
