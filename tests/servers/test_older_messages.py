"""Messages with an older schema than the table: what they lack is NULL, after a restart too."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from fastavro import parse_schema, schemaless_writer

import ematix_core as ematix
from ematix_core.backends import registry as backends
from ematix_core.backends.protocols import Query
from ematix_core.codecs.registry import open_registry
from ematix_core.errors import DeclarationError, DriftError
from tests.servers.test_registry_protobuf import client, kind, sent  # noqa: F401 - a fixture, and what makes messages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from confluent_kafka.schema_registry import SchemaRegistryClient

    from ematix_core.model.connection import Connection
    from tests.servers.kafka import KafkaCluster

    Send = Callable[..., None]

FIELDS = [{"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"]}]
AMOUNT = {"name": "amount", "type": ["null", "double"]}
PROTO = 'syntax = "proto3"; message Order { int64 id = 1; string name = 2; %s }'
OLD, NEW = PROTO % "", PROTO % "optional double amount = 3;"


@pytest.fixture
def lake(tmp_path: Path) -> Connection:
    return ematix.DuckDBConnection("lake", path=str(tmp_path / "lake.duckdb"))


@pytest.fixture
def topic(kafka: KafkaCluster) -> str:
    return kafka.topic("rolling")


@pytest.fixture(params=["avro", "protobuf", "json"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def known(form: str, registry: Connection) -> dict[str, Any]:
    """Return what a stream says of its messages."""
    return {"format": form} if form == "json" else {"format": form, "registry": registry}


@pytest.fixture
def send(
    kafka: KafkaCluster, topic: str, form: str, registry: Connection, client: SchemaRegistryClient  # noqa: F811 - the fixture
) -> Send:  # fmt: skip
    """Return what sends a message of an order, with the older schema where there is no amount."""

    def avro(row: dict[str, Any]) -> bytes:
        schema = {"type": "record", "name": "Order", "fields": [*FIELDS, *([AMOUNT] if "amount" in row else [])]}
        asked = open_registry(registry)
        number = int(asked.register(f"{topic}-value", json.dumps(schema)))
        asked.close()
        body = io.BytesIO()
        schemaless_writer(body, parse_schema(schema), row)
        return b"\0" + number.to_bytes(4, "big") + body.getvalue()

    def encoded(row: dict[str, Any]) -> bytes | str:
        if form == "avro":
            return avro(row)
        if form == "protobuf":
            return sent(client, topic, kind(NEW if "amount" in row else OLD, "Order")(**row))
        return json.dumps(row)

    return lambda **row: kafka.produce(topic, [(None, encoded(row))])


def stream_of(kafka: KafkaCluster, topic: str, lake: Connection, **options: Any) -> ematix.Stream:  # noqa: ANN401 - those of a stream
    return ematix.stream(
        "orders", source=ematix.KafkaConnection("events", url=kafka.url), source_query=topic, target=lake,
        **{"target_table": "orders", **options},
    )  # fmt: skip


def rows(lake: Connection) -> list[tuple[Any, ...]]:
    source = backends.source(lake)
    try:
        found = source.read(Query(sql="SELECT id, amount FROM orders ORDER BY id")).read_all().to_pylist()
    finally:
        source.close()
    return [tuple(row.values()) for row in found]


@pytest.mark.parametrize("sql", ["", "SELECT * EXCLUDE (_headers, _key) FROM source"])
def test_older_messages_are_loaded_after_a_restart(
    kafka: KafkaCluster, topic: str, lake: Connection, known: dict[str, Any], send: Send, *, sql: str
) -> None:
    stream = stream_of(kafka, topic, lake, transform_sql=sql, on_drift="evolve", **known)
    send(id=1, name="a", amount=1.5)
    stream.consume(until_idle=True)
    send(id=2, name="b")
    assert stream.consume(until_idle=True).targets[0].inserted == 1
    send(id=3, name="c", amount=2.5)
    stream.consume(until_idle=True)
    assert rows(lake) == [(1, 1.5), (2, None), (3, 2.5)]


@pytest.mark.parametrize("form", ["json"])
def test_history_is_kept_of_older_messages_too(kafka: KafkaCluster, topic: str, lake: Connection, send: Send) -> None:
    stream = stream_of(kafka, topic, lake, mode=ematix.scd2(keys=["id"]))
    send(id=1, name="a", amount=1.5)
    stream.consume(until_idle=True)
    send(id=1, name="a")
    stream.consume(until_idle=True)
    assert sorted(rows(lake), key=str) == [(1, 1.5), (1, None)]


@pytest.mark.parametrize("form", ["json"])
def test_a_column_that_sql_leaves_out_or_that_takes_no_null_or_is_a_key_is_missing(
    kafka: KafkaCluster, topic: str, lake: Connection, send: Send
) -> None:
    @ematix.table(name="orders")
    class Orders:
        id: ematix.types.BigInt
        name: ematix.types.Text
        amount: ematix.types.Double

    send(id=1, name="a", amount=1.5)
    stream_of(kafka, topic, lake, schema=Orders, target_table=Orders).consume(until_idle=True)
    send(id=2, name="b")
    with pytest.raises(DriftError, match="the rows lack: amount"):
        stream_of(kafka, topic, lake, transform_sql="SELECT id, name FROM source").consume(until_idle=True)
    with pytest.raises(DeclarationError, match="'code' is no column of the rows"):
        stream_of(kafka, topic, lake, mode=ematix.merge(keys=["code"])).consume(until_idle=True)
