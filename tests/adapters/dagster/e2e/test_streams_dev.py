"""A real `dagster dev` keeps a stream from a real broker going: killed, terminated, and started again by hand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ematix_core.streaming.sole import holder_of
from tests.adapters.dagster.e2e.dev import Dev
from tests.adapters.dagster.e2e.pages import ended, launch, runs, sensor_errors, terminate
from tests.adapters.dagster.e2e.records import rows, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.kafka import KafkaCluster

PROJECT = Path(__file__).with_name("streams")
JOB = "clicks_job"
EXACT = "SELECT count(*), count(DISTINCT n), min(n), max(n) FROM clicks"
TWO_LOOKS = 12.0
"""Seconds in which the sensor looks twice."""


@pytest.fixture
def topic(kafka: KafkaCluster) -> str:
    return kafka.topic("dagster", partitions=2)


@pytest.fixture
def dev(kafka: KafkaCluster, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dev]:
    monkeypatch.setenv("BROKER", kafka.url)
    monkeypatch.setenv("TOPIC", topic)
    one = Dev(shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__")))
    try:
        one.start()
        yield one
    finally:
        one.stop()


def test_one_consumer_is_kept_going_and_the_table_is_exact(dev: Dev, kafka: KafkaCluster, topic: str) -> None:
    produce(kafka, topic, range(500))
    dev.wait_for(lambda: loaded(dev) == 500, what="the sensor has started a run, and it has loaded all")
    (first,) = runs(dev, JOB)
    produce(kafka, topic, range(500, 1_000))
    dev.wait_for(lambda: loaded(dev) == 1_000, what="what comes later is loaded, too")

    more = threading.Thread(target=slowly, args=(kafka, topic, range(1_000, 3_000)))
    more.start()
    dev.wait_for(lambda: loaded(dev) > 1_200, what="the run is in the middle of it")
    os.kill(consumer(dev)["pid"], signal.SIGKILL)
    assert ended(dev, first["runId"]).status == "FAILURE"
    second = dev.wait_for(lambda: following(dev, first), what="the sensor has started the next run")
    more.join()
    dev.wait_for(lambda: loaded(dev) == 3_000, what="the next run has loaded the rest")
    assert rows(dev.folder, "SELECT count(*), count(DISTINCT n), min(n), max(n) FROM clicks") == [
        (3_000, 3_000, 0, 2_999)
    ]

    terminate(dev, second["runId"])
    seen = ended(dev, second["runId"])
    assert seen.status == "CANCELED"
    told = [event for event in seen.events if event["eventType"] == "MaterializationEvent"]
    assert {"/".join(event["assetKey"]["path"]) for event in told} == {"ledger/clicks"}
    assert consumer(dev)["status"] in {"stopped", "failed"}
    with store_of(dev.folder) as store:
        assert holder_of(store, "clicks") == ""
    time.sleep(TWO_LOOKS)
    assert len(runs(dev, JOB)) == 2, "what somebody has terminated stays so"

    third = launch(dev, JOB)
    produce(kafka, topic, range(3_000, 3_100))
    dev.wait_for(lambda: loaded(dev) == 3_100, what="started by hand, it goes on")
    time.sleep(TWO_LOOKS)
    assert [run["runId"] for run in runs(dev, JOB) if run["status"] == "STARTED"] == [third]
    terminate(dev, third)
    assert ended(dev, third).status == "CANCELED"
    assert len(lives(dev)) == 3
    for one, other in pairwise(lives(dev)):
        assert one["heartbeat_at"] <= other["started_at"], "one consumer at a time"
    assert not sensor_errors(dev)


def produce(kafka: KafkaCluster, topic: str, numbers: range) -> None:
    kafka.produce(topic, [(str(n), json.dumps({"n": n})) for n in numbers])


def slowly(kafka: KafkaCluster, topic: str, numbers: range) -> None:
    """Write the numbers by tens, so that they come for some seconds."""
    for begin in numbers[::10]:
        produce(kafka, topic, range(begin, begin + 10))
        time.sleep(0.02)


def loaded(dev: Dev) -> int:
    """Return how many rows there are; none while there is no table."""
    if not rows(dev.folder, "SELECT 1 FROM sqlite_master WHERE name = 'clicks'"):
        return 0
    ((count,),) = rows(dev.folder, "SELECT count(*) FROM clicks")
    return int(count)


def following(dev: Dev, before: dict[str, Any]) -> dict[str, Any] | None:
    """Return the one run after this one, once it is there."""
    found = [run for run in runs(dev, JOB) if run["runId"] != before["runId"]]
    assert len(found) < 2
    return found[0] if found else None


def lives(dev: Dev) -> list[dict[str, Any]]:
    """Return the consumers that there were, in their order."""
    with store_of(dev.folder) as store:
        found = [vars(one) for one in store.consumers("clicks")]
    return sorted(found, key=lambda one: one["started_at"])


def consumer(dev: Dev) -> dict[str, Any]:
    """Return the latest consumer."""
    return lives(dev)[-1]
