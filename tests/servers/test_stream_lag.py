"""What is told of streams that have ended: how far they are behind, and where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import ematix_core as ematix
from ematix_core.store import open_store
from ematix_core.streaming import consume_stream
from ematix_core.streaming.statistics import Statistics

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import KafkaCluster


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def consumed(stream: ematix.Stream, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - those of `consume_stream`
    """Return the statistics that the store has of it in the end."""
    with open_store("sqlite:///runs.db") as runs:
        with Statistics(runs, stream) as statistics:
            consume_stream(stream, observer=statistics, **options)
        return dict(max(runs.consumers(stream.name), key=lambda one: one.started_at).stats)


@pytest.mark.parametrize("kind", ["table", "topic"])
def test_a_stream_that_has_loaded_all_is_not_behind_and_keeps_its_positions(kafka: KafkaCluster, kind: str) -> None:
    topic, out = kafka.topic("told"), kafka.topic("out")
    kafka.produce(topic, [(None, f'{{"id": {number}}}') for number in range(10)])
    events = ematix.KafkaConnection("events", url=kafka.url)
    target = events if kind == "topic" else ematix.SQLiteConnection("warehouse", path="warehouse.db")
    stream = ematix.stream(
        topic, source=events, source_query=topic, target=target, target_table=out if kind == "topic" else "clicks"
    )
    place = {f"{topic}:0": 10}
    first = consumed(stream, until_idle=True)
    assert (first["records"], first["behind"], first["positions"]) == (10, 0, place)
    again = consumed(stream, until_idle=True)
    assert (again["records"], again["behind"], again["positions"]) == (0, 0, place)
    kafka.produce(topic, [(None, f'{{"id": {number}}}') for number in range(4)])
    bounded = consumed(stream, end={f"{topic}:0": 13})
    assert (bounded["records"], bounded["behind"], bounded["positions"]) == (3, 1, {f"{topic}:0": 13})
