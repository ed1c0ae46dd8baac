"""JSON messages without a declared schema are read by the types of the table that is there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import ematix_core as ematix
from ematix_core.backends import registry
from ematix_core.backends.protocols import Query
from ematix_core.model.connection import make_connection
from ematix_core.streaming.dead_letters import list_letters
from tests.servers.reach import database, execute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from tests.servers.kafka import KafkaCluster

TABLES = {
    "postgres": "seen TIMESTAMPTZ, note VARCHAR(8), tags JSONB",
    "mysql": "seen TIMESTAMP(6), note VARCHAR(8), tags JSON",
    "duckdb": "seen TIMESTAMPTZ, note VARCHAR, tags JSON",
}
SEEN = datetime(2026, 1, 31, 10, 30, tzinfo=UTC)
ROW = {"price": 1.5, "day": "2026-01-31", "seen": "2026-01-31T12:30:00+02:00", "note": "n", "tags": {"a": [1]}}
ODD: dict[int, dict[str, Any]] = {
    3: {"id": 3_000_000_000}, 4: {"qty": 1.5}, 5: {"price": 1.005}, 6: {"day": "31.1.2026"}, 7: {"seen": "2026-01-31"},
}  # fmt: skip


@contextmanager
def table(kind: str, folder: Path) -> Iterator[Connection]:
    """Yield a database with an empty table `orders` that somebody else made."""
    made = f"CREATE TABLE orders (id INTEGER, qty SMALLINT, price DECIMAL(10, 2), day DATE, {TABLES[kind]})"
    if kind == "duckdb":
        path = str(folder / "place.duckdb")
        with duckdb.connect(path) as there:
            there.execute(made)
        yield make_connection("place", kind, {"path": path})
    else:
        with database(kind) as url:
            execute(url, made)
            yield make_connection("place", kind, {"url": url})


def rows(place: Connection) -> list[tuple[Any, ...]]:
    source = registry.source(place)
    try:
        found = source.read(Query(sql="SELECT * FROM orders ORDER BY id")).read_all().to_pylist()
    finally:
        source.close()
    return [tuple(row.values()) for row in found]


@pytest.mark.parametrize("sql", ["", "SELECT id, qty, price, day, seen, note, tags FROM source WHERE extra"])
@pytest.mark.parametrize("kind", list(TABLES))
def test_messages_fill_a_table_of_somebody_else(kafka: KafkaCluster, tmp_path: Path, kind: str, sql: str) -> None:
    topic = kafka.topic("orders")
    more = {"extra": True} if sql else {}
    messages = [{"id": number, "qty": number, **ROW} | ODD.get(number, {}) | more for number in range(1, 101)]
    kafka.produce(topic, [(None, json.dumps(one)) for one in messages])
    with table(kind, tmp_path) as place:
        stream = ematix.stream(
            topic, source=ematix.KafkaConnection("events", url=kafka.url), source_query=topic, target=place,
            target_table="orders", transform_sql=sql, on_error="dead_letter",
        )  # fmt: skip
        done = stream.consume(until_idle=True).targets[0]
        assert (done.inserted, done.dead) == (95, 5)
        found = rows(place)
        assert found[0][:6] == (1, 1, Decimal("1.50"), date(2026, 1, 31), SEEN, "n")
        assert json.loads(found[0][6]) == {"a": [1]}
        assert [row[0] for row in found] == [number for number in range(1, 101) if number not in ODD]
        errors = {int(one["letter_id"].rpartition("/")[2]): one["error"] for one in list_letters(stream).letters}
        assert {number: error.split("'")[1] for number, error in errors.items()} == {
            number - 1: next(iter(one)) for number, one in ODD.items()
        }


def test_a_table_that_the_first_messages_made_says_the_types_of_the_next(kafka: KafkaCluster, tmp_path: Path) -> None:
    topic = kafka.topic("orders")
    place = ematix.DuckDBConnection("place", path=str(tmp_path / "place.duckdb"))
    kafka.produce(topic, [(None, f'{{"id": {number}, "price": {number}.5}}') for number in range(10)])
    kafka.produce(topic, [(None, '{"id": 10, "price": 10}'), (None, '{"id": "x", "price": 1}')])
    stream = ematix.stream(
        topic, source=ematix.KafkaConnection("events", url=kafka.url), source_query=topic, target=place,
        target_table="orders", on_error="dead_letter", batch_rows=10,
    )  # fmt: skip
    done = stream.consume(until_idle=True).targets[0]
    assert (done.inserted, done.dead) == (11, 1)
    assert rows(place)[-1] == (10, 10.0)
