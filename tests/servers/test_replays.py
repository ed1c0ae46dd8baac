"""Dead letters loaded again where they cannot be marked with their rows: in Delta tables, files and topics."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.objects import session as objects
from ematix_core.backends.protocols import Query
from ematix_core.backends.stream_protocols import PollLimits, StreamQuery
from ematix_core.errors import ConflictError, UnsupportedError
from ematix_core.streaming.dead_letters import find_letters, list_letters, park_letters, purge_letters
from ematix_core.streaming.landing import Landing
from ematix_core.streaming.replay import replay_letters
from tests.servers.meanwhile import before

if TYPE_CHECKING:
    from pathlib import Path

    from ematix_core.backends.stream_protocols import SharedSource
    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from tests.servers.kafka import KafkaCluster
    from tools.servers.bucket import Bucket

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
        **{"target_table": "clicks", "transform_sql": f"SELECT {sql} AS id FROM source", **options},
    )  # fmt: skip


@pytest.fixture(params=["delta", "files", "files on s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Connection:
    if request.param == "delta":
        return ematix.DeltaConnection("lake", path=str(tmp_path))
    if request.param == "files":
        return ematix.ObjectStoreConnection("lake", path=str(tmp_path))
    return on_s3(request.getfixturevalue("s3"))


def on_s3(bucket: Bucket) -> Connection:
    return ematix.ObjectStoreConnection("lake", path=bucket.s3_url, options=bucket.options)


def ids(lake: Connection, table: str = "clicks") -> list[Any]:
    source = registry.source(lake)
    try:
        found = source.read(Query(table=table)).read_all().sort_by("id").column("id").to_pylist()
    finally:
        source.close()
    return found


def rows(lake: Connection) -> list[tuple[Any, ...]]:
    with closing(registry.source(lake)) as source:
        return [tuple(row.values()) for row in source.read(Query(table="clicks")).read_all().to_pylist()]


def test_letters_are_loaded_all_together_or_one_and_those_that_fail_again_say_so(
    kafka: KafkaCluster, topic: str, events: Connection, lake: Connection
) -> None:
    kafka.produce(topic, [GOOD, BAD, BROKEN, ("c", '{"id": "four"}')])
    assert declared(topic, events, lake).consume(until_idle=True).targets[0].dead == 3
    mended = declared(topic, events, lake, "CASE WHEN CAST(id AS TEXT) = 'two' THEN 2 ELSE CAST(id AS BIGINT) END")
    broken, four = (f"{topic}/{topic}:0/{offset}" for offset in (2, 3))
    assert park_letters(mended, letter_ids=[four]) == 1
    done = replay_letters(mended)
    assert (done.loaded, list(done.failed)) == (1, [broken])
    assert find_letters(mended, broken)[0]["attempt"] == 2
    assert list_letters(mended).counts == {"new": 1, "parked": 1, "replayed": 1}
    assert list(replay_letters(mended, letter_ids=[four]).failed) == [four]
    assert replay_letters(mended, letter_ids=[four], value=b'{"id": 4}').loaded == 1
    assert (ids(lake), find_letters(mended, four)[0]["attempt"]) == ([1, 2, 4], 2)
    assert purge_letters(mended, states=["replayed"]) == 2
    assert replay_letters(mended, letter_ids=[broken], value=b'{"id": 3}').loaded == 1
    assert ids(lake) == [1, 2, 3, 4]


def test_of_two_replays_at_once_one_loads_the_letters_and_the_other_says_so(
    kafka: KafkaCluster, topic: str, events: Connection, lake: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.produce(topic, [GOOD, BAD])
    declared(topic, events, lake).consume(until_idle=True)
    mended = declared(topic, events, lake, "coalesce(TRY_CAST(id AS BIGINT), 2)")
    before(monkeypatch, Landing, "land_again", lambda: replay_letters(mended))
    with pytest.raises(ConflictError, match="replayed by somebody else"):
        replay_letters(mended)
    assert ids(lake) == [1, 2]
    assert list_letters(mended).counts == {"new": 0, "parked": 0, "replayed": 1}


def test_a_replay_that_commits_second_to_files_without_a_lock_loads_nothing(
    kafka: KafkaCluster, topic: str, events: Connection, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = on_s3(s3)
    kafka.produce(topic, [GOOD, BAD])
    declared(topic, events, lake).consume(until_idle=True)
    mended = declared(topic, events, lake, "coalesce(TRY_CAST(id AS BIGINT), 2)")
    before(monkeypatch, objects, "publish", lambda: replay_letters(mended))
    with pytest.raises(ConflictError, match="another writer has committed version 2 of clicks"):
        replay_letters(mended)
    assert ids(lake) == [1, 2]
    assert list_letters(mended).counts == {"new": 0, "parked": 0, "replayed": 1}


def test_a_letter_that_came_again_after_its_replay_is_a_new_one(
    kafka: KafkaCluster, topic: str, events: Connection, lake: Connection
) -> None:
    stream = declared(topic, events, lake)
    kafka.produce(topic, [GOOD, BAD])
    letter = f"{topic}/{topic}:0/1"
    assert stream.consume(until_idle=True).targets[0].dead == 1
    assert replay_letters(stream, letter_ids=[letter], value=b'{"id": 2}').loaded == 1
    assert list_letters(stream).counts == {"new": 0, "parked": 0, "replayed": 1}
    assert stream.consume(until_idle=True, start="earliest").targets[0].dead == 1
    assert list(replay_letters(stream).failed) == [letter]
    assert list_letters(stream).counts == {"new": 1, "parked": 0, "replayed": 1}


def test_a_letter_that_is_there_twice_is_loaded_once(
    kafka: KafkaCluster, topic: str, events: Connection, lake: Connection
) -> None:
    """As after a crash between the commit of letters and that of their rows."""
    stream = declared(topic, events, lake)
    kafka.produce(topic, [BAD, GOOD])
    stream.consume(until_idle=True)
    stream.consume(until_idle=True, start="earliest")
    assert list_letters(stream).counts == {"new": 2, "parked": 0, "replayed": 0}
    assert replay_letters(declared(topic, events, lake, "coalesce(TRY_CAST(id AS BIGINT), 2)")).loaded == 1
    assert list_letters(stream).counts == {"new": 0, "parked": 0, "replayed": 2}
    assert ids(lake) == [1, 1, 2]


@pytest.mark.parametrize("kind", ["sqlite", "delta", "files"])
def test_targets_that_share_a_table_of_letters_each_load_their_own(
    kafka: KafkaCluster, topic: str, events: Connection, kind: str, tmp_path: Path
) -> None:
    store: Connection = {
        "sqlite": ematix.SQLiteConnection("store", path=str(tmp_path / "store.sqlite")),
        "delta": ematix.DeltaConnection("store", path=str(tmp_path)),
        "files": ematix.ObjectStoreConnection("store", path=str(tmp_path)),
    }[kind]

    def both(sql: str) -> Stream:
        into = [ematix.target(name, connection=store) for name in ("clicks", "copies")]
        return ematix.stream(
            topic, source=events, source_query=topic, targets=into, on_error="dead_letter", dead_letter="dead",
            transform_sql=f"SELECT {sql} AS id FROM source",
        )  # fmt: skip

    kafka.produce(topic, [GOOD, BAD])
    stream = both("CAST(id AS BIGINT)")
    stream.consume(until_idle=True)
    assert list_letters(stream).counts["new"] == 2
    assert replay_letters(both("coalesce(TRY_CAST(id AS BIGINT), 2)")).loaded == 2
    assert list_letters(stream).counts == {"new": 0, "parked": 0, "replayed": 2}
    assert (ids(store), ids(store, "copies")) == ([1, 2], [1, 2])


def test_letters_that_bring_no_rows_are_marked(
    kafka: KafkaCluster, topic: str, events: Connection, lake: Connection
) -> None:
    kafka.produce(topic, [GOOD, BAD])
    declared(topic, events, lake).consume(until_idle=True)
    mended = declared(topic, events, lake, "unnest([TRY_CAST(id AS BIGINT)][:0])")
    assert replay_letters(mended).loaded == 1
    assert list_letters(mended).counts == {"new": 0, "parked": 0, "replayed": 1}


HEADERS: list[tuple[str, str | bytes | None]] = [("h", b"\xff\x00"), ("h", b"again"), ("none", None), ("empty", b"")]
NAMED = "CAST(id AS BIGINT) AS id, len(_headers) AS number, _headers[1].value AS first, _topic AS topic, _offset AS at"


@pytest.mark.parametrize("where", ["sqlite", "files", "topic"])
def test_a_letter_comes_again_with_its_headers_and_its_topic(
    kafka: KafkaCluster, topic: str, events: Connection, tmp_path: Path, where: str
) -> None:
    lake: Connection = (
        ematix.SQLiteConnection("lake", path=str(tmp_path / "lake.db"))
        if where == "sqlite"
        else ematix.ObjectStoreConnection("lake", path=str(tmp_path))
    )
    sql = f"SELECT {NAMED} FROM source"
    options: dict[str, Any] = {"transform_sql": sql}
    target = lake
    if where == "topic":
        options |= {"target_table": kafka.topic("out"), "dead_letter": kafka.topic("dead")}
        target = events
    kafka.produce(topic, [(None, '{"id": "1"}'), ("b", '{"id": "two"}', HEADERS), ("c", '{"id": "x"}')])
    assert declared(topic, events, target, **options).consume(until_idle=True).targets[0].dead == 2
    options["transform_sql"] = sql.replace("CAST(id AS BIGINT)", "coalesce(TRY_CAST(id AS BIGINT), 2)")
    assert replay_letters(declared(topic, events, target, **options)).loaded == 2
    wanted = [(1, None, None, topic, 0), (2, 4, b"\xff\x00", topic, 1), (2, None, None, topic, 2)]
    if where == "topic":
        found = [json.loads(one.value() or b"") for one in kafka.consume(options["target_table"], 10)]
        assert [(one["id"], one["number"], one["topic"], one["at"]) for one in found] == [
            (one[0], one[1], *one[3:]) for one in wanted
        ]
        return
    assert sorted(rows(lake), key=lambda one: int(one[4])) == wanted


def test_letters_of_an_older_table_have_no_headers_and_newer_ones_widen_it(
    kafka: KafkaCluster, topic: str, events: Connection, tmp_path: Path
) -> None:
    lake = ematix.SQLiteConnection("lake", path=str(tmp_path / "lake.db"))
    stream = declared(topic, events, lake, transform_sql=f"SELECT {NAMED} FROM source")
    kafka.produce(topic, [(None, '{"id": "1"}'), ("b", '{"id": "two"}', HEADERS)])
    stream.consume(until_idle=True)
    with closing(sqlite3.connect(tmp_path / "lake.db")) as connection:
        connection.execute("ALTER TABLE clicks_dead_letters DROP COLUMN record_headers")
        connection.commit()
    letter, later = (f"{topic}/{topic}:0/{offset}" for offset in (1, 2))
    assert find_letters(stream, letter)[0]["record_key"] == b"b"
    assert replay_letters(stream, letter_ids=[letter], value=b'{"id": 2}').loaded == 1
    kafka.produce(topic, [("c", '{"id": "three"}', HEADERS)])
    stream.consume(until_idle=True)
    assert replay_letters(stream, letter_ids=[later], value=b'{"id": 3}').loaded == 1
    assert [row[:3] for row in sorted(rows(lake), key=str)] == [(1, None, None), (2, None, None), (3, 4, b"\xff\x00")]


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
