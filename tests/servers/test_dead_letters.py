"""Dead letters in a PostgreSQL table and in files: listed, shown, parked and purged, while others come."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ematix_core.backends import registry
from ematix_core.backends.objects import session as objects
from ematix_core.backends.protocols import Query
from ematix_core.model.connection import ObjectStoreConnection, PostgresConnection
from ematix_core.model.stream import stream
from ematix_core.streaming.dead_letters import find_letters, list_letters, park_letters, purge_letters, unpark_letters
from tests.servers.meanwhile import before
from tests.servers.reach import database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.stream import Stream
    from tools.servers.bucket import Bucket

A1, A2, B1 = "orders/a.parquet/1", "orders/a.parquet/2", "orders/b.parquet/1"


def put(folder: Path, name: str, values: list[str]) -> None:
    """Write a file with the keys 1, 2, ... that is old enough to be read."""
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"k": range(1, len(values) + 1), "v": values}), folder / name)
    os.utime(folder / name, (time.time() - 60,) * 2)


def declared(folder: Path, store: Connection) -> Stream:
    made: Stream = stream(
        "orders", source=ObjectStoreConnection("files", path=str(folder)), source_query="*.parquet", target=store,
        target_table="orders", transform_sql="SELECT k, CAST(v AS INTEGER) AS v FROM source", on_error="dead_letter",
    )  # fmt: skip
    return made


def on_s3(bucket: Bucket) -> Connection:
    return ObjectStoreConnection("store", path=bucket.s3_url, options=bucket.options)


@pytest.fixture(params=["postgres", "parquet", "orc", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    if request.param == "postgres":
        with database("postgres") as url:
            yield PostgresConnection("store", url=url)
    elif request.param == "s3":
        yield on_s3(request.getfixturevalue("s3"))
    else:
        yield ObjectStoreConnection("store", path=str(tmp_path / "store"), format=request.param)


def test_letters_are_listed_parked_and_purged(store: Connection, tmp_path: Path) -> None:
    put(tmp_path / "in", "a.parquet", ["1", "b", "c"])
    orders = declared(tmp_path / "in", store)
    orders.consume(until_idle=True)
    assert [letter["letter_id"] for letter in list_letters(orders).letters] == [A2, A1]
    assert find_letters(orders, A2)[0]["record_value"] == b'{"k": 3, "v": "c"}'
    assert (park_letters(orders, letter_ids=[A2]), unpark_letters(orders), park_letters(orders)) == (1, 1, 2)
    assert list_letters(orders).counts == {"new": 0, "parked": 2, "replayed": 0}
    assert find_letters(orders, A2)[0]["record_value"] == b'{"k": 3, "v": "c"}'
    put(tmp_path / "in", "b.parquet", ["1", "b"])
    orders.consume(until_idle=True)
    assert purge_letters(orders, before=datetime.now(UTC) - timedelta(days=1)) == 0
    assert purge_letters(orders, states=["parked"]) == 2
    assert [letter["letter_id"] for letter in list_letters(orders).letters] == [B1]
    assert purge_letters(orders, before=datetime.now(UTC) + timedelta(seconds=1)) == 1
    assert list_letters(orders).letters == ()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Connection, float | None]:
    """Files, and how many seconds another writer is given: in a folder it waits for its turn, in S3 it commits."""
    if request.param == "s3":
        return on_s3(request.getfixturevalue("s3")), None
    return ObjectStoreConnection("store", path=str(tmp_path / "store")), 0.5


def begun(work: Callable[[], Any], seconds: float | None) -> Thread:
    """Begin the work and return after it has ended, or so many seconds."""
    thread = Thread(target=work)
    thread.start()
    thread.join(seconds)
    assert thread.is_alive() is (seconds is not None)
    return thread


def verdict(orders: Stream, store: Connection) -> tuple[dict[str, str], list[Any]]:
    """Return the state of each letter, and the rows that were loaded, in order."""
    letters = list_letters(orders)
    assert sum(letters.counts.values()) == len(letters.letters)
    source = registry.source(store)
    try:
        rows = source.read(Query(table="orders")).read_all()
    finally:
        source.close()
    return {one["letter_id"]: one["state"] for one in letters.letters}, rows.sort_by("v").column("v").to_pylist()


def test_a_letter_that_comes_while_another_is_parked_stays(
    place: tuple[Connection, float | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer commits after the command has read the letters and before it commits itself."""
    store, seconds = place
    orders = declared(tmp_path / "in", store)
    put(tmp_path / "in", "a.parquet", ["1", "b"])
    orders.consume(until_idle=True)
    put(tmp_path / "in", "b.parquet", ["2", "b"])
    threads: list[Thread] = []

    def consume() -> None:
        threads.append(begun(lambda: orders.consume(until_idle=True), seconds))

    before(monkeypatch, objects, "publish", consume)
    assert park_letters(orders, letter_ids=[A1]) == 1
    threads[0].join(30)
    assert verdict(orders, store) == ({A1: "parked", B1: "new"}, [1, 2])


def test_a_letter_that_is_parked_while_another_comes_is_parked(
    place: tuple[Connection, float | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command commits after the consumer has added its letter and before that one commits."""
    store, seconds = place
    orders = declared(tmp_path / "in", store)
    put(tmp_path / "in", "a.parquet", ["1", "b"])
    orders.consume(until_idle=True)
    put(tmp_path / "in", "b.parquet", ["2", "b"])
    threads: list[Thread] = []

    def park() -> None:
        threads.append(begun(lambda: park_letters(orders, letter_ids=[A1]), seconds))

    before(monkeypatch, objects, "publish", park)
    orders.consume(until_idle=True)
    threads[0].join(30)
    assert verdict(orders, store) == ({A1: "parked", B1: "new"}, [1, 2])
