"""Consumers of a join that are killed at any instant, and started again, tell each pair once, and none that is wrong.

A fixed sample runs with the other tests; `EMATIX_CRASH=full` (`make crash`) kills at every failpoint of every kind of
target, and prints how many kills there were, how many results were lost and how many were there twice.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash import tally
from tests.crash import topics_scenario as consumed
from tests.crash.test_topics import chains_of, kill_one_after_another
from tests.crash.topics import PARTITIONS, Trial, trial

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import KafkaCluster

FULL = os.environ.get("EMATIX_CRASH") == "full"
KINDS = ("kafka", "postgres", "sqlite", "duckdb")
HOWS = ("inner", "full", "windowed")
SAMPLE = (
    ("kafka", "full", ("kafka.offsets.after", "stream.state.after", "kafka.commit.before", "kafka.commit.after")),
    ("sqlite", "full", ("stream.poll.after#3", "stream.state.before#2", "stream.land.before#2", "sqlite.commit.after")),
    ("kafka", "windowed", ("kafka.offsets.after#2", "stream.state.after", "kafka.commit.after")),
    ("postgres", "left", ("stream.state.after", "stream.land.after", "postgres.commit.before")),
)


class JoinTrial(Trial):
    """A trial whose target has what two topics give: a record of the right belongs to the left of a tenth earlier."""

    def produce(self, records: int) -> None:
        if "right" not in self.setup:
            self.declare(right=self.cluster.topic("right", PARTITIONS))
        numbers = range(self.records, self.records + records)
        self.cluster.produce(self.setup["right"], [consumed.answer(number) for number in numbers])
        super().produce(records)

    def _wanted(self) -> Counter[Any]:
        numbers = [number for number in range(self.records) if number % 90 != 89]
        pairs = [("row", number, number) for number in numbers if number % 3 == 0]
        letters = [("letter", consumed.record(number)[1]) for number in range(self.records) if number % 90 == 89]
        alone = self._alone(numbers)
        return Counter([*pairs, *alone, *letters])

    def _alone(self, numbers: list[int]) -> list[tuple[str, int | None, int | None]]:
        """Return what is told of records that found none: those whose time is over at the watermark."""
        over, how = self.over(), self.setup["join"]
        left = [("row", number, None) for number in numbers if number % 3 and number < over]
        right = [("row", None, number) for number in range(self.records)
                 if (number % 3 or number % 90 == 89) and number < over]  # fmt: skip
        return [*(left if how in {"left", "full"} else []), *(right if how in {"right", "full"} else [])]

    def over(self) -> int:
        """Return the second before which no record finds another any more."""
        newest: dict[str, int] = {}
        for topic in (self.setup["topic"], self.setup["right"]):
            for message in self.cluster.consume(topic, self.records):
                if (text := bytes(message.value() or b"").decode()).endswith("broken"):
                    continue
                name = f"{topic}:{message.partition()}"
                newest[name] = max(consumed.second(text), newest.get(name, 0))
        return min(newest.values()) - consumed.REACH

    def _found(self) -> Counter[Any]:
        rows, letters = self.landed_rows()
        return Counter([*(("row", row["v"], row["w"]) for row in rows), *(("letter", one) for one in letters)])


class WindowedJoinTrial(JoinTrial):
    """A trial whose target has what a window tells of a join: of each third of a minute the number and the sums."""

    def _wanted(self) -> Counter[Any]:
        told, windows = super()._wanted(), defaultdict(list)
        for kind, *row in told:
            if kind == "row":
                windows[max(one for one in row if one is not None) // consumed.WINDOW].append(row)
        complete = [rows for number, rows in windows.items() if (number + 1) * consumed.WINDOW <= self.over()]
        sums = [[sum(one for one in column if one is not None) for column in zip(*rows, strict=True)]
                for rows in complete]  # fmt: skip
        results = [("row", len(rows), *both) for rows, both in zip(complete, sums, strict=True)]
        return Counter([*results, *(one for one in told if one[0] == "letter")])

    def _found(self) -> Counter[Any]:
        rows, letters = self.landed_rows()
        told = [("row", row["n"], int(row["v"] or 0), int(row["w"] or 0)) for row in rows]
        return Counter([*told, *(("letter", one) for one in letters)])


JOINS: dict[str, tuple[type[Trial], dict[str, Any]]] = {
    **{how: (JoinTrial, {"join": how}) for how in ("inner", "left", "full")},
    "windowed": (WindowedJoinTrial, {"join": "full", "window": "tumbling"}),
}


if FULL:

    @pytest.mark.timeout(1800)
    @pytest.mark.parametrize("how", HOWS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_killed_at_every_failpoint_a_join_loses_and_repeats_nothing(
        kafka: KafkaCluster, tmp_path: Path, kind: str, how: str
    ) -> None:
        trace = tmp_path / "trace"
        made, setup = JOINS[how]
        with trial(kafka, tmp_path / "traced", kind, made=made, **setup) as run:
            assert not run.died(run.start(trace=str(trace)))
            run.judge()
        points = Counter(sorted(trace.read_text(encoding="utf-8").splitlines()))
        lost, repeated, chains = 0, 0, chains_of(points, 1)
        for number, chain in enumerate(chains):
            with trial(kafka, tmp_path / f"trial{number}", kind, made=made, **setup) as run:
                kill_one_after_another(run, chain)
                run.drain()
                found = run.wrong()
                lost, repeated = lost + len(found[0]), repeated + len(found[1])
        tally.note(
            f"consumers of a {how} join into {kind}: {lost} results lost, {repeated} repeated or wrong",
            sum(map(len, chains)),
        )
        assert (lost, repeated) == (0, 0)

else:

    @pytest.mark.parametrize(
        ("kind", "how", "points"), SAMPLE, ids=lambda given: given if isinstance(given, str) else ""
    )
    def test_a_join_whose_consumer_is_killed_loses_and_repeats_nothing(
        kafka: KafkaCluster, tmp_path: Path, kind: str, how: str, points: tuple[str, ...]
    ) -> None:
        made, setup = JOINS[how]
        with trial(kafka, tmp_path / "trial", kind, made=made, **setup) as run:
            kill_one_after_another(run, points)
            run.drain()
            run.judge()
            assert run.landed() > (10 if how == "windowed" else 100)
