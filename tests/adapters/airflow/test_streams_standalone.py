"""Streams from a real broker under a real scheduler, triggerer and workers: a wait for messages, a killed worker."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pytest

from ematix_core.orchestration import Site
from tests.adapters.airflow.standalone import standalone
from tests.servers.reach import database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ematix_core.store import ConsumerState
    from tests.adapters.airflow.standalone import Airflow
    from tests.servers.kafka import KafkaCluster

PROJECT = """
import ematix_core as ematix

events = ematix.KafkaConnection("events", url={kafka!r})
warehouse = ematix.PostgresConnection("warehouse", url={postgres!r})
clicks = ematix.stream("clicks", source=events, source_query={clicks!r}, target=warehouse, target_table="clicks")
orders = ematix.stream(
    "orders", source=events, source_query={orders!r}, target=warehouse, target_table="orders", batch_seconds=0.2
)
"""
DAGS = """
from airflow.sdk import DAG
from ematix_airflow import to_dag
from ematix_provider.operators import EmatixStreamOperator

orders = to_dag("orders", "pipelines")

with DAG("waiting", schedule=None):
    EmatixStreamOperator(task_id="it", stream="clicks", rest_after=2, poll_interval=0.5, modules=["pipelines"])
"""
PARTITIONS = 2


class Shop:
    """The project, its topics and its tables."""

    def __init__(self, folder: Path, kafka: KafkaCluster, postgres: str) -> None:
        self.folder, self._kafka, self._postgres = folder, kafka, postgres
        self.clicks, self.orders = (kafka.topic(name, PARTITIONS) for name in ("clicks", "orders"))
        folder.mkdir()
        text = PROJECT.format(kafka=kafka.url, postgres=postgres, clicks=self.clicks, orders=self.orders)
        (folder / "pipelines.py").write_text(text)
        (folder / "ematix.toml").write_text("")
        (folder / "shop.py").write_text(DAGS)

    def produce(self, topic: str, numbers: range) -> None:
        self._kafka.produce(topic, [(str(number), f'{{"id": {number}}}') for number in numbers])

    def ids(self, table: str) -> list[int]:
        """Return the ids in the table in their order; none while it is not there."""
        with psycopg.connect(self._postgres) as connection:
            if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
                return []
            return [row[0] for row in connection.execute(f"SELECT id FROM {table} ORDER BY id")]

    def consumers(self, stream: str) -> list[ConsumerState]:
        with Site(directory=str(self.folder), modules=("pipelines.py",)).opened() as site:
            return sorted(site.store.consumers(stream), key=lambda one: one.started_at)

    def at_work(self, stream: str) -> list[ConsumerState]:
        """Return the consumers that are at work, and have loaded something."""
        return [one for one in self.consumers(stream) if one.status == "running" and one.stats["records"]]

    @contextmanager
    def arriving(self, topic: str, seconds: float) -> Iterator[list[int]]:
        """Have messages arrive all the time, for so long; the list has their ids when the block has ended."""
        sent: list[int] = []

        def send() -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                numbers = range(len(sent), len(sent) + 100)
                self.produce(topic, numbers)
                sent.extend(numbers)
                time.sleep(0.2)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield sent
        finally:
            thread.join()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, kafka: KafkaCluster) -> Iterator[Shop]:
    with database("postgres") as postgres:
        yield Shop(tmp_path_factory.mktemp("airflow") / "dags", kafka, postgres)


@pytest.fixture(scope="module")
def airflow(shop: Shop) -> Iterator[Airflow]:
    with standalone(shop.folder.parent, shop.folder) as running:
        running.wait(lambda: len(running.get("dags?limit=100")["dags"]) == 2, "the DAGs do not come")
        yield running


def consume_task(airflow: Airflow) -> Any:  # noqa: ANN401 - what JSON can hold
    """Return the task of the one DagRun of `orders`."""
    (run,) = airflow.runs("orders")
    path = f"dags/orders/dagRuns/{quote(run['dag_run_id'])}/taskInstances/consume"
    return airflow.get(path)


def assert_one_at_a_time(consumers: list[ConsumerState]) -> None:
    """No consumer began while the one before still said that it was at work."""
    for before, after in itertools.pairwise(consumers):
        assert before.heartbeat_at <= after.started_at, (before, after)


def test_a_stream_holds_no_worker_while_nothing_comes_and_loads_what_does(airflow: Airflow, shop: Shop) -> None:
    shop.produce(shop.clicks, range(10))
    run = airflow.start("waiting")
    for count in (10, 15, 40):
        airflow.wait(lambda: airflow.states("waiting", run) == {"it": "deferred"}, "it is not deferred")
        assert shop.ids("clicks") == list(range(len(shop.ids("clicks"))))
        shop.produce(shop.clicks, range(len(shop.ids("clicks")), count))
        airflow.wait(lambda: shop.ids("clicks") == list(range(count)), f"{count} messages do not arrive")  # noqa: B023 - called at once
    airflow.wait(lambda: airflow.states("waiting", run) == {"it": "deferred"}, "it is not deferred again")
    known = shop.consumers("clicks")
    assert len(known) == 3
    assert [one.status for one in known] == ["stopped"] * 3
    assert len({one.pid for one in known}) == 3, "each in a process of its own"
    assert_one_at_a_time(known)


def test_a_worker_that_is_killed_is_followed_by_one_consumer_and_the_rows_are_exact(
    airflow: Airflow, shop: Shop
) -> None:
    with shop.arriving(shop.orders, 20) as sent:
        airflow.wait(lambda: shop.at_work("orders"), "nothing is loaded")
        (first,), before = shop.at_work("orders"), consume_task(airflow)
        os.kill(first.pid, signal.SIGKILL)
    airflow.wait(lambda: len(shop.ids("orders")) >= len(sent), "the rest is not loaded")
    assert shop.ids("orders") == sent
    airflow.wait(lambda: shop.at_work("orders"), "the second consumer does not tell what it has loaded")
    *_, killed, second = known = shop.consumers("orders")
    assert (killed.status, second.status, killed.pid) == ("lost", "running", first.pid)
    assert_one_at_a_time(known)
    assert second.stats["records"] < len(sent), "it went on where the first was"
    after = consume_task(airflow)
    assert (after["try_number"], after["state"]) == (before["try_number"] + 1, "running")
    log = airflow.log("orders", after["dag_run_id"], "consume", after["try_number"])
    assert "another consumer of stream orders is at work, or was until now" in log
