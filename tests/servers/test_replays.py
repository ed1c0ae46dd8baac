"""Dead letters loaded again where they cannot be marked with their rows: in Delta tables, topics and files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.errors import ConflictError, UnsupportedError
from ematix_core.streaming.dead_letters import list_letters
from ematix_core.streaming.replay import replay_letters

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.backends.stream_protocols import SharedSource
    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from tests.servers.kafka import KafkaCluster

GOOD, BAD, BROKEN = ("g", '{"id": "1"}'), ("b", '{"id": "two"}'), ("x", "{broken")


@pytest.fixture
def topic(kafka: KafkaCluster) -> str:
    return kafka.topic("clicks")


@pytest.fixture
def events(kafka: KafkaCluster) -> Connection:
    return ematix.KafkaConnection("events", url=kafka.url)


def declared(
    topic: str,
    events: Connection,
    target: Connection,
    sql: str = "CAST(id AS BIGINT)",
    **options: Any,  # noqa: ANN401 - those of a stream
) -> Stream:
    return ematix.stream(
        topic, source=events, source_query=topic, target=target, mode="append", on_error="dead_letter",
        transform_sql=f"SELECT {sql} AS id FROM source", **{"target_table": "clicks", **options},
    )  # fmt: skip


def test_a_letter_that_came_again_after_its_replay_is_a_new_one(
    kafka: KafkaCluster, topic: str, events: Connection, tmp_path: Path
) -> None:
    stream = declared(topic, events, ematix.DeltaConnection("lake", path=str(tmp_path)))
    kafka.produce(topic, [GOOD, BAD])
    letter = f"{topic}/{topic}:0/1"
    assert stream.consume(until_idle=True).targets[0].dead == 1
    assert replay_letters(stream, letter_ids=[letter], value=b'{"id": 2}').loaded == 1
    assert list_letters(stream).counts == {"new": 0, "parked": 0, "replayed": 1}
    assert stream.consume(until_idle=True, start="earliest").targets[0].dead == 1
    assert list(replay_letters(stream).failed) == [letter]
    assert list_letters(stream).counts == {"new": 1, "parked": 0, "replayed": 1}


def test_letters_that_bring_no_rows_are_marked(
    kafka: KafkaCluster, topic: str, events: Connection, tmp_path: Path
) -> None:
    lake = ematix.DeltaConnection("lake", path=str(tmp_path))
    kafka.produce(topic, [GOOD, BAD])
    declared(topic, events, lake).consume(until_idle=True)
    mended = declared(topic, events, lake, "unnest([TRY_CAST(id AS BIGINT)][:0])")
    assert replay_letters(mended).loaded == 1
    assert list_letters(mended).counts == {"new": 0, "parked": 0, "replayed": 1}


def test_letters_in_a_topic_are_read_on_and_those_that_fail_again_are_written_to_its_end(
    kafka: KafkaCluster, topic: str, events: Connection
) -> None:
    out, dead = kafka.topic("out"), kafka.topic("dead")
    where = {"target_table": out, "dead_letter": dead}
    stream = declared(topic, events, events, **where)
    kafka.produce(topic, [GOOD, BAD, BROKEN])
    assert stream.consume(until_idle=True).targets[0].dead == 2
    mended = declared(topic, events, events, "coalesce(TRY_CAST(id AS BIGINT), 2)", **where)
    done = replay_letters(mended)
    assert (done.loaded, list(done.failed)) == (1, [f"{topic}/{topic}:0/2"])
    assert [note.partition(" has ")[0] for note in done.notes] == [f"group {topic}.replay"]
    assert [json.loads(one.value() or b"")["id"] for one in kafka.consume(out, 10)] == [1, 2]
    last = kafka.consume(dead, 10)[-1]
    told = dict(last.headers() or ())
    assert (last.key(), last.value(), told["ematix.attempt"]) == (b"x", b"{broken", b"2")
    assert (told["ematix.letter_id"], told["ematix.record_offset"]) == (f"{topic}/{topic}:0/2".encode(), b"2")
    again = replay_letters(mended)
    assert (again.loaded, list(again.failed), again.notes) == (0, [f"{topic}/{topic}:0/2"], ())
    assert len(kafka.consume(out, 10)) == 2
    with pytest.raises(UnsupportedError, match=r"none can be taken alone.*\n.*--all"):
        replay_letters(mended, letter_ids=[f"{topic}/{topic}:0/2"])


def test_of_two_replays_of_a_topic_the_second_says_that_it_has_nothing(
    kafka: KafkaCluster, topic: str, events: Connection
) -> None:
    out, dead = kafka.topic("out"), kafka.topic("dead")
    stream = declared(topic, events, events, target_table=out, dead_letter=dead)
    first = cast("SharedSource", registry.stream_source(events, StreamQuery(dead)))
    try:
        first.join(f"{topic}.replay", lambda _: {})
        first.poll(PollLimits(seconds=5))
        assert list(first.assigned()) == [f"{dead}:0"]
        with pytest.raises(ConflictError, match="another replay is at these letters"):
            replay_letters(stream)
    finally:
        first.close()


def test_letters_in_files_are_not_replayed(kafka: KafkaCluster, topic: str, events: Connection, tmp_path: Path) -> None:
    stream = declared(topic, events, ematix.ObjectStoreConnection("files", path=str(tmp_path), format="parquet"))
    kafka.produce(topic, [GOOD, BAD])
    stream.consume(until_idle=True)
    with pytest.raises(UnsupportedError, match="files are written once"):
        replay_letters(stream)
