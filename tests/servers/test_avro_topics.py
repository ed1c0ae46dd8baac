"""Topics of Avro with a real registry, written and read by streams and jobs, and what is refused before a message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

import ematix_core as ematix
from ematix_core.backends import registry as backends
from ematix_core.backends.protocols import Query
from ematix_core.cli.root import flow
from ematix_core.codecs.registry import open_registry
from ematix_core.errors import ConfigError, DriftError, MissingSourceError, UnsupportedError
from tests.servers.registry import backward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ematix_core.codecs.registry import Registry
    from ematix_core.model.connection import Connection
    from tests.servers.kafka import KafkaCluster

LAKE = ematix.DuckDBConnection("lake", path="lake.duckdb")
SHAPED = "SELECT id, CAST(price AS DECIMAL(10, 2)) AS price, note, CAST(seen AS TIMESTAMPTZ) AS seen FROM source"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def events(kafka: KafkaCluster) -> ematix.Connection:
    return ematix.KafkaConnection("events", url=kafka.url)


@pytest.fixture
def opened(registry: ematix.SchemaRegistryConnection) -> Iterator[Registry]:
    found = open_registry(registry)
    yield found
    found.close()


@pytest.fixture
def clicks(kafka: KafkaCluster) -> str:
    topic = kafka.topic("clicks", partitions=2)
    kafka.produce(topic, [record(number) for number in range(200)])
    return topic


def record(number: int) -> tuple[str, str]:
    note = None if number % 3 else "é" * (number % 7)
    seen = f"2026-11-29T12:{number % 60:02}:00.000{number % 10}Z"
    return str(number), json.dumps({"id": number, "price": f"{number}.50", "note": note, "seen": seen})


def rows(connection: Connection, table: str) -> list[dict[str, Any]]:
    source = backends.source(connection)
    try:
        found = source.read(Query(table=table)).read_all().to_pylist()
    finally:
        source.close()
    return sorted(found, key=lambda row: row["id"])


def to_avro(
    events: Connection, clicks: str, topic: str, form: ematix.Format, sql: str = SHAPED, **options: Any  # noqa: ANN401 - those of a stream
) -> ematix.Stream:  # fmt: skip
    return ematix.stream(
        f"to_{topic}", source=events, source_query=clicks, target=events, target_table=topic, target_format=form,
        transform_sql=sql, batch_rows=50, **options,
    )  # fmt: skip


def test_rows_of_a_topic_of_json_come_through_one_of_avro_as_they_were(
    kafka: KafkaCluster, events: Connection, registry: Connection, clicks: str, opened: Registry
) -> None:
    topic = kafka.topic("avro", partitions=2)
    done = to_avro(events, clicks, topic, ematix.Format("avro", registry=registry)).consume(until_idle=True)
    assert done.targets[0].inserted == 200
    known = opened.latest(f"{topic}-value")
    assert [field["name"] for field in json.loads(known.text)["fields"]] == ["id", "price", "note", "seen"]
    assert (kafka.consume(topic, 1)[0].value() or b"")[:5] == b"\0" + int(known.id).to_bytes(4, "big")
    back = ematix.stream(
        "back", source=events, source_query=topic, target=LAKE, target_table="clicks", format="avro",
        registry=registry, transform_sql="SELECT id, price, note, seen FROM source",
    )  # fmt: skip
    direct = ematix.stream(
        "direct", source=events, source_query=clicks, target=LAKE, target_table="direct", transform_sql=SHAPED
    )
    assert back.consume(until_idle=True).targets[0].inserted == 200
    direct.consume(until_idle=True)
    assert rows(LAKE, "clicks") == rows(LAKE, "direct")


@pytest.mark.parametrize("on_error", ["fail", "dead_letter"])
def test_a_schema_that_the_rules_forbid_is_refused_before_a_message(
    kafka: KafkaCluster, registry: Connection, clicks: str, opened: Registry, on_error: str
) -> None:
    events = ematix.KafkaConnection("events", url=kafka.url)
    topic = kafka.topic("avro")
    other = {"type": "record", "name": "r", "fields": [{"name": "id", "type": "boolean"}]}
    opened.register(f"{topic}-value", json.dumps(other))
    backward(opened, f"{topic}-value")
    stream = to_avro(events, clicks, topic, ematix.Format("avro", registry=registry), on_error=on_error)
    with pytest.raises(DriftError, match=rf"refuses the schema(.|\n)*{topic}-value"):
        stream.plan()
    with pytest.raises(DriftError, match=rf"refuses the schema(.|\n)*{topic}-value"):
        stream.consume(until_idle=True)
    assert kafka.consume(topic, 500) == []


def test_a_schema_that_must_be_known_and_is_not_is_named(
    kafka: KafkaCluster, events: Connection, registry: Connection, clicks: str, opened: Registry
) -> None:
    topic = kafka.topic("avro")
    form = ematix.Format("avro", registry=registry, register=False, subject=f"{topic}-known")
    stream = to_avro(events, clicks, topic, form)
    with pytest.raises(MissingSourceError, match=f"{topic}-known"):
        stream.plan()
    with pytest.raises(MissingSourceError, match=f"{topic}-known"):
        stream.consume(until_idle=True)
    assert kafka.consume(topic, 500) == []
    once = ematix.Format("avro", registry=registry, subject=f"{topic}-known")
    to_avro(events, clicks, kafka.topic("once"), once).consume(once=True)
    # The schema's name is that of the topic it was made for, so the known one is given.
    text = opened.latest(f"{topic}-known").text
    known = ematix.Format("avro", registry=registry, register=False, subject=f"{topic}-known", writer=text)
    assert to_avro(events, clicks, topic, known).consume(until_idle=True).targets[0].inserted == 200


def test_a_plan_registers_nothing_and_asks_no_more_of_a_schema_that_is_known(
    kafka: KafkaCluster, events: Connection, registry: Connection, clicks: str, opened: Registry
) -> None:
    topic = kafka.topic("avro")
    stream = to_avro(events, clicks, topic, ematix.Format("avro", registry=registry))
    stream.plan()
    with pytest.raises(MissingSourceError):
        opened.latest(f"{topic}-value")
    stream.consume(once=True)
    newer = json.loads(opened.latest(f"{topic}-value").text)
    newer["fields"][0] = {"name": "id", "type": "boolean"}
    opened.register(f"{topic}-value", json.dumps(newer))
    backward(opened, f"{topic}-value")
    assert "first load" not in str(stream.plan())  # it is not compatible with the newest, and is there


def test_a_registry_that_does_not_answer_is_a_note_of_the_plan(
    kafka: KafkaCluster, events: Connection, clicks: str
) -> None:
    nowhere = ematix.SchemaRegistryConnection("nowhere", url="http://127.0.0.1:1")
    form = ematix.Format("avro", registry=nowhere)
    later = "whether the schema may be written is known at the first load: the schema registry does not answer"
    assert later in str(to_avro(events, clicks, kafka.topic("avro"), form).plan())

    @ematix.job(
        source_connection=ematix.MemoryConnection("memory"),
        targets=[ematix.target(kafka.topic("avro"), connection=events, format=form)],
    )
    def exported() -> str:
        return "SELECT 1 AS id"

    assert later in str(exported.plan())


def test_rows_that_are_not_those_of_the_given_schema_are_refused_when_planned(
    kafka: KafkaCluster, events: Connection, registry: Connection, clicks: str
) -> None:
    text = json.dumps({"type": "record", "name": "r", "fields": [{"name": "number", "type": "long"}]})
    form = ematix.Format("avro", registry=registry, writer=text)
    with pytest.raises(UnsupportedError, match="the Avro schema and the rows differ in id, note, number, price, seen"):
        to_avro(events, clicks, kafka.topic("avro"), form).plan()


@pytest.mark.parametrize("name", ["avro", "protobuf"])
def test_a_job_writes_messages_with_a_schema_and_a_table_has_none(
    kafka: KafkaCluster, events: Connection, registry: Connection, name: str
) -> None:
    topic = kafka.topic(name)
    form = ematix.Format(name, registry=registry)

    numbers = ematix.MemoryConnection("memory", tables={"numbers": pa.table({"id": range(30)})})

    @ematix.job(source_connection=numbers, targets=[ematix.target(topic, connection=events, format=form)])
    def exported() -> str:
        return "SELECT id, 'x' || id AS note FROM numbers"

    assert exported.run().targets[0].inserted == 30
    back = ematix.stream(
        "back", source=events, source_query=topic, target=LAKE, target_table="back", format=name, registry=registry,
        transform_sql="SELECT id, note FROM source",
    )  # fmt: skip
    back.consume(until_idle=True)
    assert rows(LAKE, "back") == [{"id": number, "note": f"x{number}"} for number in range(30)]

    @ematix.job(source_connection=numbers, targets=[ematix.target("copy", connection=LAKE, format=form)])
    def copied() -> str:
        return "SELECT 1 AS id"

    with pytest.raises(UnsupportedError, match="copy in connection lake of kind duckdb has rows, no messages"):
        copied.run()


def test_a_file_declares_topics_of_avro_too(
    kafka: KafkaCluster, registry: ematix.SchemaRegistryConnection, clicks: str
) -> None:
    topic = kafka.topic("avro")
    Path("streams.toml").write_text(
        f"""
[streams.write]
source = "events"
source_query = "{clicks}"
target = "events"
target_table = "{topic}"
target_format = {{ name = "avro", registry = "schemas", subject = "{topic}-of-file" }}
transform_sql = "SELECT id, note FROM source"

[streams.read]
source = "events"
source_query = "{topic}"
target = "lake"
target_table = "clicks"
format = "avro"
registry = "schemas"
transform_sql = "SELECT id, note FROM source"

[connections.events]
kind = "kafka"
url = "{kafka.url}"

[connections.schemas]
kind = "registry"
url = "{registry.url}"

[connections.lake]
kind = "duckdb"
path = "lake.duckdb"
""",
        encoding="utf-8",
    )
    for name in ("write", "read"):
        done = CliRunner().invoke(flow, ["consume", "streams.toml", name, "--until-idle"])
        assert done.exit_code == 0, done.output
    assert [row["id"] for row in rows(LAKE, "clicks")] == list(range(200))


def test_a_connection_has_no_format_with_a_schema(kafka: KafkaCluster) -> None:
    wrong = ematix.KafkaConnection("events", url=kafka.url, options={"format": "avro"})
    with pytest.raises(ConfigError, match=r"format='avro' cannot be that of a whole connection"):
        backends.target(wrong)
