"""A stream that begins with the latest messages goes on where it began, though none came before the next consumer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import KafkaCluster


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "kafka"])
def test_messages_that_come_while_no_consumer_is_there_are_loaded(
    kafka: KafkaCluster, tmp_path: Path, kind: str
) -> None:
    topic, copy = kafka.topic("clicks", partitions=2), kafka.topic("copy")
    events = ematix.KafkaConnection("events", url=kafka.url)
    targets = {
        "kafka": events, "sqlite": ematix.SQLiteConnection("lite", path=str(tmp_path / "w.sqlite")),
        "duckdb": ematix.DuckDBConnection("duck", path=str(tmp_path / "w.duckdb")),
    }  # fmt: skip
    stream = ematix.stream(
        "clicks", source=events, source_query=topic, target=targets[kind], start="latest",
        target_table=copy if kind == "kafka" else "clicks",
    )  # fmt: skip
    kafka.produce(topic, [(str(number), f'{{"id": {number}}}') for number in range(10)])
    assert stream.consume(until_idle=True).targets[0].records == 0
    kafka.produce(topic, [(str(number), f'{{"id": {number}}}') for number in range(10, 20)])
    assert stream.consume(until_idle=True).targets[0].records == 10
    assert stream.consume(until_idle=True).targets[0].records == 0
    if kind != "kafka":
        source = registry.source(targets[kind])
        found = source.read(Query(table="clicks")).read_all().column("id")
        source.close()
        assert set(found.to_pylist()) == set(range(10, 20))
        assert len(found) == 10
