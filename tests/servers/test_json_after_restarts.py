"""JSON messages without a declared schema go with the table that earlier ones made, after a restart too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.streaming.dead_letters import list_letters
from ematix_core.streaming.replay import replay_letters

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from tests.servers.kafka import KafkaCluster

MESSAGES = (
    '{"id": 1, "price": 2.5, "code": "abc"}',
    '{"id": 2, "price": 3, "code": "2024-01-02"}',
    '{"id": 3, "price": null, "code": null}',
    '{"id": 4, "price": 4, "code": 7}',
)


@pytest.fixture
def lake(tmp_path: Path) -> Connection:
    return ematix.DuckDBConnection("lake", path=str(tmp_path / "lake.duckdb"))


@pytest.fixture
def events(kafka: KafkaCluster) -> Connection:
    return ematix.KafkaConnection("events", url=kafka.url)


def rows(lake: Connection) -> list[tuple[Any, ...]]:
    source = registry.source(lake)
    try:
        found = source.read(Query(sql="SELECT id, price, code FROM orders ORDER BY id")).read_all().to_pylist()
    finally:
        source.close()
    return [tuple(row.values()) for row in found]


@pytest.mark.parametrize("sql", ["", "SELECT id, price, code FROM source"])
def test_each_micro_batch_goes_with_the_table(
    kafka: KafkaCluster, events: Connection, lake: Connection, sql: str
) -> None:
    topic = kafka.topic("orders")
    stream = ematix.stream(
        topic, source=events, source_query=topic, target=lake, target_table="orders", transform_sql=sql,
        on_error="dead_letter",
    )  # fmt: skip
    for message in MESSAGES:  # each by a consumer that has seen none before
        kafka.produce(topic, [(None, message)])
        assert stream.consume(until_idle=True).targets[0].inserted == 1
    assert rows(lake) == [(1, 2.5, "abc"), (2, 3.0, "2024-01-02"), (3, None, None), (4, 4.0, "7")]


def test_a_letter_that_is_replayed_goes_with_the_table(
    kafka: KafkaCluster, events: Connection, lake: Connection
) -> None:
    topic = kafka.topic("orders")
    stream = ematix.stream(
        topic, source=events, source_query=topic, target=lake, target_table="orders",
        transform_sql="SELECT CAST(id AS BIGINT) AS id, price, code FROM source", on_error="dead_letter",
    )  # fmt: skip
    kafka.produce(topic, [(None, MESSAGES[0]), (None, '{"id": "x", "price": 3, "code": "b"}')])
    done = stream.consume(until_idle=True).targets[0]
    assert (done.inserted, done.dead) == (1, 1)
    (letter,) = list_letters(stream).letters
    again = replay_letters(stream, letter_ids=[letter["letter_id"]], value=b'{"id": 5, "price": 3, "code": "b"}')
    assert again.loaded == 1
    assert rows(lake) == [(1, 2.5, "abc"), (5, 3.0, "b")]
