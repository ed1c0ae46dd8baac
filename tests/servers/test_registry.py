"""The schema registry, through a real Apicurio: what it keeps, what it refuses, and what happens when it is gone."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
import pytest

from ematix_core import types
from ematix_core.codecs import Format, decoder, encoder
from ematix_core.codecs.registry import Registry, open_registry
from ematix_core.errors import (
    ConfigError,
    ConnectError,
    DriftError,
    MissingSourceError,
    UnsupportedError,
    is_transient,
)
from ematix_core.model.connection import SchemaRegistryConnection, SQLiteConnection
from ematix_core.model.table import Column
from tests.servers.registry import backward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.servers.server import Server

FIRST = json.dumps({"type": "record", "name": "orders", "fields": [{"name": "id", "type": "long"}]})
WIDER = json.dumps(
    {
        "type": "record",
        "name": "orders",
        "fields": [{"name": "id", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": None}],
    }
)
OTHER = json.dumps({"type": "record", "name": "orders", "fields": [{"name": "id", "type": "boolean"}]})


@pytest.fixture
def opened(registry: SchemaRegistryConnection) -> Iterator[Registry]:
    found = open_registry(registry)
    yield found
    found.close()


@pytest.fixture
def subject() -> str:
    return f"orders-{uuid4().hex[:8]}-value"


def test_a_schema_is_found_by_its_id_and_its_subject(opened: Registry, subject: str) -> None:
    number = opened.register(subject, FIRST)
    assert opened.register(subject, FIRST) == opened.found(subject, FIRST) == number
    assert json.loads(opened.schema(number).text) == json.loads(FIRST)
    assert opened.latest(subject).id == number
    newer = opened.register(subject, WIDER)
    assert opened.latest(subject).id == newer != number


def test_a_schema_that_the_rules_forbid_is_refused_by_name(opened: Registry, subject: str) -> None:
    opened.register(subject, FIRST)
    backward(opened, subject)
    assert opened.compatible(subject, WIDER)
    assert not opened.compatible(subject, OTHER)
    with pytest.raises(DriftError, match=rf"refuses the schema(.|\n)*{subject}"):
        opened.register(subject, OTHER)


def test_what_the_registry_does_not_have_is_named(opened: Registry, subject: str) -> None:
    with pytest.raises(MissingSourceError, match="schema 2000000000"):
        opened.schema(2_000_000_000)
    with pytest.raises(MissingSourceError, match=subject):
        opened.latest(subject)
    with pytest.raises(MissingSourceError, match=subject):
        opened.found(subject, FIRST)
    assert opened.compatible(subject, FIRST)


def test_a_registry_that_is_gone_is_an_error_that_may_pass(own_registry: Server) -> None:
    opened = open_registry(SchemaRegistryConnection("schemas", url=own_registry.url, options={"timeout": 2}))
    number = opened.register("s", FIRST)
    opened.schema(number)
    own_registry.kill()
    assert opened.schema(number).id == number  # it is known
    with pytest.raises(ConnectError, match=r"does not answer(.|\n)*connection schemas") as caught:
        opened.latest("s")
    assert is_transient(caught.value)


def test_settings_that_cannot_be_right_are_refused() -> None:
    with pytest.raises(ConfigError, match="not that of a web server"):
        open_registry(SchemaRegistryConnection("schemas", url="kafka://nowhere"))
    with pytest.raises(ConfigError, match="no schema registry"):
        open_registry(SQLiteConnection("file", path="x"))
    with pytest.raises(ConfigError, match="there is no file"):
        open_registry(SchemaRegistryConnection("schemas", url="https://nowhere", ca="/nowhere/ca.pem"))


def _orders(registry: SchemaRegistryConnection, *columns: Column, subject: str, register: bool = True) -> Format:
    return Format("avro", columns=columns, registry=registry, subject=subject, register=register)


ID, NOTE = Column("id", types.BigInt, nullable=False), Column("note", types.Text)


def test_avro_messages_of_two_schemas_are_read_into_one_set_of_columns(
    registry: SchemaRegistryConnection, opened: Registry, subject: str
) -> None:
    old, new = _orders(registry, ID, subject=subject), _orders(registry, ID, NOTE, subject=subject)
    first = encoder(old, [ID], topic="t", registry=opened).encode(pa.record_batch({"id": [1, 2]})).to_pylist()
    backward(opened, subject)
    rows = pa.RecordBatch.from_pylist([{"id": 3, "note": "x"}, {"id": 4, "note": None}])
    second = encoder(new, [ID, NOTE], topic="t", registry=opened).encode(rows).to_pylist()
    mixed = [first[0], second[0], first[1], b"\x01rubbish", b"\0\x7f\0\0\0\x02", second[1], b"", (first[1] or b"")[:-1]]
    found = decoder(new, topic="t", registry=opened).decode(pa.array(mixed))
    assert found.rows.to_pydict() == {"id": [1, 3, 2, 4], "note": [None, "x", None, None]}
    assert [one.row for one in found.bad] == [3, 4, 6, 7]
    assert "does not begin with a zero byte" in found.bad[0].error
    assert "schema 2130706432" in found.bad[1].error
    narrow = decoder(old, topic="t", registry=opened).decode(pa.array(mixed))
    assert narrow.rows.to_pydict() == {"id": [1, 3, 2, 4]}
    undeclared = decoder(Format("avro", registry=registry), topic="t", registry=opened).decode(pa.array(mixed))
    assert undeclared.rows.equals(found.rows.cast(undeclared.rows.schema))
    wrong = Column("id", types.Boolean)
    refused = encoder(_orders(registry, wrong, subject=subject), [wrong], topic="t", registry=opened)
    with pytest.raises(DriftError, match="refuses the schema"):
        refused.encode(pa.record_batch({"id": [True]}))


def test_a_schema_that_must_be_there_is_not_registered(
    registry: SchemaRegistryConnection, opened: Registry, subject: str
) -> None:
    format_ = _orders(registry, ID, subject=subject, register=False)
    with pytest.raises(MissingSourceError, match=subject):
        encoder(format_, [ID], topic="t", registry=opened).encode(pa.record_batch({"id": [1]}))


def test_a_batch_is_not_read_while_the_registry_is_gone(own_registry: Server) -> None:
    connection = SchemaRegistryConnection("schemas", url=own_registry.url, options={"timeout": 2})
    opened = open_registry(connection)
    format_ = _orders(connection, ID, subject="s")
    messages = encoder(format_, [ID], topic="t", registry=opened).encode(pa.record_batch({"id": [1]}))
    opened.close()
    own_registry.kill()
    with pytest.raises(ConnectError, match="does not answer"):
        decoder(format_, topic="t", registry=open_registry(connection)).decode(messages)


def test_the_ids_of_apicurios_wire_are_its_content_ids(own_registry: Server) -> None:
    connection = SchemaRegistryConnection("schemas", url=own_registry.url)
    opened = open_registry(connection)
    opened.register("of-another-subject", FIRST)  # from here on global and content ids differ
    opened.register("orders", FIRST)
    format_ = Format("avro", columns=[ID, NOTE], registry=connection, wire="apicurio")
    rows = pa.RecordBatch.from_pylist([{"id": 1, "note": "x"}])
    messages = encoder(format_, [ID, NOTE], topic="t", registry=opened).encode(rows)
    number = int.from_bytes((messages[0].as_py() or b"")[1:5], "big")
    place = own_registry.url.replace("/apis/ccompat/v7", f"/apis/registry/v3/ids/contentIds/{number}")
    with urllib.request.urlopen(place, timeout=10) as answer:  # noqa: S310 - http, on loopback
        assert [field["name"] for field in json.loads(answer.read())["fields"]] == ["id", "note"]
    assert decoder(format_, topic="t", registry=opened).decode(messages).rows.to_pydict() == rows.to_pydict()
    opened.close()


def test_the_8_byte_ids_of_apicurio_are_its_global_ids(own_registry: Server) -> None:
    connection = SchemaRegistryConnection("schemas", url=own_registry.url)
    opened = open_registry(connection)
    opened.register("of-another-subject", FIRST)
    opened.register("orders", FIRST)  # the same content, so from here on global and content ids differ
    format_ = Format("avro", columns=[ID, NOTE], registry=connection, subject="orders", wire="apicurio-global")
    rows = pa.RecordBatch.from_pylist([{"id": 1, "note": "x"}])
    messages = encoder(format_, [ID, NOTE], topic="t", registry=opened).encode(rows)
    number = int.from_bytes((messages[0].as_py() or b"")[1:9], "big")
    place = own_registry.url.replace("/apis/ccompat/v7", f"/apis/registry/v3/ids/globalIds/{number}")
    with urllib.request.urlopen(place, timeout=10) as answer:  # noqa: S310 - http, on loopback
        assert [field["name"] for field in json.loads(answer.read())["fields"]] == ["id", "note"]
    unknown = b"\0" + (2**40).to_bytes(8, "big") + b"\x02"
    found = decoder(format_, topic="t", registry=opened).decode(pa.array([messages[0].as_py(), unknown, b"\0\0\0\0\1"]))
    assert found.rows.to_pydict() == rows.to_pydict()
    assert [one.row for one in found.bad] == [1, 2]
    assert f"schema {2**40}" in found.bad[0].error
    opened.close()
    own_registry.kill()
    with pytest.raises(ConnectError, match="does not answer"):
        decoder(format_, topic="t", registry=opened).decode(pa.array([unknown]))


def test_a_wire_format_that_the_registry_does_not_serve_is_refused(
    registry: SchemaRegistryConnection, opened: Registry
) -> None:
    with pytest.raises(UnsupportedError, match="glue is not one of this registry"):
        decoder(Format("avro", registry=registry, wire="glue"), topic="t", registry=opened)
    elsewhere = open_registry(SchemaRegistryConnection("schemas", url="http://127.0.0.1:1"))
    form = Format("avro", registry=registry, wire="apicurio-global")
    with pytest.raises(ConfigError, match="where Apicurio's interfaces are"):
        decoder(form, topic="t", registry=elsewhere).decode(pa.array([b"\0" * 10]))
