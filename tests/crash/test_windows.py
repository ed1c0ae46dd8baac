"""Consumers with a window that are killed at any instant, and started again, tell each result once, and a right one.

A fixed sample runs with the other tests; `EMATIX_CRASH=full` (`make crash`) kills at every failpoint of every kind of
target, and prints how many kills there were, how many results were wrong and how many were there twice.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.crash import tally
from tests.crash import topics_scenario as consumed
from tests.crash.test_topics import chains_of, kill_one_after_another
from tests.crash.topics import Trial, trial

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import KafkaCluster

FULL = os.environ.get("EMATIX_CRASH") == "full"
KINDS = ("kafka", "postgres", "sqlite", "duckdb")
SAMPLE = (
    ("kafka", "tumbling", ("kafka.commit.after", "stream.land.before", "stream.state.after", "kafka.offsets.after")),
    ("postgres", "hopping", ("stream.state.before", "stream.state.after", "postgres.commit.after")),
    ("duckdb", "session", ("stream.state.after", "duckdb.commit.after")),
)
LENGTHS = {"tumbling": (20, 20), "hopping": (30, 10)}


class WindowTrial(Trial):
    """A trial whose target has the results of a window."""

    def _wanted(self) -> Counter[Any]:
        newest: dict[int, int] = {}
        groups: defaultdict[int, list[int]] = defaultdict(list)
        letters = []
        for message in self.cluster.consume(self.setup["topic"], self.records):
            text = bytes(message.value() or b"").decode()
            if text.endswith("broken"):
                letters.append(("letter", text))
                continue
            row = json.loads(text)
            partition = message.partition() or 0
            newest[partition] = max(row["v"], newest.get(partition, 0))
            groups[row["id"] % consumed.BUCKETS].append(row["v"])
        watermark = min(newest.values())
        rows = [
            ("row", bucket, consumed.START + timedelta(seconds=start), len(values), sum(values))
            for bucket, seconds in groups.items()
            for start, end, values in _windows(self.setup["window"], sorted(seconds))
            if end <= watermark
        ]
        return Counter([*rows, *letters])

    def _found(self) -> Counter[Any]:
        rows, letters = self.landed_rows()
        told = [("row", row["bucket"], _time(row["window_start"]), row["n"], int(row["total"])) for row in rows]
        return Counter([*told, *(("letter", one) for one in letters)])


def _windows(kind: str, seconds: list[int]) -> list[tuple[int, int, list[int]]]:
    """Return start, end and values of each window; a record's value is the second that it is of."""
    if kind == "session":
        sessions: list[list[int]] = []
        for one in seconds:
            if sessions and one - sessions[-1][-1] < 5:
                sessions[-1].append(one)
            else:
                sessions.append([one])
        return [(values[0], values[-1] + 5, values) for values in sessions]
    size, every = LENGTHS[kind]
    starts = range(-size // every * every, seconds[-1] + 1, every)
    held = [(start, [one for one in seconds if start <= one < start + size]) for start in starts]
    return [(start, start + size, values) for start, values in held if values]


def _time(value: Any) -> datetime:  # noqa: ANN401 - as the target gives it
    found = datetime.fromisoformat(value) if isinstance(value, str) else cast("datetime", value)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


if FULL:

    @pytest.mark.timeout(1800)
    @pytest.mark.parametrize("window", ["tumbling", "hopping", "session"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_killed_at_every_failpoint_a_window_loses_and_repeats_nothing(
        kafka: KafkaCluster, tmp_path: Path, kind: str, window: str
    ) -> None:
        trace = tmp_path / "trace"
        with trial(kafka, tmp_path / "traced", kind, made=WindowTrial, window=window) as run:
            assert not run.died(run.start(trace=str(trace)))
            run.judge()
        points = Counter(sorted(trace.read_text(encoding="utf-8").splitlines()))
        lost, repeated, chains = 0, 0, chains_of(points, 1)
        for number, chain in enumerate(chains):
            with trial(kafka, tmp_path / f"trial{number}", kind, made=WindowTrial, window=window) as run:
                kill_one_after_another(run, chain)
                run.drain()
                found = run.wrong()
                lost, repeated = lost + len(found[0]), repeated + len(found[1])
        tally.note(
            f"consumers with {window} windows into {kind}: {lost} results lost, {repeated} repeated or wrong",
            sum(map(len, chains)),
        )
        assert (lost, repeated) == (0, 0)

else:

    @pytest.mark.parametrize(
        ("kind", "window", "points"), SAMPLE, ids=lambda given: given if isinstance(given, str) else ""
    )
    def test_a_window_whose_consumer_is_killed_loses_and_repeats_nothing(
        kafka: KafkaCluster, tmp_path: Path, kind: str, window: str, points: tuple[str, ...]
    ) -> None:
        with trial(kafka, tmp_path / "trial", kind, made=WindowTrial, window=window) as run:
            kill_one_after_another(run, points)
            run.drain()
            run.judge()
            assert run.landed() > 10
