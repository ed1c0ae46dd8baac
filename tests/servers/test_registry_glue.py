"""Schemas in AWS Glue, through moto's server: it has no rules of compatibility, and knows no users."""

from __future__ import annotations

import json
import logging
import urllib.request
from typing import TYPE_CHECKING

import boto3
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

import ematix_core as ematix
from ematix_core import types
from ematix_core.codecs import Format, decoder, encoder
from ematix_core.codecs.registry import Registry, open_registry
from ematix_core.engine import check_connection
from ematix_core.errors import (
    AccessError,
    ConfigError,
    ConnectError,
    DriftError,
    MissingSourceError,
    UnsupportedError,
)
from ematix_core.model.table import Column

if TYPE_CHECKING:
    from collections.abc import Iterator

GLUE = ematix.GlueSchemaRegistryConnection("schemas", registry="shop", region="eu-central-1", options={"timeout": 2})
ID, NOTE = Column("id", types.BigInt, nullable=False), Column("note", types.Text)
AVRO = json.dumps({"type": "record", "name": "orders", "fields": [{"name": "id", "type": "long"}]})
UNKNOWN = "0ca60b3b-9cd8-4ecb-9ad1-2b0c8b6d3a5e"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedMotoServer]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    found = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    found.start()
    host, port = found.get_host_and_port()
    for name, value in (("ENDPOINT_URL", f"http://{host}:{port}"), ("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset, timeout=10).close()  # noqa: S310 - as above; its state outlives a server
    client = boto3.client("glue", region_name="eu-central-1")
    client.create_registry(RegistryName="shop")
    client.close()
    yield found
    found.stop()


@pytest.fixture
def opened(server: ThreadedMotoServer) -> Iterator[Registry]:  # noqa: ARG001 - it runs
    found = open_registry(GLUE)
    yield found
    found.close()


def test_a_schema_is_found_by_its_uuid_and_its_name(opened: Registry) -> None:
    number = opened.register("orders", AVRO)
    assert opened.register("orders", AVRO) == opened.found("orders", AVRO) == opened.latest("orders").id == number
    assert open_registry(GLUE).register("orders", AVRO) == number
    assert (opened.schema(number).text, opened.schema(number).kind) == (AVRO, "AVRO")
    other = opened.register("orders", AVRO.replace("long", "string"))
    assert opened.latest("orders").id == other != number


def test_what_glue_does_not_have_or_take_is_named(opened: Registry) -> None:
    with pytest.raises(MissingSourceError, match=rf"does not have it(.|\n)*schema {UNKNOWN}, connection schemas"):
        opened.schema(UNKNOWN)
    with pytest.raises(MissingSourceError, match="subject orders"):
        opened.found("orders", AVRO)
    with pytest.raises(DriftError, match="refuses the schema"):
        opened.register("orders", "{rubbish")


@pytest.mark.parametrize("name", ["avro", "protobuf"])
def test_messages_are_written_and_read_with_glues_head(opened: Registry, name: str) -> None:
    form = Format(name, registry=GLUE, wire="glue", subject="orders")
    rows = pa.RecordBatch.from_pylist([{"id": 1, "note": "x"}, {"id": 2, "note": None}])
    written = encoder(form, [ID, NOTE], topic="t", registry=opened).encode(rows).to_pylist()
    assert all((one or b"")[:2] == b"\x03\0" for one in written)
    unknown = b"\x03\0" + bytes(16) + b"\0"
    found = decoder(form, topic="t", registry=opened).decode(pa.array([written[0], b"\0" * 30, unknown, written[1]]))
    assert found.rows.to_pylist() == rows.to_pylist()
    assert [one.row for one in found.bad] == [1, 2]
    assert "schema 00000000-0000-0000-0000-000000000000" in found.bad[1].error


def test_a_wire_format_that_is_not_glues_is_refused(opened: Registry) -> None:
    with pytest.raises(UnsupportedError, match=r"confluent is not one of this registry(.|\n)*Use glue"):
        decoder(Format("avro", registry=GLUE), topic="t", registry=opened)


def test_a_registry_that_cannot_be_asked_is_told(
    opened: Registry, server: ThreadedMotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    with pytest.raises(ConnectError, match=r"does not answer(.|\n)*connection schemas, registry shop"):
        opened.latest("orders")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(AccessError, match="no credentials"):
        open_registry(GLUE).latest("orders")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(ConfigError, match="Set region"):
        open_registry(ematix.GlueSchemaRegistryConnection("schemas"))


def test_the_registry_can_be_checked_and_one_that_is_not_there_is_named(server: ThreadedMotoServer) -> None:
    del server
    assert check_connection(GLUE) == "Glue, registry shop"
    gone = ematix.GlueSchemaRegistryConnection("schemas", registry="attic", region="eu-central-1")
    with pytest.raises(MissingSourceError, match="attic"):
        check_connection(gone)
