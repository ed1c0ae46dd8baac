"""Logs of changes from a topic into every kind of table: current state and history are what the log makes of them."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import pytest

import ematix_core as ematix
from ematix_core import pk
from ematix_core.backends import registry as backends
from ematix_core.backends.protocols import Query
from ematix_core.codecs.registry import open_registry
from ematix_core.model.connection import make_connection
from ematix_core.model.mode import Scd2
from ematix_core.types import BigInt, Integer, Text  # noqa: TC001 - the table decorator reads them
from tests.servers.change_logs import ChangeLog
from tests.servers.reach import database
from tests.unit.codecs.debezium import recorded_avro

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ematix_core.model.connection import Connection
    from ematix_core.model.mode import Merge
    from tests.servers.kafka import KafkaCluster

KINDS = ("sqlite", "duckdb", "delta", "postgres", "mysql", "mariadb")
SEEDS = range(20 if os.environ.get("EMATIX_SOAK") else 1)
EVENTS = {"envelope": "debezium"}


@ematix.table()
class Orders:
    id: Annotated[BigInt, pk()]
    name: Text | None
    quantity: Integer


@ematix.table(name="orders")
class Ordered:
    id: Annotated[BigInt, pk()]
    name: Text | None
    quantity: Integer
    _source_order: Text | None


@ematix.table(name="orders")
class Versions:
    id: BigInt
    name: Text | None
    quantity: Integer


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    kind = str(request.param)
    with ExitStack() as stack:
        if kind in {"postgres", "mysql", "mariadb"}:
            settings = {"url": stack.enter_context(database(kind))}
        else:
            settings = {"path": str(tmp_path / f"target.{kind}")}
        yield make_connection("target", "mysql" if kind == "mariadb" else kind, settings)


def rows_of(connection: Connection, table: str = "orders") -> list[dict[str, Any]]:
    source = backends.source(connection)
    try:
        found: list[dict[str, Any]] = source.read(Query(table=table)).read_all().to_pylist()
    finally:
        source.close()
    return found


def consumed(
    kafka: KafkaCluster, target: Connection, mode: Merge | Scd2, parts: Sequence[Any], chance: random.Random
) -> None:
    """Bring each part into a topic and consume it, in micro-batches of another size each time."""
    topic = kafka.topic("orders", partitions=2)
    table = Versions if isinstance(mode, Scd2) else Ordered if mode.order_by else Orders
    for part in parts:
        kafka.produce(topic, part())
        stream = ematix.stream(
            "orders", source=ematix.KafkaConnection("events", url=kafka.url), source_query=topic, target=target,
            target_table=table, mode=mode, format_options=EVENTS, batch_rows=chance.randint(3, 60),
        )  # fmt: skip
        stream.consume(until_idle=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_current_state_is_the_source_s_table(kafka: KafkaCluster, target: Connection, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same log each time
    log = ChangeLog(chance)
    mode = ematix.merge(deleted_by="_deleted")
    consumed(kafka, target, mode, [log.snapshot, lambda: log.grow(60), lambda: log.grow(40)], chance)
    assert sorted(rows_of(target), key=lambda row: row["id"]) == [log.rows[key] for key in sorted(log.rows)]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_comes_late_changes_nothing_where_the_table_has_the_source_s_order(
    kafka: KafkaCluster, target: Connection, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same log each time
    log = ChangeLog(chance)
    mode = ematix.merge(deleted_by="_deleted", order_by="_source_order")
    parts = [log.snapshot, lambda: log.grow(60), log.late, lambda: log.grow(40), log.late]
    consumed(kafka, target, mode, parts, chance)
    found = [{k: v for k, v in row.items() if k != "_source_order"} for row in rows_of(target)]
    assert sorted(found, key=lambda row: row["id"]) == [log.rows[key] for key in sorted(log.rows)]


@pytest.mark.parametrize("seed", SEEDS)
def test_history_has_each_version_from_its_change_to_the_next(
    kafka: KafkaCluster, target: Connection, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same log each time
    log = ChangeLog(chance)
    mode = ematix.scd2(keys="id", event_time="_event_ts", deleted_by="_deleted")
    parts = [log.snapshot, lambda: log.grow(60), log.late, lambda: log.grow(40), log.late]
    consumed(kafka, target, mode, parts, chance)
    found = [{k: _plain(v) for k, v in row.items() if k != "row_hash"} for row in rows_of(target)]
    wanted = [{k: _plain(v) for k, v in row.items()} for row in log.history()]
    assert sorted(found, key=repr) == sorted(({k: one[k] for k in found[0]} for one in wanted), key=repr)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a row
    return value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value


def test_events_of_avro_are_read_by_the_schemas_of_a_registry(
    kafka: KafkaCluster, registry: ematix.SchemaRegistryConnection
) -> None:
    topic = kafka.topic("orders")
    schemas, messages = recorded_avro("postgres")
    opened = open_registry(registry)
    try:
        ids = [int(opened.register(f"{topic}-value", text)) for text in schemas]
    finally:
        opened.close()
    kafka.produce(topic, [("k", b"\0" + ids[number].to_bytes(4, "big") + body) for number, body in messages])
    target = ematix.DuckDBConnection("lake", path="lake.duckdb")
    stream = ematix.stream(
        "orders", source=ematix.KafkaConnection("events", url=kafka.url), source_query=topic, target=target,
        target_table="orders", mode=ematix.merge(keys="id", deleted_by="_deleted"), format="avro", registry=registry,
        format_options=EVENTS, on_error="dead_letter", on_drift="evolve",
    )  # fmt: skip
    done = stream.consume(until_idle=True).targets[0]
    assert (done.dead, done.inserted) == (1, 3)  # the TRUNCATE is set aside
    found = {row["id"]: (row["customer"], str(row["total"]), row["note"]) for row in rows_of(target)}
    assert found == {1: ("Anne", "7.00", "new"), 20: ("Böll", "-0.01", None), 4: ("Null", "None", None)}
