"""Messages out of topics of a real broker, and the runs that they set off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ematix_core.engine.environment import Environment
from ematix_core.errors import ConnectError, MissingSourceError, UnsupportedError
from ematix_core.model.connection import KafkaConnection, SQLiteConnection
from ematix_core.model.message import topic as declared
from ematix_core.scheduler.messages import Message, MessagePoller
from ematix_core.scheduler.pollers import open_poller

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from tests.servers.kafka import KafkaCluster

SECONDS = 30


@pytest.fixture
def orders(kafka: KafkaCluster) -> str:
    return kafka.topic("orders")


@pytest.fixture
def poller(kafka: KafkaCluster, orders: str) -> Iterator[MessagePoller]:
    opened = opening(kafka, orders)
    yield opened
    opened.close()


def opening(kafka: KafkaCluster, name: str) -> MessagePoller:
    source = declared(name, connection=KafkaConnection("events", url=kafka.url), topic=name, start="earliest")
    return open_poller(source, Environment())


def found(poller: MessagePoller, number: int, known: Collection[str] = ()) -> list[Message]:
    """Poll until there are so many messages."""
    end = time.monotonic() + SECONDS
    while len(messages := poller.poll(known)) < number and time.monotonic() < end:
        pass
    return messages


def test_messages_come_in_order_with_what_they_say(kafka: KafkaCluster, orders: str, poller: MessagePoller) -> None:
    kafka.produce(orders, [("a", '{"order": 1}'), ("b", "plain"), ("c", None), ("d", b"\xff")])
    poller.check()
    payloads = [{"order": 1}, "plain", None, None]
    assert found(poller, 4) == [Message(f"{orders}:0@{number}", payload) for number, payload in enumerate(payloads)]


def test_what_is_not_known_comes_again_and_what_is_known_does_not(
    kafka: KafkaCluster, orders: str, poller: MessagePoller
) -> None:
    kafka.produce(orders, [(None, str(number)) for number in range(4)])
    assert [one.payload for one in found(poller, 4)] == [0, 1, 2, 3]
    assert [one.payload for one in poller.poll({f"{orders}:0@1"})] == [0, 2, 3]


def test_the_next_scheduler_begins_behind_what_the_store_knows(kafka: KafkaCluster, orders: str) -> None:
    kafka.produce(orders, [(None, str(number)) for number in range(5)])
    first = opening(kafka, orders)
    assert len(found(first, 5)) == 5
    first.poll({f"{orders}:0@{number}" for number in range(3)})
    first.close()
    second = opening(kafka, orders)
    assert [one.payload for one in found(second, 2)] == [3, 4]
    second.close()


def test_a_missing_topic_is_named(kafka: KafkaCluster) -> None:
    with pytest.raises(MissingSourceError, match="no_such_topic"):
        opening(kafka, "no_such_topic").check()


def test_a_broker_that_is_not_there_is_transient() -> None:
    connection = KafkaConnection("events", url="kafka://127.0.0.1:1", options={"timeout": 1})
    with pytest.raises(ConnectError):
        open_poller(declared("orders", connection=connection, topic="orders"), Environment()).check()


def test_a_database_has_no_topics() -> None:
    source = declared("orders", connection=SQLiteConnection("shop", path="shop.db"), topic="orders")
    with pytest.raises(UnsupportedError):
        open_poller(source, Environment())


PROJECT = """
import os
import ematix_core as ematix
import pyarrow as pa

events = ematix.KafkaConnection("events", url=os.environ["KAFKA"])
warehouse = ematix.SQLiteConnection("warehouse", path="warehouse.db")


@ematix.job(target="orders", target_connection=warehouse)
def orders(run):
    return pa.table({"order_id": [run.parameters["message"]["order"]], "position": [run.parameters["position"]]})


ready = ematix.workflow(
    "ready", jobs=[orders],
    on_message=ematix.topic("orders_in", connection=events, topic=os.environ["TOPIC"], start="earliest"),
)
"""


def test_each_message_sets_off_one_run(kafka: KafkaCluster, orders: str, tmp_path: Path) -> None:
    (tmp_path / "pipelines.py").write_text(PROJECT)
    kafka.produce(orders, [(None, json.dumps({"order": number})) for number in range(3)])
    env = {**os.environ, "KAFKA": kafka.url, "TOPIC": orders}

    def due() -> None:
        command = [sys.executable, "-m", "ematix_core", "run-due", "--module", "pipelines.py"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def loaded() -> list[int]:
        import sqlite3

        with sqlite3.connect(tmp_path / "warehouse.db") as database:
            return [row[0] for row in database.execute("SELECT order_id FROM orders ORDER BY 1")]

    due()
    assert loaded() == [0, 1, 2]
    kafka.produce(orders, [(None, '{"order": 3}')])
    due()
    due()
    assert loaded() == [0, 1, 2, 3]
