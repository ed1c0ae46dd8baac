"""Consumers of a topic that are killed at any instant, and started again, lose no record and load none twice.

A fixed sample runs with the other tests. `EMATIX_CRASH=full` (`make crash`) kills at every failpoint of every kind of
target and mode, and at random ones, with one consumer and with two that share the partitions; it prints how many
kills there were, how many records were lost and how many were there twice.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.crash import tally
from tests.crash.topics import trial

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.crash.topics import Trial
    from tests.servers.kafka import KafkaCluster

FULL = os.environ.get("EMATIX_CRASH") == "full"
TABLES = [(kind, mode) for kind in ("postgres", "sqlite", "duckdb") for mode in ("append", "merge", "scd2", "changes")]
PAIRS = (("kafka", "append"), *TABLES)
SAMPLE = (
    ("kafka", "append", ("kafka.commit.before", "kafka.commit.after", "kafka.offsets.after", "kafka.produce.after")),
    ("postgres", "append", ("postgres.commit.after", "postgres.commit.before")),
    ("sqlite", "merge", ("sqlite.record.after",)),
    ("duckdb", "scd2", ("duckdb.commit.after",)),
    ("postgres", "changes", ("postgres.commit.after", "postgres.record.after", "postgres.commit.before")),
)
KILLS_OF_A_TRIAL = 4
RANDOM_KILLS = 200 if FULL else 3
LAST = 6
"""The latest occurrence of a failpoint at which a consumer is killed at random."""


def kill_one_after_another(run: Trial, points: Sequence[str]) -> None:
    """Kill the consumer at each point in turn, each time after it has begun again, and let the last one end."""
    for point in points:
        assert run.died(run.start(point=point)), f"{point} was not reached"
    run.drain()


def kill_two_at_random(run: Trial, points: Sequence[str], chance: random.Random) -> int:
    """Run two consumers that share the partitions, again and again, and return how many were killed."""
    kills = 0
    for _ in range(2):
        both = [run.start(slot, f"{chance.choice(points)}#{chance.randint(1, LAST)}") for slot in (0, 1)]
        kills += sum(run.died(one) for one in both)
    both = [run.start(slot) for slot in (0, 1)]
    assert [run.died(one) for one in both] == [False, False]
    return kills


def kill_at_random(run: Trial, points: Sequence[str], chance: random.Random) -> int:
    """Run a consumer again and again, and return how often it was killed."""
    kills = 0
    for _ in range(KILLS_OF_A_TRIAL):
        kills += run.died(run.start(point=f"{chance.choice(points)}#{chance.randint(1, LAST)}"))
    run.drain()
    return kills


def points_of(cluster: KafkaCluster, folder: Path, kind: str, mode: str) -> Counter[str]:
    """Return the failpoints that an undisturbed consumer reaches, with how often it does."""
    trace = folder.with_name(f"{folder.name}.trace")
    with trial(cluster, folder, kind, mode) as run:
        assert not run.died(run.start(trace=str(trace)))
        run.judge()
    return Counter(sorted(trace.read_text(encoding="utf-8").splitlines()))


def chains_of(points: Counter[str], times: int) -> list[list[str]]:
    """Return the points by those of one trial: what is reached at the beginning only is alone in its own."""
    rare = [[point] for point, reached in points.items() if reached < KILLS_OF_A_TRIAL]
    often = [point for point, reached in points.items() if reached >= KILLS_OF_A_TRIAL] * times
    random.Random(3).shuffle(often)  # noqa: S311 - the order of the kills
    return rare + [often[first : first + KILLS_OF_A_TRIAL] for first in range(0, len(often), KILLS_OF_A_TRIAL)]


if FULL:

    @pytest.mark.timeout(1800)
    @pytest.mark.parametrize(("kind", "mode"), PAIRS)
    def test_killed_at_every_failpoint_a_consumer_loses_and_repeats_nothing(
        kafka: KafkaCluster, tmp_path: Path, kind: str, mode: str
    ) -> None:
        chains = chains_of(points_of(kafka, tmp_path / "traced", kind, mode), 2 if kind == "kafka" else 1)
        lost, repeated = 0, 0
        for number, points in enumerate(chains):
            with trial(kafka, tmp_path / f"trial{number}", kind, mode) as run:
                kill_one_after_another(run, points)
                found = run.wrong()
                lost, repeated = lost + len(found[0]), repeated + len(found[1])
        tally.note(
            f"consumers of a topic into {kind} by {mode}: {lost} records lost, {repeated} repeated",
            sum(map(len, chains)),
        )
        assert (lost, repeated) == (0, 0)

else:

    @pytest.mark.parametrize(
        ("kind", "mode", "points"), SAMPLE, ids=lambda given: given if isinstance(given, str) else ""
    )
    def test_a_consumer_that_is_killed_loses_and_repeats_nothing(
        kafka: KafkaCluster, tmp_path: Path, kind: str, mode: str, points: tuple[str, ...]
    ) -> None:
        with trial(kafka, tmp_path / "trial", kind, mode) as run:
            kill_one_after_another(run, points)
            run.judge()


@pytest.mark.timeout(3600)
def test_killed_at_random_consumers_alone_and_in_pairs_lose_and_repeat_nothing(
    kafka: KafkaCluster, tmp_path: Path
) -> None:
    chance = random.Random(17)  # noqa: S311 - where consumers are killed
    kills, in_pairs, lost, repeated, number = 0, 0, 0, 0, 0
    known: dict[tuple[str, str], list[str]] = {}
    while kills < RANDOM_KILLS:
        kind, mode = chance.choice(PAIRS) if FULL and number % 2 else PAIRS[0]
        if (kind, mode) not in known:
            known[kind, mode] = list(points_of(kafka, tmp_path / f"{kind}_{mode}", kind, mode))
        with trial(kafka, tmp_path / f"trial{number}", kind, mode) as run:
            if number % 4 < 2:
                killed = kill_two_at_random(run, known[kind, mode], chance)
                in_pairs += killed
            else:
                killed = kill_at_random(run, known[kind, mode], chance)
            found = run.wrong()
            if any(found):
                print(kind, mode, found, run.told())  # noqa: T201 - shown when the test fails
        kills, number = kills + killed, number + 1
        lost, repeated = lost + len(found[0]), repeated + len(found[1])
    tally.note(
        f"consumers of a topic at random, {in_pairs} of them one of two: {lost} records lost, {repeated} repeated",
        kills,
    )
    assert (lost, repeated) == (0, 0)
