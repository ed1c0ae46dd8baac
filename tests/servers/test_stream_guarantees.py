"""Streams over a real broker lose and repeat nothing: paused, replaced, past retention.

Consumers are processes of their own; `tests/crash/test_topics.py` kills them at failpoints.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from confluent_kafka import TopicPartition

from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.errors import AccessError, ConfigError, EmatixError, SourceError
from ematix_core.model.connection import KafkaConnection
from ematix_core.model.table import TableName, columns_from
from ematix_core.streaming import consume_stream
from tests.crash import topics_scenario as consumed
from tests.crash.topics import PARTITIONS, trial
from tests.servers.reach import other_ca
from tools.servers.broker import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from confluent_kafka import Message

    from tests.crash.topics import Trial
    from tests.servers.kafka import KafkaCluster, OwnKafka
    from tools.servers.broker import Broker

SECONDS = 40
KEPT_FROM = 22
"""The offset before which messages are deleted."""
QUICK = {"transaction_timeout": "3 seconds"}


def wait_for(done: Callable[[], bool], what: str, run: Trial, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}\n{run.told()}"
        time.sleep(0.05)


def stopped(run: Trial, point: str) -> BaseProcess:
    """Start a consumer and return once it is stopped at the point."""
    zombie = run.start(0, point, how="STOP")
    wait_for(lambda: _state(zombie) == "T" or zombie.exitcode is not None, f"it is stopped at {point}", run)
    assert zombie.exitcode is None, run.told()
    return zombie


def _state(process: BaseProcess) -> str:
    try:
        with open(f"/proc/{process.pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123 - a file of the kernel
            return stat.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def go_on(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("kafka", "kafka.offsets.before#2"), ("kafka", "kafka.commit.before#2"),
        ("postgres", "stream.land.before#2"), ("postgres", "postgres.commit.before#2"),
    ],
)  # fmt: skip
def test_a_consumer_that_was_replaced_while_it_was_paused_doubles_nothing(
    kafka: KafkaCluster, tmp_path: Path, kind: str, point: str
) -> None:
    with trial(kafka, tmp_path / "trial", kind, writing=QUICK) as run:
        zombie = stopped(run, point)
        heir = run.start(1)
        if point == "postgres.commit.before#2":  # it holds locks that the heir waits for
            time.sleep(4)
            go_on(zombie)
            assert not run.died(heir)
        else:
            assert not run.died(heir)
            run.judge()
            go_on(zombie)
        assert not run.died(zombie)
        run.judge()


def test_a_pause_beyond_the_time_of_a_transaction_loses_nothing(kafka: KafkaCluster, tmp_path: Path) -> None:
    with trial(kafka, tmp_path / "trial", "kafka", writing={"transaction_timeout": "1 second"}) as run:
        paused = stopped(run, "kafka.commit.before#3")
        time.sleep(3)
        go_on(paused)
        assert not run.died(paused)
        run.judge()


def test_what_a_killed_consumer_left_open_is_not_waited_for(kafka: KafkaCluster, tmp_path: Path) -> None:
    with trial(kafka, tmp_path / "trial", "kafka", writing={"transaction_timeout": "5 minutes"}) as run:
        assert run.died(run.start(point="kafka.offsets.after#2"))
        run.drain()
        run.judge()


@pytest.mark.parametrize("kind", ["kafka", "postgres"])
def test_two_consumers_share_partitions_and_one_goes_on_when_the_other_is_killed(
    kafka: KafkaCluster, tmp_path: Path, kind: str
) -> None:
    with trial(kafka, tmp_path / "trial", kind, records=0, writing=QUICK, until_idle=False) as run:
        group, admin = run.setup["name"], kafka.admin

        def shared() -> bool:
            found = admin.describe_consumer_groups([group])[group].result(SECONDS)
            return [len(one.assignment.topic_partitions) for one in found.members] == [PARTITIONS // 2] * 2

        survivor, victim = run.start(0), run.start(1, "stream.commit.after#2")
        try:
            wait_for(shared, "each has half of the partitions", run)

            def killed() -> bool:
                # One that lost the race to make the table joins again, and needs records when it is back.
                run.produce(100)
                return victim.exitcode is not None

            wait_for(killed, "one of them is killed", run)
            assert run.died(victim)
            run.judge(SECONDS)
            assert survivor.exitcode is None
        finally:
            _end(survivor)


def _end(process: BaseProcess) -> None:
    process.kill()
    process.join()


def test_records_that_were_not_kept_are_an_error_by_name_unless_told_otherwise(
    kafka: KafkaCluster, tmp_path: Path
) -> None:
    with trial(kafka, tmp_path / "trial", "sqlite", records=80) as run:
        run.drain()
        run.produce(80)
        topic = run.setup["topic"]
        before = kafka.consume(topic, 160)
        held = {number for number in range(PARTITIONS) if _held(before, number) > KEPT_FROM}
        assert held
        admin = kafka.admin  # a client that nobody holds ends at once, with its requests
        for done in admin.delete_records([TopicPartition(topic, number, KEPT_FROM) for number in held]).values():
            done.result(SECONDS)
        loaded = {consumed.record(number)[1].encode() for number in range(80)}
        gone = {one.value() for one in before if one.partition() in held and (one.offset() or 0) < KEPT_FROM} - loaded
        assert gone
        with pytest.raises(SourceError, match=r"messages \d+ to 21 of partition .* are no longer kept"):
            consume_stream(consumed.declare(run.setup, run.folder), until_idle=True)
        run.setup["options"] = {"on_lost": "earliest"}
        consume_stream(consumed.declare(run.setup, run.folder), until_idle=True)
        lost, repeated = run.wrong(0)
        assert repeated == []
        texts = [one[1] if one[0] == "letter" else consumed.record(one[2])[1] for one in lost]
        assert sorted(texts) == sorted(text.decode() for text in gone if text)


def _held(messages: list[Message], partition: int) -> int:
    return sum(one.partition() == partition for one in messages)


def way_in(broker: Broker) -> KafkaConnection:
    given = {
        "bootstrap": broker.bootstrap, "security": PROTOCOLS[broker.scheme].lower(),
        "username": broker.user, "password": broker.password,
        "mechanism": broker.mechanism if broker.user else "", "ca": broker.ca, "certificate": broker.certificate,
        "key": broker.key, "timeout": 5,
    }  # fmt: skip
    return KafkaConnection("events", options={name: value for name, value in given.items() if value})


def read(connection: KafkaConnection, topic: str) -> list[bytes | None]:
    source = registry.stream_source(connection, StreamQuery(topic))
    try:
        polled = source.poll(PollLimits(seconds=5))
        return [] if polled is None else polled.rows.column("value").to_pylist()
    finally:
        source.close()


@pytest.mark.parametrize("role", ["plain", "scram256", "scram512", "plain_tls", "scram512_tls", "tls", "mutual"])
def test_each_way_in_reads_and_writes(kafka: KafkaCluster, role: str) -> None:
    connection, topic = way_in(kafka.user(role)), kafka.topic("ways")
    target = registry.target(connection)
    rows = pa.table({"id": [1]})
    with target.session() as session:
        session.load(TableName("", topic), columns_from(rows.schema), rows.to_reader())
    target.close()
    assert read(connection, topic) == [b'{"id":1}']


def _known(wrong: dict[str, str]) -> dict[str, Any]:
    return {name: str(other_ca()) if name == "ca" else value for name, value in wrong.items()}


@pytest.mark.parametrize(
    ("role", "wrong", "error", "text"),
    [
        ("plain", {"password": "wrong"}, AccessError, "authentication was refused"),
        ("scram512_tls", {"password": "wrong"}, AccessError, "authentication was refused"),
        ("tls", {"ca": "other"}, ConfigError, "certificate is not accepted"),
        ("mutual", {"certificate": "", "key": ""}, EmatixError, "certificate|no broker answered"),
    ],
)
def test_who_is_refused_is_told_why(
    kafka: KafkaCluster, role: str, wrong: dict[str, str], error: type[EmatixError], text: str
) -> None:
    broker = replace(kafka.user(role), **_known(wrong))
    with pytest.raises(error, match=text) as caught:
        read(way_in(broker), "any")
    assert "hunter2" not in str(caught.value)


def test_a_broker_that_is_killed_half_way_costs_no_record(own_kafka: OwnKafka, tmp_path: Path) -> None:
    options: dict[str, Any] = {"records": 1500, "writing": {"transaction_timeout": "10 seconds"}, "until_idle": False}
    with (
        trial(own_kafka, tmp_path / "topic", "kafka", **options) as to_topic,
        trial(own_kafka, tmp_path / "table", "postgres", **options) as to_table,
    ):
        consumers = [to_topic.start(), to_table.start()]
        try:
            wait_for(lambda: to_topic.landed() > 0, "something has landed", to_topic)
            wait_for(lambda: to_table.landed() > 0, "something has landed", to_table)
            own_kafka.server.kill()
            time.sleep(1)
            own_kafka.server.start()
            for run in (to_topic, to_table):
                run.produce(100)
                run.judge(SECONDS)
            assert [one.exitcode for one in consumers] == [None, None]
        finally:
            for one in consumers:
                _end(one)
