"""Streams over a real broker: into tables and topics, with records that do not fit, rewound, and shared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.engine.environment import now
from ematix_core.errors import BadRowError, ConflictError, ConnectError, ConversionError, MissingSourceError
from ematix_core.model.connection import make_connection
from ematix_core.streaming.dead_letters import list_letters
from ematix_core.streaming.positions import Noted, PositionBookkeeping
from ematix_core.streaming.replay import replay_letters
from ematix_core.types import BigInt, Numeric, Text  # noqa: TC001 - declarations evaluate their annotations
from tests.servers.reach import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from tests.servers.kafka import KafkaCluster

KINDS = ("sqlite", "duckdb", "delta", "objects", "postgres", "mysql")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def clicks(kafka: KafkaCluster) -> str:
    return kafka.topic("clicks", partitions=2)


@pytest.fixture
def events(kafka: KafkaCluster) -> ematix.Connection:
    return ematix.KafkaConnection("events", url=kafka.url)


@pytest.fixture
def warehouse() -> ematix.Connection:
    return ematix.SQLiteConnection("warehouse", path="warehouse.db")


@pytest.fixture(params=KINDS)
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ematix.Connection]:
    kind = str(request.param)
    if kind in {"postgres", "mysql"}:
        with database(kind) as url:
            yield make_connection("anywhere", kind, {"url": url})
    else:
        settings = {"format": "parquet"} if kind == "objects" else {}
        yield make_connection("anywhere", kind, {"path": str(tmp_path / f"anywhere.{kind}"), **settings})


def record(number: int, **fields: object) -> tuple[str, str]:
    return (str(number), json.dumps({"id": number, "price": f"{number}.50", **fields}))


def rows(connection: Connection, table: str) -> list[dict[str, Any]]:
    source = registry.source(connection)
    try:
        found = source.read(Query(table=table)).read_all().to_pylist()
    finally:
        source.close()
    return sorted(found, key=lambda row: row["id"])


def ids(connection: Connection, table: str = "clicks") -> list[int]:
    return [row["id"] for row in rows(connection, table)]


def into(target: Connection, source: Connection, topic: str, **options: Any) -> ematix.Stream:  # noqa: ANN401 - those of a stream
    given = {
        "transform_sql": "SELECT id, CAST(price AS DECIMAL(10, 2)) AS price FROM source",
        "on_error": "dead_letter",
    }
    return ematix.stream(
        "clicks", source=source, source_query=topic, target=target, target_table="clicks", **{**given, **options}
    )


def test_each_record_is_loaded_once_into_every_kind_of_target(
    kafka: KafkaCluster, clicks: str, events: Connection, anywhere: Connection
) -> None:
    kafka.produce(clicks, [record(number) for number in range(50)])
    stream = into(anywhere, events, clicks, batch_rows=20)
    first = stream.consume(until_idle=True)
    kafka.produce(clicks, [record(number) for number in range(50, 60)])
    second = stream.consume(until_idle=True)
    assert (first.targets[0].inserted, second.targets[0].inserted) == (50, 10)
    assert ids(anywhere, "clicks") == list(range(60))
    assert stream.consume(until_idle=True).targets[0].batches == 0


def test_poison_among_ten_thousand_is_kept_aside_with_its_bytes_and_the_rest_arrives(
    kafka: KafkaCluster, clicks: str, events: Connection, anywhere: Connection
) -> None:
    records = [record(number) for number in range(10_000)]
    records[5_000] = ("x", '{"id": 5000, "price": "much"}')
    records[7_000] = ("y", "{broken")
    kafka.produce(clicks, records)
    stream = into(anywhere, events, clicks)
    assert stream.consume(until_idle=True).targets[0].dead == 2
    assert ids(anywhere) == [number for number in range(10_000) if number not in {5_000, 7_000}]
    letters = list_letters(stream).letters
    assert sorted(one["error"].split(":")[0][:24] for one in letters) == ["Could not convert string", "malformed JSON"]


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "postgres", "mysql", "delta"])
def test_dead_letters_are_loaded_once_they_can_be(
    kafka: KafkaCluster, clicks: str, events: Connection, tmp_path: Path, kind: str
) -> None:
    def check(target: Connection) -> None:
        kafka.produce(clicks, [record(1), ("x", '{"id": 2, "price": "much"}'), ("y", "{broken")], partition=0)
        stream = into(target, events, clicks)
        stream.consume(until_idle=True)
        broken, much = (f"clicks/{clicks}:0/{offset}" for offset in (2, 1))
        failed = replay_letters(stream).failed
        assert sorted(failed) == [much, broken]
        assert replay_letters(stream, letter_ids=[much], value=b'{"id": 2, "price": "2.5"}').loaded == 1
        assert ids(target) == [1, 2]
        assert replay_letters(stream, letter_ids=[much], value=b'{"id": 2, "price": "2.5"}').loaded == 0
        again = list_letters(stream).letters
        assert [(one["letter_id"], one["attempt"], one["state"]) for one in again] == [(broken, 2, "new")]
        assert ids(target) == [1, 2]

    if kind in {"postgres", "mysql"}:
        with database(kind) as url:
            check(make_connection("w", kind, {"url": url}))
    else:
        check(make_connection("w", kind, {"path": str(tmp_path / f"w.{kind}")}))


def test_a_topic_gets_what_is_read_of_a_topic_exactly_once(
    kafka: KafkaCluster, clicks: str, events: Connection
) -> None:
    out, dead = kafka.topic("out"), kafka.topic("dead")
    kafka.produce(clicks, [*(record(number) for number in range(100)), ("x", "{broken", [("trace", "7")])])
    stream = ematix.stream(
        "copied", source=events, source_query=clicks, target=events, target_table=out, on_error="dead_letter",
        dead_letter=dead, transform_sql="SELECT _key, id FROM source WHERE id >= 10", batch_rows=30,
    )  # fmt: skip
    assert "exactly once" in str(stream.plan())
    assert stream.consume(until_idle=True).targets[0].inserted == 90
    assert stream.consume(until_idle=True).targets[0].records == 0
    found = {(one.key(), one.value()) for one in kafka.consume(out, 1_000)}
    assert found == {(b"%d" % number, b'{"id":%d}' % number) for number in range(10, 100)}
    (letter,) = kafka.consume(dead, 10)
    assert (letter.key(), letter.value()) == (b"x", b"{broken")
    assert "malformed JSON" in str(dict(letter.headers() or ())["ematix.error"])


def test_declared_columns_are_read_exactly_and_the_last_of_a_key_wins(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection
) -> None:
    @ematix.table(name="prices")
    class Prices:
        id: Annotated[BigInt, ematix.pk()]
        price: Numeric[20, 10]  # type: ignore[type-arg, valid-type]  # parameters that mypy takes for types
        who: Text | None

    text = '{"id": 9007199254740993, "price": %s}'
    kafka.produce(clicks, [("a", text % "1.5"), ("a", text % "12345678.0000000001"), ("b", '{"id": 1}')], partition=0)
    stream = ematix.stream(
        "prices", source=events, source_query=clicks, target=warehouse, target_table=Prices, mode="merge",
        on_error="dead_letter",
    )  # fmt: skip
    done = stream.consume(until_idle=True).targets[0]
    assert (done.inserted, done.dead) == (1, 1)
    (row,) = rows(warehouse, "prices")
    assert (row["id"], str(row["price"]), row["who"]) == (9007199254740993, "12345678.0000000001", None)
    assert "price" in list_letters(stream).letters[0]["error"]


def test_a_record_that_cannot_be_read_stops_a_stream_that_says_so(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection
) -> None:
    kafka.produce(clicks, [record(1), ("x", "{broken")], partition=1)
    with pytest.raises(BadRowError, match=f"{clicks}:1, offset 1"):
        into(warehouse, events, clicks, on_error="fail").consume(until_idle=True)
    kafka.produce(clicks, [record(2)])
    assert into(warehouse, events, clicks, on_error="drop").consume(until_idle=True).targets[0].dropped == 1
    assert ids(warehouse) == [1, 2]


def test_what_no_single_record_is_guilty_of_stops_the_stream(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection
) -> None:
    kafka.produce(clicks, [record(1), record(2)])
    with pytest.raises(ematix.EmatixError, match="no_such_column"):
        into(warehouse, events, clicks, transform_sql="SELECT no_such_column FROM source").consume(until_idle=True)


def test_only_bad_records_are_letters_before_there_is_a_table(
    kafka: KafkaCluster, clicks: str, events: Connection, anywhere: Connection
) -> None:
    kafka.produce(clicks, [("x", "{broken"), ("y", "[1]")])
    stream = into(anywhere, events, clicks)
    stream.consume(until_idle=True)
    kafka.produce(clicks, [record(1)])
    stream.consume(until_idle=True)
    assert ids(anywhere) == [1]
    assert len(list_letters(stream).letters) == 2


def test_reading_begins_where_it_is_told_to(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection
) -> None:
    kafka.produce(clicks, [record(number) for number in range(10)], partition=0)
    stream = into(warehouse, events, clicks, mode=ematix.merge(keys=["id"]))
    stream.consume(until_idle=True)
    again = stream.consume(until_idle=True, start={f"{clicks}:0": 7}).targets[0]
    assert (again.records, again.inserted, again.unchanged) == (3, 0, 3)
    assert stream.consume(until_idle=True, start="earliest").targets[0].records == 10
    assert stream.consume(until_idle=True).targets[0].records == 0


def test_it_ends_where_it_is_told_and_loads_nothing_behind(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection
) -> None:
    kafka.produce(clicks, [record(number) for number in range(10)], partition=0)
    kafka.produce(clicks, [record(number) for number in range(10, 20)], partition=1)
    stream = into(warehouse, events, clicks)
    there = {f"{clicks}:0": 4, f"{clicks}:1": 10}
    found = stream.consume(end=there).targets[0]
    assert (found.records, dict(found.positions)) == (14, there)
    assert ids(warehouse) == [*range(4), *range(10, 20)]
    assert stream.consume(end=there).targets[0].records == 0
    kafka.produce(clicks, [record(20)], partition=1)
    assert stream.consume(end="latest").targets[0].records == 7
    assert ids(warehouse) == list(range(21))


def test_latest_begins_behind_what_there_is(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection
) -> None:
    kafka.produce(clicks, [record(1)])
    stream = into(warehouse, events, clicks, start="latest")
    assert stream.consume(until_idle=True).targets[0].records == 0


def test_each_of_several_targets_is_consumed_for_by_itself(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection, tmp_path: Path
) -> None:
    kafka.produce(clicks, [record(number) for number in range(30)])
    lake = ematix.DeltaConnection("lake", path=str(tmp_path / "lake"))
    stream = ematix.stream(
        "clicks", source=events, source_query=clicks, transform_sql="SELECT id FROM source",
        targets=[ematix.target("clicks", connection=warehouse), ematix.target("clicks", connection=lake)],
    )  # fmt: skip
    assert [one.inserted for one in stream.consume(until_idle=True).targets] == [30, 30]
    assert ids(warehouse) == ids(lake, "clicks") == list(range(30))


def test_a_table_is_joined_that_is_read_again(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection
) -> None:
    people = ematix.MemoryConnection("people", tables={"people": pa.table({"id": [1, 2], "name": ["Ann", "Bo"]})})
    kafka.produce(clicks, [record(number) for number in (1, 2, 3)])
    stream = into(
        warehouse, events, clicks, transform_sql="SELECT s.id, p.name FROM source s LEFT JOIN people p USING (id)",
        lookups=ematix.lookup("people", connection=people, query="SELECT * FROM people", refresh=None),
    )  # fmt: skip
    stream.consume(until_idle=True)
    assert [row["name"] for row in rows(warehouse, "clicks")] == ["Ann", "Bo", None]


def test_ten_megabytes_are_one_record(kafka: KafkaCluster, events: Connection, warehouse: Connection) -> None:
    wide = kafka.topic("wide", max_message_bytes="20000000")
    from confluent_kafka import Producer

    producer = Producer({**kafka.config, "message.max.bytes": 20_000_000})
    producer.produce(wide, json.dumps({"id": 1, "price": "1", "text": "x" * 10_000_000}))
    assert producer.flush(30) == 0
    stream = into(warehouse, events, wide, transform_sql="SELECT id, length(text) AS length FROM source")
    stream.consume(until_idle=True)
    assert rows(warehouse, "clicks") == [{"id": 1, "length": 10_000_000}]


def test_what_cannot_be_reached_is_named(clicks: str, events: Connection, warehouse: Connection) -> None:
    with pytest.raises(MissingSourceError, match=clicks[:-1]):
        into(warehouse, events, clicks[:-1]).plan()
    nowhere = ematix.KafkaConnection("nowhere", url="kafka://127.0.0.1:1", options={"timeout": 1})
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1:1"):
        into(warehouse, nowhere, clicks).plan()


def test_a_consumer_that_was_overtaken_loads_nothing_twice(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection
) -> None:
    kafka.produce(clicks, [record(number) for number in range(5)], partition=0)
    stream = into(warehouse, events, clicks)
    stream.consume(until_idle=True)
    target = registry.target(warehouse)
    try:
        with target.session() as session:
            late = PositionBookkeeping(
                "clicks:clicks", "late", now(), before=Noted({f"{clicks}:0": 3}), after=Noted({f"{clicks}:0": 5})
            )
            with pytest.raises(ConflictError, match=f"{clicks}:0"):
                late.begin(session, "table clicks")
    finally:
        target.close()


def test_a_value_that_the_target_does_not_take_is_a_letter(
    kafka: KafkaCluster, clicks: str, events: Connection, warehouse: Connection
) -> None:
    @ematix.table(name="small")
    class Small:
        id: BigInt
        price: Numeric[4, 2]  # type: ignore[type-arg, valid-type]  # parameters that mypy takes for types

    kafka.produce(clicks, [record(1), record(99_999), record(2)], partition=0)
    stream = ematix.stream(
        "small", source=events, source_query=clicks, target=warehouse, target_table=Small, on_error="dead_letter",
        transform_sql="SELECT id, CAST(price AS DOUBLE) AS price FROM source",
    )  # fmt: skip
    assert stream.consume(until_idle=True).targets[0].dead == 1
    assert ids(warehouse, "small") == [1, 2]
    with pytest.raises(ConversionError):
        ematix.stream(
            "other", source=events, source_query=clicks, target=warehouse, target_table=Small,
            transform_sql="SELECT id, CAST(price AS DOUBLE) AS price FROM source",
        ).consume(until_idle=True)  # fmt: skip
