"""Protobuf through a real registry and a real broker: what others write is read, and what is written others read."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import message_factory

import ematix_core as ematix
from ematix_core import types
from ematix_core.backends import registry as backends
from ematix_core.backends.protocols import Query
from ematix_core.codecs import Format, decoder, encoder
from ematix_core.codecs.protobuf_files import messages
from ematix_core.codecs.registry import Registry, open_registry
from ematix_core.codecs.wire import prefix
from ematix_core.errors import DriftError, MissingSourceError
from ematix_core.model.table import Column

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.model.connection import SchemaRegistryConnection
    from tests.servers.kafka import KafkaCluster
    from tools.servers.server import Server

FIRST = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
message Order { int64 id = 1; string customer = 2; google.protobuf.Timestamp placed = 3; }
message Note { string text = 1; message Page { int64 id = 1; } }
"""
SECOND = FIRST.replace(
    "placed = 3;", "placed = 3; optional double price = 4; State state = 5; enum State { OPEN = 0; PAID = 1; }"
)
AT = datetime(2024, 2, 29, 12, tzinfo=UTC)
ID, CUSTOMER = Column("id", types.BigInt, nullable=False), Column("customer", types.Text)


@pytest.fixture
def opened(registry: SchemaRegistryConnection) -> Iterator[Registry]:
    found = open_registry(registry)
    yield found
    found.close()


@pytest.fixture
def client(registry: SchemaRegistryConnection) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url}) as found:
        yield found


@pytest.fixture
def topic(kafka: KafkaCluster) -> str:
    return kafka.topic("orders")


def kind(text: str, name: str) -> Any:  # noqa: ANN401 - a class of messages
    found = next(one for one in messages(text, (), "here") if one.full_name == name)
    return message_factory.GetMessageClass(found)


def sent(client: SchemaRegistryClient, topic: str, message: Any) -> bytes:  # noqa: ANN401 - a message
    """Return what Confluent's serializer sends."""
    write = ProtobufSerializer(type(message), client, {"use.deprecated.format": False})
    written: bytes | None = write(message, SerializationContext(topic, MessageField.VALUE))
    assert written is not None
    return written


def rows(path: Path, table: str, by: str = "id") -> list[dict[str, Any]]:
    source = backends.source(ematix.DuckDBConnection("warehouse", path=str(path)))
    try:
        return sorted(source.read(Query(table=table)).read_all().to_pylist(), key=lambda row: row[by])
    finally:
        source.close()


def test_a_stream_reads_two_schemas_of_a_topic_and_keeps_aside_what_is_none(
    kafka: KafkaCluster, topic: str, registry: SchemaRegistryConnection, client: SchemaRegistryClient, tmp_path: Path
) -> None:
    old, new, note = (
        kind(text, name) for text, name in ((FIRST, "shop.Order"), (SECOND, "shop.Order"), (FIRST, "shop.Note"))
    )
    first = sent(client, topic, old(id=1, customer="Ada", placed=AT))
    good = [first, sent(client, topic, new(id=2, customer="Bob", price=2.5, state=1)), sent(client, topic, old(id=3))]
    bad = {
        b"\x01" + first[1:]: "does not begin with a zero byte",
        b"\0\x7f\0\0\0\0": "schema 2130706432: the schema registry does not have it",
        first[:-1]: "it is no message shop.Order",
        first[:5] + b"\x02\x0e" + first[6:]: "its schema has no message at (7,)",
        first[:5]: "it ends before it says which message",
        sent(client, topic, note(text="no order")): "it is a shop.Note, not a shop.Order",
    }
    kafka.produce(topic, [(str(at), one) for at, one in enumerate([*good[:2], *bad, good[2]])])
    path = tmp_path / "warehouse.duckdb"
    stream = ematix.stream(
        "orders", source=ematix.KafkaConnection("events", url=kafka.url), source_query=topic, format="protobuf",
        registry=registry, format_options={"message": "shop.Order"}, on_error="dead_letter",
        transform_sql="SELECT id, customer, placed, price, state FROM source",
        target=ematix.DuckDBConnection("warehouse", path=str(path)), target_table="orders",
    )  # fmt: skip
    assert stream.consume(until_idle=True).targets[0].dead == len(bad)
    assert rows(path, "orders") == [
        {"id": 1, "customer": "Ada", "placed": AT, "price": None, "state": None},
        {"id": 2, "customer": "Bob", "placed": None, "price": 2.5, "state": "PAID"},
        {"id": 3, "customer": "", "placed": None, "price": None, "state": None},
    ]
    letters = rows(path, "orders_dead_letters", by="record_offset")
    assert [one["record_value"] for one in letters] == [*bad]
    assert [said in one["error"] for said, one in zip(bad.values(), letters, strict=True)] == [True] * len(bad)


def test_what_is_written_is_read_by_confluents_deserializer(
    opened: Registry, registry: SchemaRegistryConnection, client: SchemaRegistryClient
) -> None:
    topic = f"orders-{uuid4().hex[:8]}"
    form = Format("protobuf", writer=FIRST, registry=registry)
    batch = pa.RecordBatch.from_pylist(
        [{"id": 1, "customer": "Ada", "placed": AT}, {"id": 2, "customer": "", "placed": None}]
    )
    columns = [ID, Column("customer", types.Text, nullable=False), Column("placed", types.TimestampTZ)]
    written = encoder(form, columns, topic=topic, registry=opened).encode(batch).to_pylist()
    read = ProtobufDeserializer(kind(FIRST, "shop.Order"), {"use.deprecated.format": False})
    found: Any = [read(one, SerializationContext(topic, MessageField.VALUE)) for one in written]
    assert [(one.id, one.customer, one.HasField("placed")) for one in found] == [(1, "Ada", True), (2, "", False)]
    assert client.get_latest_version(f"{topic}-value").schema.schema_type == "PROTOBUF"
    nested = Format("protobuf", writer=FIRST, registry=registry, message="shop.Note.Page")
    pages = encoder(nested, [ID], topic=topic, registry=opened).encode(pa.record_batch({"id": [7]})).to_pylist()
    page: Any = ProtobufDeserializer(kind(FIRST, "shop.Note.Page"), {"use.deprecated.format": False})(
        pages[0], SerializationContext(topic, MessageField.VALUE)
    )
    assert page.id == 7
    both = decoder(Format("protobuf", registry=registry), topic=topic, registry=opened).decode(
        pa.array([*written, pages[0]])
    )
    assert both.rows.column("id").to_pylist() == [1, 2, 7]


def test_a_schema_made_for_the_columns_is_registered_and_must_fit_what_is_there(
    opened: Registry, registry: SchemaRegistryConnection, client: SchemaRegistryClient
) -> None:
    topic = f"orders-{uuid4().hex[:8]}"
    form = Format("protobuf", registry=registry)
    batch = pa.RecordBatch.from_pylist([{"id": 1, "customer": "Ada"}])
    strict = Format("protobuf", registry=registry, register=False)
    with pytest.raises(MissingSourceError, match=f"{topic}-value"):
        encoder(strict, [ID, CUSTOMER], topic=topic, registry=opened).encode(batch)
    written = encoder(form, [ID, CUSTOMER], topic=topic, registry=opened).encode(batch)
    assert decoder(form, topic=topic, registry=opened).decode(written).rows.to_pylist() == batch.to_pylist()
    from confluent_kafka.schema_registry import ConfigCompatibilityLevel, ServerConfig

    client.set_config(f"{topic}-value", ServerConfig(compatibility=ConfigCompatibilityLevel.BACKWARD))
    with pytest.raises(DriftError, match="refuses the schema"):
        encoder(form, [Column("id", types.Text, nullable=False), CUSTOMER], topic=topic, registry=opened).encode(
            pa.record_batch({"id": ["1"], "customer": ["Ada"]})
        )


def test_schemas_that_import_others_are_read(
    opened: Registry, registry: SchemaRegistryConnection, client: SchemaRegistryClient
) -> None:
    name = uuid4().hex[:8]
    where = 'syntax = "proto3"; package geo; message Point { double x = 1; double y = 2; }'
    place = 'syntax = "proto3"; package geo; import "geo/point.proto"; message Place { string name = 1; Point at = 2; }'
    trip = 'syntax = "proto3"; import "geo/place.proto"; message Trip { int64 id = 1; geo.Place to = 2; }'
    client.register_schema(f"{name}-point", Schema(where, "PROTOBUF"))
    client.register_schema(
        f"{name}-place", Schema(place, "PROTOBUF", [SchemaReference("geo/point.proto", f"{name}-point", 1)])
    )
    number = client.register_schema(
        f"{name}-value", Schema(trip, "PROTOBUF", [SchemaReference("geo/place.proto", f"{name}-place", 1)])
    )
    body = b"\x08\x05\x12\x0e\x0a\x01A\x12\x09\x09\0\0\0\0\0\0\xf0\x3f"
    form = Format("protobuf", registry=registry)
    message = b"\0" + number.to_bytes(4, "big") + b"\0" + body
    expected = [{"id": 5, "to": {"name": "A", "at": {"x": 1.0, "y": 0.0}}}]
    assert decoder(form, topic=name, registry=opened).decode(pa.array([message])).rows.to_pylist() == expected
    apicurio = Format("protobuf", registry=registry, wire="apicurio-global")
    place = registry.url.replace(
        "/apis/ccompat/v7", f"/apis/registry/v3/groups/default/artifacts/{name}-value/versions/1"
    )
    with urllib.request.urlopen(place, timeout=10) as answer:  # noqa: S310 - http, on loopback
        number = json.loads(answer.read())["globalId"]
    message = b"\0" + number.to_bytes(8, "big") + b"\x06\x0a\x04Trip" + body
    assert decoder(apicurio, topic=name, registry=opened).decode(pa.array([message])).rows.to_pylist() == expected


def test_a_schema_of_another_kind_is_told(opened: Registry, registry: SchemaRegistryConnection) -> None:
    text = json.dumps({"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]})
    number = opened.register(f"r-{uuid4().hex[:8]}-value", text)
    found = decoder(Format("protobuf", registry=registry), topic="t", registry=opened).decode(
        pa.array([prefix(number, "confluent") + b"\0"], pa.binary())
    )
    assert found.bad[0].error == f"schema {number} is one of AVRO, not of Protobuf"


def test_the_wires_of_apicurio_carry_the_name_of_the_message(own_registry: Server) -> None:
    connection = ematix.SchemaRegistryConnection("schemas", url=own_registry.url)
    opened = open_registry(connection)
    opened.register("of-another-subject", FIRST, "PROTOBUF")
    batch = pa.record_batch({"text": ["x"]})
    columns = [Column("text", types.Text, nullable=False)]
    heads = {}
    for wire in ("apicurio", "apicurio-global"):
        text = FIRST.replace("message Page { int64 id = 1; }", "")
        form = Format("protobuf", writer=text, registry=connection, subject="orders", wire=wire, message="shop.Note")
        written = encoder(form, columns, topic="t", registry=opened).encode(batch)
        heads[wire] = (written[0].as_py() or b"")[:-3]
        assert decoder(form, topic="t", registry=opened).decode(written).rows.to_pylist() == batch.to_pylist()
    assert heads["apicurio"][5:] == heads["apicurio-global"][9:] == b"\x06\x0a\x04Note"
    opened.close()
