"""Loads of a topic that take longer than `max_poll_interval`: done once, by a consumer that stays in its group."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.errors import MissingSourceError
from ematix_core.streaming.control import Control
from ematix_core.streaming.result import TargetConsumed
from ematix_core.types import BigInt
from tests.servers.reach import database, execute
from tests.unit.streaming.windows import tumbling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa
    from confluent_kafka.admin import AdminClient

    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from tests.servers.kafka import KafkaCluster

INTERVAL = 2
LONG = 3 * INTERVAL
OPTIONS = {"session_timeout": "2 seconds", "max_poll_interval": f"{INTERVAL} seconds", "heartbeat.interval.ms": 200}
START = "2026-01-01T10:00:00Z"


class Slow:
    """A function that takes long over the first rows, and is quick from then on. `calls`: how often it had those."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = threading.Event()

    def __call__(self, number: pa.Array[Any]) -> pa.Array[Any]:
        if 0 in number.to_pylist():
            self.calls += 1
            self.begun.set()
            time.sleep(LONG)
        return number

    def declared(self) -> Any:  # noqa: ANN401 - what `functions=` takes
        """Return it for `functions=`, as `slow`."""

        def slow(number: pa.Array[Any]) -> pa.Array[Any]:
            return self(number)

        return ematix.udf(takes=[BigInt], returns=BigInt)(slow)


class Group:
    """Looks at a consumer group until `close`. `members`: each set of its members that was seen."""

    def __init__(self, kafka: KafkaCluster, name: str) -> None:
        self._admin, self._name = kafka.admin, name
        self._over = threading.Event()
        self.members: list[frozenset[str]] = []
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            found = self._admin.describe_consumer_groups([self._name])[self._name].result(30)
            self.members.append(frozenset(one.member_id for one in found.members))

    def longest(self) -> tuple[frozenset[str], float]:
        """Return the members that were seen for the longest time, and for how many looks of a tenth of a second."""
        return max(((one, self.members.count(one)) for one in set(self.members) if one), key=lambda pair: pair[1])


@pytest.fixture
def topic(kafka: KafkaCluster) -> str:
    return kafka.topic("slow", partitions=2)


@pytest.fixture
def events(kafka: KafkaCluster) -> ematix.Connection:
    return ematix.KafkaConnection("events", url=kafka.url)


def produce(kafka: KafkaCluster, topic: str, numbers: range) -> None:
    kafka.produce(topic, [(str(one), json.dumps({"id": one, "t": START})) for one in numbers])


def ids(target: Connection, table: str) -> list[int]:
    with closing(registry.source(target)) as source:
        try:
            return sorted(row["id"] for row in source.read(Query(table=table)).read_all().to_pylist())
        except MissingSourceError:
            return []


def stream_of(topic: str, source: Connection, target: Connection, table: str, **given: Any) -> Stream:  # noqa: ANN401 - those of a stream
    return ematix.stream(
        topic, source=source, source_query=topic, target=target, target_table=table, mode="append",
        options=OPTIONS, **given,
    )  # fmt: skip


@pytest.fixture
def database_url() -> Iterator[str]:
    with database("postgres") as url:
        yield url


def consumed(kafka: KafkaCluster, stream: Stream) -> tuple[TargetConsumed, Group]:
    with closing(Group(kafka, stream.name)) as group:
        done = stream.consume(until_idle=True).targets[0]
    return done, group


def test_a_slow_function_before_a_topic_is_run_once(kafka: KafkaCluster, topic: str, events: Connection) -> None:
    slow, out = Slow(), kafka.topic("out")
    sql = "SELECT slow(id) AS id FROM source"
    stream = stream_of(topic, events, events, out, functions=[slow.declared()], transform_sql=sql)
    produce(kafka, topic, range(100))
    done, group = consumed(kafka, stream)
    assert (slow.calls, done.restarts, done.inserted) == (1, 0, 100)
    assert sorted(json.loads(one.value() or b"")["id"] for one in kafka.consume(out, 1_000)) == list(range(100))
    members, looks = group.longest()
    assert (len(members), looks > 10 * INTERVAL) == (1, True)
    assert [one for one in group.members if one not in {frozenset(), members}] == []


def test_a_slow_table_is_loaded_once(kafka: KafkaCluster, topic: str, events: Connection, database_url: str) -> None:
    execute(database_url, "CREATE TABLE clicks (id bigint)")
    execute(
        database_url,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_sleep(CASE WHEN EXISTS (SELECT FROM clicks) THEN 0 ELSE {LONG} END); RETURN NULL; END $$",
    )
    execute(database_url, "CREATE TRIGGER slow BEFORE INSERT ON clicks FOR EACH STATEMENT EXECUTE FUNCTION slow()")
    target = ematix.PostgresConnection("target", url=database_url)
    stream = stream_of(topic, events, target, "clicks", transform_sql="SELECT id FROM source")
    produce(kafka, topic, range(100))
    began = time.monotonic()
    done, group = consumed(kafka, stream)
    assert time.monotonic() - began > LONG
    assert (done.restarts, done.inserted, ids(target, "clicks")) == (0, 100, list(range(100)))
    members, looks = group.longest()
    assert (len(members), looks > 10 * INTERVAL) == (1, True)
    assert [one for one in group.members if one not in {frozenset(), members}] == []


def test_a_consumer_that_comes_meanwhile_gets_its_partitions_after_the_load(
    kafka: KafkaCluster, topic: str, events: Connection, database_url: str
) -> None:
    slow, target = Slow(), ematix.PostgresConnection("target", url=database_url)
    sql = "SELECT slow(id) AS id FROM source"
    stream = stream_of(topic, events, target, "clicks", functions=[slow.declared()], transform_sql=sql)
    produce(kafka, topic, range(100))
    admin = kafka.admin
    with ExitStack() as stack:
        done = [consuming(stack, stream)]
        assert slow.begun.wait(30)
        done.append(consuming(stack, stream))
        wait_for(lambda: ids(target, "clicks") == list(range(100)), "the slow load")
        wait_for(lambda: shares(admin, topic) == [1, 1], "each has a partition")
        produce(kafka, topic, range(100, 200))
        wait_for(lambda: ids(target, "clicks") == list(range(200)), "what came later")
    first, second = (one[0] for one in done)
    assert (slow.calls, first.restarts, second.restarts) == (1, 0, 0)
    assert first.inserted + second.inserted == 200
    assert second.inserted > 0


@pytest.mark.parametrize("kind", ["window", "window of a topic", "join"])
def test_what_keeps_a_state_is_loaded_once(
    kafka: KafkaCluster, topic: str, events: Connection, tmp_path: Path, kind: str
) -> None:
    slow, other = Slow(), kafka.topic("other", partitions=2)
    store = ematix.SQLiteConnection("store", path=str(tmp_path / "store.db"))
    target = events if kind == "window of a topic" else store
    common: dict[str, Any] = {
        "target": target, "target_table": kafka.topic("out") if target is events else "results", "mode": "append",
        "functions": [slow.declared()], "state": ematix.ObjectStoreConnection("state", path=str(tmp_path / "state")),
        "batch_seconds": 0.2, "checkpoint": 0.001,
    }  # fmt: skip
    sql = "SELECT slow(id) AS id, CAST(t AS TIMESTAMPTZ) AS t FROM source"
    if kind == "join":
        sides = [
            ematix.side(name, source=events, source_query=one, on_time=f"{name}_t", options=OPTIONS,
                        transform_sql=f"SELECT id, CAST(t AS TIMESTAMPTZ) AS {name}_t FROM source")
            for name, one in (("left", topic), ("right", other))
        ]  # fmt: skip
        source = ematix.join(*sides, on="id", within="1 minute")
        stream = ematix.stream(topic, source=source, transform_sql="SELECT slow(id) AS id FROM source", **common)
        produce(kafka, other, range(100))
    else:
        window = tumbling(on="t", by="id", aggregate={"n": "count"})
        stream = ematix.stream(
            topic, source=events, source_query=topic, window=window, transform_sql=sql, options=OPTIONS, **common
        )
    produce(kafka, topic, range(100))
    for partition in range(2):  # what is later tells that the windows before are over
        kafka.produce(topic, [("", json.dumps({"id": 1_000, "t": "2026-01-01T11:00:00Z"}))], partition=partition)
    done = stream.consume(until_idle=True).targets[0]
    assert (slow.calls, done.restarts, done.inserted) == (1, 0, 100)
    if target is store:
        assert ids(store, "results") == list(range(100))


def shares(admin: AdminClient, group: str) -> list[int]:
    """Return how many partitions each member of a group has."""
    found = admin.describe_consumer_groups([group])[group].result(30)
    return sorted(len(one.assignment.topic_partitions) for one in found.members if one.assignment)


def consuming(stack: ExitStack, stream: Stream) -> list[TargetConsumed]:
    """Consume in a thread until the stack is closed; what was done is in the list then."""
    control, done = Control(), list[TargetConsumed]()
    thread = threading.Thread(target=lambda: done.extend(stream.consume(control=control).targets))
    thread.start()
    stack.callback(thread.join, 60)
    stack.callback(control.stop)
    return done


def wait_for(done: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
