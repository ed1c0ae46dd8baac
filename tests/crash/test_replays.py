"""Replays of dead letters that are killed at any instant, and begun again, load each letter once.

`EMATIX_CRASH=full` (`make crash`) kills at every failpoint that a replay reaches; a sample runs with the other tests.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from tests.crash import tally
from tests.crash import topics_scenario as consumed
from tests.crash.topics import trial

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.topics import Trial
    from tests.servers.kafka import KafkaCluster

FULL = os.environ.get("EMATIX_CRASH") == "full"
SAMPLE = {
    "postgres": ("postgres.commit.after",),
    "sqlite": ("sqlite.commit.before",),
    "duckdb": ("stream.replay.after",),
    "delta": ("stream.replay.after", "delta.commit.after#2"),
    "files": ("objects.commit.after", "objects.commit.before#2", "stream.mark.after"),
    "kafka": ("kafka.offsets.after", "kafka.commit.after"),
}
SQL = consumed.SQL.replace("_key, ", "")
BROKEN = SQL.replace(" v,", " CASE WHEN v % 7 = 0 THEN error('seven') ELSE v END AS v,")


def killed_and_begun_again(cluster: KafkaCluster, folder: Path, kind: str, point: str) -> None:
    """Refuse every 7th record, replay it by SQL that does not, and kill the replay at the point."""
    with trial(cluster, folder, kind, sql=BROKEN) as run:
        run.drain()
        run.declare(sql=SQL)
        assert run.died(run.start(consumed.REPLAY, point)), f"{point} was not reached"
        assert not run.died(run.start(consumed.REPLAY))
        judge(run)


def judge(run: Trial) -> None:
    """Fail unless every record that can be read is a row, once, and every other one is a letter that waits."""
    texts = [consumed.record(number)[1] for number in range(run.records)]
    readable = [number for number, text in enumerate(texts) if not text.endswith("broken")]
    topic = run.setup["kind"] == "kafka"
    rows = map(json.loads, run.messages(run.setup["out"])) if topic else run.rows(run.setup["out"])
    found = Counter((row["id"], row["v"]) for row in rows)
    assert found == Counter((number % consumed.KEYS, number) for number in readable), run.told()
    if topic:
        assert sorted(waiting(run)) == sorted(text for text in texts if text.endswith("broken")), run.told()
        return
    letters = Counter(row["state"] for row in run.rows(run.setup["dead"]))
    sevenths = sum(number % 7 == 0 for number in readable)
    assert letters == {"new": len(texts) - len(readable), "replayed": sevenths}, run.told()


def waiting(run: Trial) -> list[str]:
    """Return the letters in a topic that no replay has come to."""
    place = TopicPartition(run.setup["dead"], 0)
    group = ConsumerGroupTopicPartitions(f"{run.setup['name']}.replay", [place])
    admin = run.cluster.admin
    (asked,) = admin.list_consumer_group_offsets([group]).values()
    done = asked.result(30).topic_partitions[0].offset
    letters = run.cluster.consume(run.setup["dead"], 1_000_000)
    return [(one.value() or b"").decode() for one in letters if (one.offset() or 0) >= done]


if FULL:

    @pytest.mark.parametrize("kind", SAMPLE)
    def test_killed_at_every_failpoint_a_replay_loads_each_letter_once(
        kafka: KafkaCluster, tmp_path: Path, kind: str
    ) -> None:
        trace = tmp_path / "trace"
        with trial(kafka, tmp_path / "traced", kind, sql=BROKEN) as run:
            run.drain()
            run.declare(sql=SQL)
            assert not run.died(run.start(consumed.REPLAY, trace=str(trace)))
        points = sorted(set(trace.read_text(encoding="utf-8").splitlines()))
        for number, point in enumerate(points):
            killed_and_begun_again(kafka, tmp_path / f"trial{number}", kind, point)
        tally.note(f"replays of dead letters in {kind}: none lost, none repeated", len(points))

else:

    @pytest.mark.parametrize(("kind", "point"), [(kind, point) for kind, points in SAMPLE.items() for point in points])
    def test_a_replay_that_is_killed_loads_each_letter_once(
        kafka: KafkaCluster, tmp_path: Path, kind: str, point: str
    ) -> None:
        killed_and_begun_again(kafka, tmp_path / "trial", kind, point)
