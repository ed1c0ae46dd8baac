"""Many bad records among a topic's: found within seconds, with few connections; and a stop is heeded meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.mysql.connection import Database
from ematix_core.backends.postgres.link import Link
from ematix_core.backends.protocols import Query
from ematix_core.errors import BadRowError
from ematix_core.model.connection import make_connection
from ematix_core.streaming.dead_letters import list_letters
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from tests.servers.kafka import KafkaCluster

SQL = "SELECT id, CAST(price AS DECIMAL(10, 2)) AS price FROM source"
TABLE = "CREATE TABLE clicks (id BIGINT, price DECIMAL(10, 2), CHECK (price < 1000))"
ODD_KINDS = ("sqlite", "duckdb", "delta", "objects", "postgres", "mysql")


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Connection]:
    """Yield an empty database or folder of the kind."""
    if kind in {"postgres", "mysql", "mariadb"}:
        with database(kind) as url:
            yield make_connection("place", "mysql" if kind == "mariadb" else kind, {"url": url})
    else:
        settings = {"format": "parquet"} if kind == "objects" else {}
        yield make_connection("place", kind, {"path": str(folder / f"place.{kind}"), **settings})


@pytest.fixture
def events(kafka: KafkaCluster) -> ematix.Connection:
    return ematix.KafkaConnection("events", url=kafka.url)


@pytest.fixture
def clicks(kafka: KafkaCluster) -> str:
    return kafka.topic("clicks")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """Return the connections to servers that are opened, by their class."""
    found: list[type] = []
    for link in (Link, Database):
        begin = link.__init__

        def noted(self: Any, *args: Any, begin: Any = begin, **named: Any) -> None:  # noqa: ANN401 - of either class
            found.append(type(self))
            begin(self, *args, **named)

        monkeypatch.setattr(link, "__init__", noted)
    return found


def into(target: Connection, source: Connection, topic: str, **options: Any) -> ematix.Stream:  # noqa: ANN401 - those of a stream
    return ematix.stream(
        "clicks", source=source, source_query=topic, target=target, target_table="clicks",
        **{"transform_sql": SQL, "on_error": "dead_letter", **options},
    )  # fmt: skip


def loaded(connection: Connection) -> list[dict[str, Any]]:
    source = registry.source(connection)
    try:
        found = source.read(Query(table="clicks")).read_all().to_pylist()
    finally:
        source.close()
    return sorted(found, key=lambda row: row["id"])


def some(of: int, part: int) -> list[int]:
    return sorted(random.Random(5).sample(range(of), of // part))  # noqa: S311 - which are bad is no secret


def write(kafka: KafkaCluster, topic: str, count: int, bad: list[int], price: str) -> None:
    prices = dict.fromkeys(bad, price)
    kafka.produce(
        topic, [(str(n), json.dumps({"id": n, "price": prices.get(n, f"{n % 999}.50")})) for n in range(count)]
    )


def check(stream: ematix.Stream, topic: str, count: int, bad: list[int], error: str) -> None:
    """Consume, and require that all but the bad records are loaded, and each of these is a letter of its own."""
    assert stream.consume(until_idle=True).targets[0].dead == len(bad)
    target = stream.targets[0].connection
    assert isinstance(target, ematix.Connection)
    kept = set(range(count)) - set(bad)
    assert [row["id"] for row in loaded(target)] == sorted(kept)
    letters = list_letters(stream, limit=count).letters
    assert {one["letter_id"] for one in letters} == {f"clicks/{topic}:0/{number}" for number in bad}
    assert all(error in one["error"] for one in letters)
    assert len(letters) == len(bad)


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_many_records_that_the_sql_refuses_are_found_within_seconds(
    kafka: KafkaCluster, clicks: str, events: Connection, tmp_path: Path, kind: str
) -> None:
    bad = some(50_000, 100)
    write(kafka, clicks, 50_000, bad, "much")
    with place(kind, tmp_path) as target:
        began = time.monotonic()
        check(into(target, events, clicks), clicks, 50_000, bad, "Could not convert string")
        assert time.monotonic() - began < 30  # it takes 4 s; with an attempt for each step of a search by halves, 50


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "duckdb"])
def test_records_that_the_target_refuses_are_found_over_few_connections(
    kafka: KafkaCluster, events: Connection, tmp_path: Path, kind: str, opened: list[type]
) -> None:
    clicks = kafka.topic("clicks")
    bad = some(4_000, 100)
    write(kafka, clicks, 4_000, bad, "5000.00")
    with place(kind, tmp_path) as target:
        if kind == "duckdb":
            with duckdb.connect(str(tmp_path / "place.duckdb")) as made:
                made.execute(TABLE)
        else:
            execute(str(target.settings()["url"]), TABLE)
        stream = into(target, events, clicks)
        began = len(opened)
        assert stream.consume(until_idle=True).targets[0].dead == 40
        assert len(opened) - began <= 20
        assert [row["id"] for row in loaded(target)] == sorted(set(range(4_000)) - set(bad))
        assert len(list_letters(stream, limit=100).letters) == 40


def test_a_row_that_postgres_tells_is_the_one_that_it_means_beside_older_rows_of_its_key(
    kafka: KafkaCluster, clicks: str, events: Connection, tmp_path: Path
) -> None:
    records = [{"id": number % 50, "price": "5000" if number in {120, 149} else "1"} for number in range(150)]
    kafka.produce(clicks, [(None, json.dumps(one)) for one in records])
    with place("postgres", tmp_path) as target:
        execute(str(target.settings()["url"]), TABLE)
        stream = ematix.stream(
            "clicks", source=events, source_query=clicks, transform_sql=SQL, on_error="dead_letter",
            targets=[ematix.target("clicks", connection=target, mode=ematix.merge(keys=["id"]))],
        )  # fmt: skip
        assert stream.consume(until_idle=True).targets[0].dead == 2
        assert [row["price"] for row in loaded(target)] == [1] * 50
        places = {one["letter_id"].rpartition("/")[2] for one in list_letters(stream).letters}
        assert places == {"120", "149"}


def test_lines_of_a_copy_in_text_are_not_taken_for_rows(
    kafka: KafkaCluster, clicks: str, events: Connection, tmp_path: Path
) -> None:
    records = [{"id": number, "note": "several\nlines", "host": "10.0.0.1"} for number in range(100)]
    kafka.produce(clicks, [(None, json.dumps(one)) for one in records])
    with place("postgres", tmp_path) as target:
        made = "CREATE TABLE clicks (id BIGINT, note TEXT, host INET, CHECK (id NOT IN (30, 31, 80)))"
        execute(str(target.settings()["url"]), made)
        assert into(target, events, clicks, transform_sql="").consume(until_idle=True).targets[0].dead == 3
        assert [row["id"] for row in loaded(target)] == [n for n in range(100) if n not in {30, 31, 80}]


@pytest.mark.parametrize("kind", ODD_KINDS)
def test_an_odd_value_is_kept_aside_and_the_stream_goes_on(
    kafka: KafkaCluster, clicks: str, events: Connection, tmp_path: Path, kind: str
) -> None:
    big = 9007199254740993
    with place(kind, tmp_path) as target:
        stream = into(target, events, clicks, transform_sql="")
        kafka.produce(clicks, [(None, json.dumps({"id": number, "big": big + number})) for number in range(1_000)])
        assert stream.consume(until_idle=True).targets[0].inserted == 1_000
        odd: dict[int, dict[str, Any]] = {
            1_005: {"id": "x", "big": 1}, 1_006: {"id": "7", "big": big + 7}, 1_400: {"id": 1_400, "big": 1.5}
        }  # fmt: skip
        more = [odd.get(number, {"id": number, "big": big + number}) for number in range(1_000, 2_000)]
        kafka.produce(clicks, [(None, json.dumps(one)) for one in more])
        done = stream.consume(until_idle=True).targets[0]
        assert (done.inserted, done.dead) == (998, 2)
        assert all(row["big"] == big + row["id"] for row in loaded(target))
        told = {one["letter_id"].rpartition("/")[2]: one["error"] for one in list_letters(stream).letters}
        assert told == {
            "1005": "field 'id': \"x\" does not fit BigInt: it is no number",
            "1400": "field 'big': 1.5 does not fit BigInt: it is no whole number",
        }


def test_an_odd_value_that_comes_alone_is_kept_aside_too(
    kafka: KafkaCluster, clicks: str, events: Connection, tmp_path: Path
) -> None:
    with place("sqlite", tmp_path) as target:
        stream = into(target, events, clicks, transform_sql="")
        for message, inserted, dead in (('{"id": 1}', 1, 0), ('{"id": "x"}', 0, 1), ('{"id": 2}', 1, 0)):
            kafka.produce(clicks, [(None, message)])
            done = stream.consume(until_idle=True).targets[0]
            assert (done.inserted, done.dead) == (inserted, dead)
        assert [row["id"] for row in loaded(target)] == [1, 2]


def test_an_odd_value_ends_a_stream_that_is_to_fail(
    kafka: KafkaCluster, clicks: str, events: Connection, tmp_path: Path
) -> None:
    with place("sqlite", tmp_path) as target:
        stream = into(target, events, clicks, transform_sql="", on_error="fail")
        kafka.produce(clicks, [(None, '{"id": 1}')])
        stream.consume(until_idle=True)
        kafka.produce(clicks, [(None, '{"id": 2}'), (None, '{"id": "x"}')])
        with pytest.raises(BadRowError, match=r"""field 'id': "x" does not fit BigInt.*partition .*, offset 2"""):
            stream.consume(until_idle=True)
        assert [row["id"] for row in loaded(target)] == [1]


PROJECT = """
import ematix_core as ematix

events = ematix.KafkaConnection("events", url={url!r})
store = ematix.SQLiteConnection("store", path="store.sqlite")
clicks = ematix.stream(
    "clicks", source=events, source_query={topic!r}, target=store, target_table="clicks", on_error="dead_letter",
    transform_sql={sql!r},
)
"""
# It treats no row by itself, so that each bad one has to be looked for.
SLOW = "SELECT id, CAST(price AS DECIMAL(10, 2)) AS price, count(*) OVER () AS n FROM source"


def test_sigterm_during_a_search_ends_it_and_the_next_consumer_reads_the_batch_again(
    kafka: KafkaCluster, clicks: str, events: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(kafka, clicks, 10_000, some(10_000, 4), "much")
    (tmp_path / "shop.py").write_text(PROJECT.format(url=kafka.url, topic=clicks, sql=SLOW))
    command = [sys.executable, "-m", "ematix_core", "consume", "clicks", "-m", "shop.py"]
    env = {**os.environ, "EMATIX_STORE": f"sqlite:///{tmp_path}/runs.db"}
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "are looked for" in line:
                break
        assert "stream clicks, clicks: some records of a micro-batch cannot be loaded" in line
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert time.monotonic() - began < 15
    store = ematix.SQLiteConnection("store", path="store.sqlite")
    stream = into(store, events, clicks, transform_sql=SQL)
    done = stream.consume(until_idle=True).targets[0]
    assert (done.inserted, done.dead) == (7_500, 2_500)
    assert len(loaded(store)) == 7_500
