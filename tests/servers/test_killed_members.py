"""Consumers that end by themselves, in a group whose partitions a killed process holds for a while."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import KafkaCluster

SESSION = 18  # longer than a consumer once waited for partitions
PROJECT = """
import ematix_core as ematix

clicks = ematix.stream(
    "clicks", source=ematix.KafkaConnection("events", url="{url}"), source_query="{topic}",
    target=ematix.SQLiteConnection("warehouse", path="warehouse.db"), target_table="clicks",
)
"""
MEMBER = """
import sys
from confluent_kafka import Consumer
bootstrap, topic, session = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "session.timeout.ms": int(session) * 1000,
                     "partition.assignment.strategy": "cooperative-sticky", "enable.auto.commit": False})
consumer.subscribe([topic])
while not consumer.assignment():
    consumer.poll(0.2)
print("has them", flush=True)
while True:
    consumer.poll(1)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def stream_of(kafka: KafkaCluster, topic: str) -> ematix.Stream:
    return ematix.stream(
        "clicks", source=ematix.KafkaConnection("events", url=kafka.url), source_query=topic,
        target=ematix.SQLiteConnection("warehouse", path="warehouse.db"), target_table="clicks",
        options={"group": topic, "session_timeout": f"{SESSION} seconds"},
    )  # fmt: skip


def kill_a_member(kafka: KafkaCluster, topic: str) -> None:
    member = subprocess.Popen(
        [sys.executable, "-c", MEMBER, kafka.bootstrap, topic, str(SESSION)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert member.stdout is not None
        assert member.stdout.readline() == "has them\n"
    finally:
        member.kill()
        member.communicate()


def ids() -> list[int]:
    source = registry.source(ematix.SQLiteConnection("warehouse", path="warehouse.db"))
    try:
        return sorted(row["id"] for row in source.read(Query(table="clicks")).read_all().to_pylist())
    finally:
        source.close()


@pytest.mark.parametrize("how", ["until_idle", "once"])
def test_a_consumer_that_is_to_end_waits_for_the_partitions_of_a_killed_one(
    kafka: KafkaCluster, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = kafka.topic("killed", partitions=2)
    kafka.produce(topic, [(None, f'{{"id": {number}}}') for number in range(10)])
    kill_a_member(kafka, topic)
    done = stream_of(kafka, topic).consume(**{how: True}).targets[0]  # type: ignore[arg-type]  # both are flags
    assert done.records > 0
    assert len(ids()) == done.records
    if how == "until_idle":
        assert ids() == list(range(10))
    assert "one that was killed holds them for up to" in caplog.text


@pytest.mark.parametrize("how", ["until_idle", "once"])
def test_it_waits_for_no_partitions_behind_which_nothing_is(kafka: KafkaCluster, how: str) -> None:
    topic = kafka.topic("killed", partitions=2)
    kafka.produce(topic, [(None, f'{{"id": {number}}}') for number in range(10)])
    stream = stream_of(kafka, topic)
    assert stream.consume(until_idle=True).targets[0].records == 10
    kill_a_member(kafka, topic)
    began = time.monotonic()
    assert stream.consume(**{how: True}).targets[0].records == 0  # type: ignore[arg-type]  # both are flags
    assert time.monotonic() - began < SESSION - 6


def test_processes_whose_parent_is_killed_end_as_if_they_were_asked_to(kafka: KafkaCluster, tmp_path: Path) -> None:
    topic = kafka.topic("orphans", partitions=2)
    kafka.produce(topic, [(None, f'{{"id": {number}}}') for number in range(10)])
    (tmp_path / "pipelines.py").write_text(PROJECT.format(url=kafka.url, topic=topic))
    command = [sys.executable, "-m", "ematix_core", "consume", "pipelines.py", "clicks", "--parallel", "2", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "warehouse.db").exists() or ids() != list(range(10)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        process.kill()
    out, _ = process.communicate(timeout=60)  # which the two processes write to, until they have ended
    told = [json.loads(part) for part in out.replace("}\n{", "}\n\0{").split("\0")]
    assert sum(one["streams"][0]["targets"][0]["records"] for one in told) == 10
    assert len(told) == 2
