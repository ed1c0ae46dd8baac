"""Joins of two topics over a real broker into a topic: each result once, with the positions of both sides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.backends.kafka.stream import KafkaStream
from ematix_core.errors import UnsupportedError
from ematix_core.streaming.state.inspection import state_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import KafkaCluster


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def events(kafka: KafkaCluster) -> ematix.Connection:
    return ematix.KafkaConnection("events", url=kafka.url)


def message(number: int, minute: int, **more: str) -> tuple[str, str]:
    return str(number), json.dumps({"id": number, "moment": f"2026-01-01T10:{minute:02}:00Z", **more})


def side(name: str, source: ematix.Connection, topic: str, *, where: str = "", **options: Any) -> ematix.Side:  # noqa: ANN401 - those of `side`
    sql = f"SELECT id, CAST(moment AS TIMESTAMPTZ) AS {name}_at FROM source {where}"
    return ematix.side(name, source=source, source_query=topic, on_time=f"{name}_at", transform_sql=sql, **options)


def joined(left: ematix.Side, right: ematix.Side, target: ematix.Connection, table: str) -> ematix.Stream:
    return ematix.stream(
        "paid", source=ematix.join(left, right, on="id", within="10 minutes", how="left"), target=target,
        target_table=table, transform_sql="SELECT id, payments_at IS NOT NULL AS paid FROM source", checkpoint=0.001,
    )  # fmt: skip


def told(kafka: KafkaCluster, topic: str) -> list[tuple[int, bool]]:
    found = [json.loads(one.value() or b"") for one in kafka.consume(topic, 1_000)]
    return sorted((one["id"], one["paid"]) for one in found)


def test_a_topic_gets_each_result_once_with_the_positions_of_both_sides(
    kafka: KafkaCluster, events: ematix.Connection
) -> None:
    orders, payments, out = kafka.topic("orders", partitions=2), kafka.topic("payments"), kafka.topic("out")
    stream = joined(side("orders", events, orders), side("payments", events, payments), events, out)
    kafka.produce(orders, [message(1, 0), message(2, 1), message(3, 2)])
    kafka.produce(payments, [message(1, 3)])
    assert stream.consume(until_idle=True).targets[0].inserted == 1
    assert "exactly once" in str(stream.plan())
    kafka.produce(payments, [message(3, 5)])
    assert stream.consume(until_idle=True).targets[0].inserted == 1
    assert told(kafka, out) == [(1, True), (3, True)]
    for partition in (0, 1):
        kafka.produce(orders, [message(9, 40)], partition=partition)
    kafka.produce(payments, [message(8, 40)])
    assert stream.consume(until_idle=True).targets[0].inserted == 1
    assert stream.consume(until_idle=True).targets[0].records == 0
    assert told(kafka, out) == [(1, True), (2, False), (3, True)]


def test_a_state_that_is_forgotten_leaves_the_positions_of_both_sides(
    kafka: KafkaCluster, events: ematix.Connection
) -> None:
    orders, payments, out = kafka.topic("orders"), kafka.topic("payments"), kafka.topic("out")
    stream = joined(side("orders", events, orders), side("payments", events, payments), events, out)
    kafka.produce(orders, [message(1, 0)])
    kafka.produce(payments, [message(7, 0)])
    stream.consume(until_idle=True)
    assert state_of(stream, stream.targets[0]).rows == 2
    assert state_of(stream, stream.targets[0], reset=True).rows == 0
    kafka.produce(payments, [message(1, 1)])
    assert stream.consume(until_idle=True).targets[0].records == 1
    assert told(kafka, out) == []


@pytest.mark.parametrize("options", [{}, {"options": {"group": "readers"}}], ids=["", "one group"])
def test_both_sides_may_read_one_topic(kafka: KafkaCluster, events: ematix.Connection, options: dict[str, Any]) -> None:
    topic, out = kafka.topic("all"), kafka.topic("out")
    stream = joined(
        side("orders", events, topic, where="WHERE kind = 'order'", **options),
        side("payments", events, topic, where="WHERE kind = 'payment'", **options), events, out,
    )  # fmt: skip
    kafka.produce(topic, [message(1, 0, kind="order"), message(1, 1, kind="payment"), message(2, 1, kind="order")])
    stream.consume(until_idle=True)
    kafka.produce(topic, [message(2, 3, kind="payment")])
    assert stream.consume(until_idle=True).targets[0].records == 2
    assert told(kafka, out) == [(1, True), (2, True)]


def test_a_side_that_is_no_topic_is_refused_with_its_name(
    kafka: KafkaCluster, events: ematix.Connection, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    files = ematix.ObjectStoreConnection("files", path="in")
    orders, out = kafka.topic("orders"), kafka.topic("out")
    stream = joined(side("orders", events, orders), side("payments", files, "*.json"), events, out)
    attempts = (stream.plan, lambda: stream.consume(until_idle=True), lambda: state_of(stream, stream.targets[0]))
    for refused in attempts:
        with pytest.raises(UnsupportedError, match=r"cannot keep the positions of \*\.json, which is no topic"):
            refused()


def test_a_side_of_another_cluster_is_refused(
    kafka: KafkaCluster, events: ematix.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, payments, out = kafka.topic("orders"), kafka.topic("payments"), kafka.topic("out")
    stream = joined(side("orders", events, orders), side("payments", events, payments), events, out)
    asked = KafkaStream.cluster_id

    def told_apart(source: KafkaStream) -> str:
        return "another" if next(iter(source.end())).startswith(payments) else asked(source)

    kafka.produce(orders, [message(1, 0)])
    kafka.produce(payments, [message(1, 1)])
    monkeypatch.setattr(KafkaStream, "cluster_id", told_apart)
    for refused in (stream.plan, lambda: stream.consume(until_idle=True)):
        with pytest.raises(UnsupportedError, match="topics of two clusters, which have no transaction together"):
            refused()
    assert kafka.consume(out, 10) == []
