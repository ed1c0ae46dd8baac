"""Windows over a topic, with their state on disk, in S3 and in PostgreSQL: told once, whoever is replaced."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.errors import ConfigError, ConversionError
from ematix_core.streaming.control import Control
from ematix_core.streaming.state.inspection import state_of
from tests.servers.reach import database, execute
from tests.unit.streaming.windows import click, stream, told, tumbling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from confluent_kafka import Message

    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from tests.servers.kafka import KafkaCluster
    from tools.servers.bucket import Bucket

SQL = "SELECT CAST(t AS TIMESTAMPTZ) AS t, k, v, _partition FROM source"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def topic(kafka: KafkaCluster) -> str:
    return kafka.topic("clicks", partitions=2)


@pytest.fixture
def store() -> Connection:
    return ematix.SQLiteConnection("store", path="store.sqlite")


@pytest.fixture(params=["folder", "s3", "postgres"])
def place(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Yield a connection that keeps states."""
    if request.param == "folder":
        yield ematix.ObjectStoreConnection("kept", path="kept")
    elif request.param == "s3":
        s3: Bucket = request.getfixturevalue("s3")
        yield ematix.ObjectStoreConnection("kept", path=s3.s3_url, options=s3.options)
    else:
        with database("postgres") as url:
            yield ematix.PostgresConnection("kept", url=url)


def over(kafka: KafkaCluster, topic: str, store: Connection, **options: object) -> Stream:
    events = ematix.KafkaConnection("events", url=kafka.url)
    given: dict[str, Any] = {"transform_sql": SQL, "window": tumbling(), "source_query": topic, **options}
    return stream(events, store, **given)


def send(kafka: KafkaCluster, topic: str, partition: int, *clicks: dict[str, object]) -> None:
    kafka.produce(topic, [(None, json.dumps(one)) for one in clicks], partition=partition)


def test_what_is_open_goes_on_with_the_next_consumer(
    kafka: KafkaCluster, topic: str, store: Connection, place: Connection
) -> None:
    clicks = over(kafka, topic, store, state=place)
    send(kafka, topic, 0, click("10:00:05"), click("10:01:05"))
    send(kafka, topic, 1, click("10:00:10"))
    assert clicks.consume(until_idle=True).targets[0].rows == 0
    state = state_of(clicks, clicks.targets[0])
    assert (state.groups, state.segments, len(state.newest)) == (2, 1, 2)
    send(kafka, topic, 1, click("10:00:50"), click("10:01:20"))
    assert clicks.consume(until_idle=True).targets[0].inserted == 1
    assert told(store) == [("a", "10:00", 3)]
    assert state_of(clicks, clicks.targets[0]).segments == 2


def test_a_partition_that_is_behind_is_waited_for(kafka: KafkaCluster, topic: str, store: Connection) -> None:
    clicks = over(kafka, topic, store)
    send(kafka, topic, 0, click("10:00:05"), click("11:00:00"))
    send(kafka, topic, 1, click("10:00:10"))
    clicks.consume(until_idle=True)
    send(kafka, topic, 1, click("10:00:40"), click("10:02:00"))
    done = clicks.consume(until_idle=True).targets[0]
    assert (done.dropped, told(store)[0]) == (0, ("a", "10:00", 3))


def test_rows_that_cannot_tell_their_partition_are_refused(kafka: KafkaCluster, topic: str, store: Connection) -> None:
    clicks = over(kafka, topic, store, transform_sql=f"SELECT DISTINCT * EXCLUDE _partition FROM ({SQL})")
    send(kafka, topic, 0, click("10:00:05"))
    with pytest.raises(ConversionError, match="rows come from 2 partitions") as caught:
        clicks.consume(until_idle=True)
    assert "Select _partition, too" in str(caught.value)


def test_reset_and_a_state_that_is_gone(kafka: KafkaCluster, topic: str, store: Connection, place: Connection) -> None:
    clicks = over(kafka, topic, store, state=place, mode="merge")
    send(kafka, topic, 0, click("10:00:05"))
    clicks.consume(until_idle=True)
    assert state_of(clicks, clicks.targets[0], reset=True).groups == 0
    elsewhere = over(kafka, topic, store, mode="merge")
    with pytest.raises(ConfigError, match=r"the state 000000000002-.* is not there") as caught:
        elsewhere.consume(until_idle=True)
    assert "--reset begins with an empty state where the stream is" in str(caught.value)
    send(kafka, topic, 0, click("10:00:06"), click("10:01:00"))
    assert elsewhere.consume(until_idle=True, start="earliest").targets[0].inserted == 1
    assert told(store) == [("a", "10:00", 2)]


def test_the_table_of_states_keeps_streams_apart_and_forgets_what_is_not_needed(
    kafka: KafkaCluster, topic: str, store: Connection
) -> None:
    with database("postgres") as url:
        kept = ematix.PostgresConnection("kept", url=url)
        clicks = over(kafka, topic, store, state=kept, batch_rows=1, checkpoint="1 millisecond")
        send(kafka, topic, 0, click("10:00:05"))
        clicks.consume(until_idle=True)
        execute(url, "INSERT INTO ematix_stream_state VALUES ('other', '000000000001-x', 'kept')")
        send(kafka, topic, 0, *(click("10:00:06", k=str(number)) for number in range(70)))
        clicks.consume(until_idle=True)
        state = state_of(clicks, clicks.targets[0])
        found = execute(url, "SELECT scope, count(*) FROM ematix_stream_state GROUP BY scope ORDER BY scope")
        assert found == [("clicks:store:results", state.segments), ("other", 1)]
        assert 1 < state.segments < 64
        assert state.groups == 71


def test_the_state_of_a_window_into_a_topic_is_shown_and_its_consumer_goes_on(kafka: KafkaCluster, topic: str) -> None:
    events = ematix.KafkaConnection("events", url=kafka.url)
    results = kafka.topic("results")
    clicks = over(kafka, topic, events, target_table=results, options={"group": f"windows-{topic}"})
    control = Control()
    send(kafka, topic, 0, click("10:00:05"), click("10:01:05"))
    send(kafka, topic, 1, click("10:01:06"))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(clicks.consume, control=control)
        try:
            deadline = time.monotonic() + 60
            while not (state := state_of(clicks, clicks.targets[0])).checkpoint:
                assert time.monotonic() < deadline
            assert state.groups == 1
            send(kafka, topic, 0, click("10:02:05"))
            send(kafka, topic, 1, click("10:02:06"))
            starts = [json.loads(one.value() or b"")["window_start"] for one in _messages(kafka, results, 2)]
        finally:
            control.stop()
        assert running.result(60).targets[0].restarts == 0
    assert [one[11:16] for one in starts] == ["10:00", "10:01"]
    assert state_of(clicks, clicks.targets[0]).groups > 0
    assert state_of(clicks, clicks.targets[0], reset=True).groups == 0
    assert state_of(clicks, clicks.targets[0]).groups == 0
    send(kafka, topic, 0, click("10:03:05"))
    send(kafka, topic, 1, click("10:03:06"))
    assert clicks.consume(until_idle=True).targets[0].records == 2


def _messages(kafka: KafkaCluster, topic: str, count: int) -> list[Message]:
    deadline = time.monotonic() + 60
    while len(found := kafka.consume(topic, count)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found
